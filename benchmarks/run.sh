#!/bin/sh
# Runs a benchmark in an environment of its own, with the peers in it at pinned versions.
#   benchmarks/run.sh [overhead.py | pipeline.py] [options]
set -eu
cd "$(dirname "$0")/.."
venv=.venv-bench
stamp=$venv/.installed

# httpx beside httpx2: opentelemetry-instrumentation-openai-v2 imports it even where the SDK uses httpx2.
if [ ! -f "$stamp" ] || [ benchmarks/constraints.txt -nt "$stamp" ] || [ pyproject.toml -nt "$stamp" ]; then
  "${PYTHON:-python3}" -m venv --clear "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -c benchmarks/constraints.txt -e . \
    openai httpx2 httpx \
    openinference-instrumentation-openai opentelemetry-instrumentation-openai opentelemetry-instrumentation-openai-v2
  touch "$stamp"
fi

script=${1:-overhead.py}
[ $# -eq 0 ] || shift
exec "$venv/bin/python" "benchmarks/$script" "$@"
