# Needs Python 3.11 or newer and a C compiler, nothing else; `make demo PYTHON=python3.12` picks another interpreter.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo test lint check bench clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(STAMP) ## three services, a replay provider and a ledger on this machine: bill lines in under a minute
	@$(BIN)/python examples/demo/run.py

test: $(STAMP) ## all tests
	$(BIN)/pytest

lint: $(STAMP) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict -p otel_llmcost
	$(BIN)/python grafana/build.py --check
	$(BIN)/python collector-config/ottl_pricing.py --check

check: lint test ## what CI runs

bench: ## what it costs an application per call, beside others, and what the pipeline does a second
	@sh benchmarks/run.sh overhead.py
	@sh benchmarks/run.sh pipeline.py
	@sh benchmarks/run.sh quote.py

clean: ## remove the environment and what was built
	rm -rf $(VENV) .venv-bench .venv-bench-quote .demo .mypy_cache .pytest_cache .ruff_cache

# The stamp is written last, so an installation that broke off is started again.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "$(PYTHON) is no Python 3.11 or newer; name one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@echo "installing into $(VENV) (once)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
