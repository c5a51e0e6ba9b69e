# Everything from a fresh machine: needs make and Python 3.11 or later, and installs into .venv only.
# Another Python: make PYTHON=python3.13 serve

PYTHON ?= python3
PYTEST_FLAGS ?=
BENCH_FLAGS ?=
FORMAT_FLAGS = $(if $(filter true,$(CI)),--check)

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt
TO_SERVE := .venv/.ready-to-serve
TO_DEVELOP := .venv/.ready-to-develop

.DEFAULT_GOAL := help
.PHONY: help serve test check seed bench clean

help: ## this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /make \1	/' | expand -t 16

serve: $(TO_SERVE) ## run the server on 127.0.0.1:8008 with its log in ./data; ROOMLOG_PORT and others are heard
	@exec $(BIN)/roomlog serve

test: $(TO_DEVELOP) ## run all tests; PYTEST_FLAGS=--long for the patient ones too
	@$(BIN)/python -m pytest $(PYTEST_FLAGS)

check: $(TO_DEVELOP) ## format (with CI=true: only look), lint, check types
	$(BIN)/ruff format $(FORMAT_FLAGS) .
	$(BIN)/ruff check .
	$(BIN)/mypy

seed: $(TO_DEVELOP) ## print which tests show which requirement of the specification's first API
	@$(BIN)/python -m tests.tidy.requirements

bench: $(TO_DEVELOP) ## run the canonical workload and print its numbers
	@$(BIN)/python -m bench $(BENCH_FLAGS)

clean: ## remove what was installed and cached; never ./data
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info build dist tests/clients/node_modules

# The marks are renewed when what they stand for changes, so that nothing is installed twice.
$(TO_SERVE): $(BIN)/python pyproject.toml constraints.txt
	@echo "roomlog: installing what the server needs into .venv" >&2
	@$(PIP) -e .
	@touch $@

$(TO_DEVELOP): $(BIN)/python pyproject.toml constraints.txt
	@echo "roomlog: installing what the server and its tests need into .venv" >&2
	@$(PIP) -e ".[dev]"
	@touch $(TO_SERVE) $@

# Not every python3 can make an environment (Debian keeps ensurepip in a package of its own); a half-made
# one is taken away, lest the next make takes it for a whole one.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "roomlog needs Python 3.11 or later, and $(PYTHON) is none." >&2; \
		echo "If another one is installed, name it: make PYTHON=python3.13 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments: its modules venv and ensurepip are missing." >&2; \
		echo "On Debian and Ubuntu: sudo apt install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv --clear .venv || { rm -rf .venv; exit 1; }
