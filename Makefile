# Commands of the project; `make` lists them. Each sets up what it needs: only make and
# Python >= 3.11 with venv have to be installed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet
KEDRO := $(BIN)/kedro
# Processes of pytest: one more than two cores, because tests also wait.
WORKERS ?= 3
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder
# The results to show: your own, or those of the sample data if there are no others.
ENV ?= $(if $(wildcard data/08_reporting/*),,$(if $(wildcard data/sample/08_reporting/*),sample))
AT = $(if $(ENV),--env $(ENV))
# Without it, Kedro-Viz begins with a page of other libraries' deprecation warnings.
QUIET := PYTHONWARNINGS=ignore

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup run test test-services test-all lint format bench bench-peers viz viz-static dashboard mlflow serve notebook docs pictures lock clean

help: ## List these commands
	@awk -F ' ## ' '/^[a-z-]+:.* ## / { sub(/:.*/, "", $$1); printf "  make %-13s %s\n", $$1, $$2 }' Makefile

setup: $(READY) ## Create .venv with the tested versions (the other commands do it too)

run: $(READY) ## Write sample data and run the whole chain on it (TASK=classify, TASK=summarize)
	$(KEDRO) run --pipelines $(if $(TASK),$(TASK).)sample --env sample
	$(KEDRO) run --pipelines $(or $(TASK),__default__) --env sample

test: $(READY) ## Run the tests that need no services, without the slow ones
	$(PYTEST) -m "not slow and not services"

test-services: $(READY) ## Run the tests with browsers, a Ray cluster and servers, without the slow ones
	$(PYTEST) -m "services and not slow"

test-all: $(READY) ## Run all tests, slow ones included
	$(PYTEST)

lint: $(READY) ## Check style, format, types and imports between packages
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## Format the code, and fix what ruff can fix
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/jupyter-nbconvert --clear-output --inplace --log-level=ERROR notebooks/*.ipynb

bench: $(READY) ## Run the benchmarks (minutes); reports go to benchmarks/reports
	@for script in benchmarks/bench_*.py; do \
		echo "== $$script"; $(BIN)/python "$$script" || exit 1; \
	done

bench-peers: $(READY) ## Compare with BERT4Rec of other libraries (hours; ARGS="--users 300")
	@PYTHONPATH=benchmarks $(BIN)/python -m peers $(ARGS)

viz: $(READY) ## Show the graph in a browser, on this machine only
	$(QUIET) $(KEDRO) viz run --host 127.0.0.1 --no-browser $(AT) $(if $(PORT),--port $(PORT))

viz-static: $(READY) ## Write the graph as static web pages to build/
	$(QUIET) $(if $(ENV),KEDRO_ENV=$(ENV)) $(KEDRO) viz build --include-previews

dashboard: $(READY) ## Show the studies of tuning in a browser, on this machine only
	$(KEDRO) dashboard $(AT) $(if $(PORT),--port $(PORT))

mlflow: $(READY) ## Show runs, their curves and models in a browser, on this machine only
	$(KEDRO) mlflow ui $(AT) $(if $(PORT),--port $(PORT))

serve: $(READY) ## Serve the newest export on this machine only (TASK=classify, PORT=8321)
	$(BIN)/seqtune-serve data/$(if $(filter sample,$(ENV)),sample/)06_models/$(or $(TASK),recommend)/export \
		$(if $(PORT),--port $(PORT))

notebook: $(READY) ## Open the notebooks in JupyterLab, on this machine only
	@# The kernel goes into .venv, not into your home; no server is asked for updates.
	SEQTUNE_ENV=$(or $(ENV),local) JUPYTER_DATA_DIR=$(CURDIR)/$(VENV)/share/jupyter \
	$(KEDRO) jupyter lab --ip=127.0.0.1 --LabApp.extension_manager=readonly \
		--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate notebooks

docs: $(READY) ## Write docs/guide/parameters.md from the classes that check parameters
	$(BIN)/python docs/write_parameters.py

pictures: $(READY) ## Take the pictures of the README from a run on the sample data (Chromium)
	$(BIN)/python docs/make_pictures.py

lock: $(READY) ## Write requirements.lock from the versions installed in .venv
	$(BIN)/python -m pip --disable-pip-version-check freeze --all --exclude-editable > $(VENV)/frozen
	{ sed -n '/^#/p' requirements.lock; \
	  sed -E '/^(pip|wheel|kedro-telemetry)==/d; s/\+[a-z0-9.]+$$//' $(VENV)/frozen | LC_ALL=C sort -f; \
	} > requirements.lock.new
	mv requirements.lock.new requirements.lock
	touch $(READY)

clean: ## Remove .venv and caches; data and results stay
	rm -rf $(VENV) build dist .viz .pytest_cache .mypy_cache .ruff_cache .hypothesis \
		.import_linter_cache src/*.egg-info
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# The marker is written last: without it the environment is created again, so that an interrupted
# installation never looks complete.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "seqtune needs Python 3.11 or newer as '$(PYTHON)'; try: make PYTHON=python3.12" >&2; \
		exit 1; }
	@if [ -e $(READY) ]; then rm $(READY); else \
		echo "Creating $(VENV) ..."; $(PYTHON) -m venv --clear $(VENV); fi
	@echo "Installing the versions of requirements.lock (a few minutes the first time) ..."
	@$(PIP) install --no-deps --requirement requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $(READY)
