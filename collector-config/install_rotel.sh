#!/bin/sh
# Install rotel's wheel for a Python into <repository>/.cache/rotel/ and print the path of its agent.
# usage: install_rotel.sh [PYTHON]    the Python (3.11 to 3.13) whose environment has otel-llmcost; default: python3
# The agent needs that Python's shared library: on Debian the package libpython3.11.
set -eu

ROTEL_VERSION=0.0.1a15

python=${1:-python3}
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
minor=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
target=$(dirname -- "$here")/.cache/rotel/$ROTEL_VERSION-python$minor
agent=$target/rotel/rotel-agent

if ! [ -x "$agent" ]; then
    mkdir -p "$(dirname -- "$target")"
    work=$(mktemp -d "$target.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    "$python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$work" "rotel==$ROTEL_VERSION" >&2
    # Renamed into place, so that an installation that was cut short is never taken for a whole one.
    mv -T "$work" "$target" 2>/dev/null || [ -x "$agent" ]
fi
echo "$agent"
