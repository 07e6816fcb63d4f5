#!/bin/sh
# Runs a benchmark in an environment of its own, with the peers in it at pinned versions.
#   benchmarks/run.sh [overhead.py | pipeline.py | quote.py] [options]
set -eu
cd "$(dirname "$0")/.."
script=${1:-overhead.py}
[ $# -eq 0 ] || shift

# httpx beside httpx2: opentelemetry-instrumentation-openai-v2 imports it even where the SDK uses httpx2.
venv=.venv-bench
constraints=benchmarks/constraints.txt
peers="openai httpx2 httpx openinference-instrumentation-openai opentelemetry-instrumentation-openai
  opentelemetry-instrumentation-openai-v2"
# litellm wants other versions of what the rest shares.
if [ "$script" = quote.py ]; then
  venv=.venv-bench-quote
  constraints=benchmarks/constraints-quote.txt
  peers="litellm tokencost"
fi
stamp=$venv/.installed

if [ ! -f "$stamp" ] || [ "$constraints" -nt "$stamp" ] || [ pyproject.toml -nt "$stamp" ]; then
  "${PYTHON:-python3}" -m venv --clear "$venv"
  # shellcheck disable=SC2086 # one word per package
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -c "$constraints" -e . $peers
  touch "$stamp"
fi

exec "$venv/bin/python" "benchmarks/$script" "$@"
