# Verbs of the project; `make` lists them. Each sets up what it needs: nothing has to be installed
# first but make and Python >= 3.11 with venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet
KEDRO := $(BIN)/kedro
WORKERS ?= 2

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup run test test-all lint format bench viz lock clean

help: ## List these verbs
	@awk -F ' ## ' '/^[a-z-]+:.* ## / { sub(/:.*/, "", $$1); printf "  make %-9s %s\n", $$1, $$2 }' Makefile

setup: $(READY) ## Create .venv with every version that was tested (the other verbs do it too)

run: $(READY) ## Generate sample data and run the whole chain on it, to predictions
	$(KEDRO) run --pipelines sample --env sample
	$(KEDRO) run --env sample

test: $(READY) ## Run the test suite without its slow part
	$(BIN)/python -m pytest -n $(WORKERS) -m "not slow"

test-all: $(READY) ## Run the whole test suite
	$(BIN)/python -m pytest -n $(WORKERS)

lint: $(READY) ## Check style, format, types and who imports whom
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## Format the code, and mend what ruff can mend
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(READY) ## Run the benchmarks (minutes); reports go to benchmarks/reports
	@for script in benchmarks/bench_*.py; do \
		echo "== $$script"; $(BIN)/python "$$script" || exit 1; \
	done

viz: $(READY) ## Show the graph in a browser, on this machine only
	@# At start it asks a package index for a newer version and may wait for half a minute;
	@# a proxy that is not there declines at once.
	HTTPS_PROXY=http://127.0.0.1:9 $(KEDRO) viz run --host 127.0.0.1

lock: $(READY) ## Write requirements.lock anew from what is installed in .venv
	$(BIN)/python -m pip --disable-pip-version-check freeze --all --exclude-editable > $(VENV)/frozen
	{ sed -n '/^#/p' requirements.lock; \
	  sed -E '/^(pip|wheel)==/d; s/\+[a-z0-9.]+$$//' $(VENV)/frozen | LC_ALL=C sort -f; \
	} > requirements.lock.new
	mv requirements.lock.new requirements.lock
	touch $(READY)

clean: ## Remove .venv and caches; data and results stay
	rm -rf $(VENV) build dist .viz .pytest_cache .mypy_cache .ruff_cache .hypothesis \
		.import_linter_cache src/*.egg-info
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# The marker is written last: without it the environment is made anew, so that an interrupted
# installation is never taken for a complete one.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "seqtune needs Python 3.11 or newer as '$(PYTHON)'; try: make PYTHON=python3.12" >&2; \
		exit 1; }
	@if [ -e $(READY) ]; then rm $(READY); else \
		echo "Creating $(VENV) ..."; $(PYTHON) -m venv --clear $(VENV); fi
	@echo "Installing the versions of requirements.lock (a few minutes the first time) ..."
	@$(PIP) install --requirement requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $(READY)
