# `make` alone lists the targets. Each makes the virtual environment it needs under .venv/ by itself (scripts/venv.sh);
# the next run finds it ready. PYTHON=python3.12 chooses the interpreter, ARGS="..." goes to the program that is run.

PYTHON ?= python3
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2] + sys.abiflags)' 2>/dev/null)
DEV := .venv/dev-$(VERSION)
DEMO := .venv/demo-$(VERSION)
DOCS := .venv/docs-$(VERSION)
MUTATION := .venv/mutation-$(VERSION)

.PHONY: help demo test test-faults lint test-all test-wheel test-frameworks bench bench-coordination bench-definitions \
	bench-service bench-operations coverage mutation docs clean dev engines

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## see it work: a crew of agents reads a folder of Python (ARGS=path)
	@scripts/venv.sh $(DEMO) $(PYTHON) -e '.[cli]'
	$(DEMO)/bin/agentreg demo $(ARGS)

test: dev engines ## run the tests (ARGS="-k pool -x")
	$(DEV)/bin/pytest -n auto $(ARGS)

test-faults: dev engines ## run the long forms of the fault tests (an hour)
	AGENTREG_LONG=1 $(DEV)/bin/pytest -n auto --timeout 3600 tests/extensions $(ARGS)

lint: dev ## check style, formatting and types
	$(DEV)/bin/ruff check .
	$(DEV)/bin/ruff format --check .
	$(DEV)/bin/mypy

test-all: engines ## run the tests on every supported interpreter that is found
	@scripts/test_all.sh $(ARGS)

test-wheel: dev engines ## build the wheel and run the tests against it, away from the source
	@scripts/test_wheel.sh $(DEV) $(PYTHON) $(ARGS)

test-frameworks: ## try real agents of other frameworks (1.2 GB of packages)
	@scripts/test_frameworks.sh $(ARGS)

bench: ## print the benchmark figures (needs Python 3.12 or later)
	@scripts/bench.sh $(ARGS)

bench-coordination: engines ## print the figures of the directory and its stores
	@scripts/bench.sh coordination $(ARGS)

bench-definitions: ## print the figures of reading definitions
	@scripts/bench.sh definitions $(ARGS)

bench-service: engines ## print the figures of the service over HTTP and WebSocket
	@scripts/bench.sh service $(ARGS)

bench-operations: engines ## print the figures of resources, metrics and alerts
	@scripts/bench.sh operations $(ARGS)

coverage: dev engines ## measure branch coverage; the core must reach its threshold
	$(DEV)/bin/coverage erase
	$(DEV)/bin/coverage run -m pytest -n auto $(ARGS)
	$(DEV)/bin/coverage combine --quiet
	$(DEV)/bin/coverage html --quiet --fail-under=0
	$(DEV)/bin/coverage report --fail-under=0
	$(DEV)/bin/coverage report --include='agentreg/*.py'

mutation: ## mutate registry.py and pool.py, and list what the tests miss (hours)
	@scripts/venv.sh $(MUTATION) $(PYTHON) -e '.[mutation]'
	$(MUTATION)/bin/mutmut run $(ARGS)
	$(MUTATION)/bin/mutmut results

docs: ## build the documentation into site/
	@scripts/venv.sh $(DOCS) $(PYTHON) -e '.[docs]'
	$(DOCS)/bin/mkdocs build --strict $(ARGS)

clean: ## remove everything the other targets made
	rm -rf .venv .coverage* build dist htmlcov site mutants .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

engines:
	@scripts/engines.sh

dev:
	@scripts/venv.sh $(DEV) $(PYTHON) -e '.[dev]'
