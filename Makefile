# Two commands matter: make demo, make test. Both need python3 (3.11 or later) and make, nothing else.
PYTHON ?= python3
BIN := .venv/bin
FRONTEND := $(shell find frontend -type f -not -path '*/node_modules/*')

.PHONY: setup demo test lint test-long bench lock clean

.venv/bin/uv: requirements/uv.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/uv.txt
	touch $@

# The package's own build makes app/static; where it was taken away, the package is built again.
app/static/.stamp: ;

.venv/.ready: .venv/bin/uv requirements/dev.txt requirements/build.txt pyproject.toml hatch_build.py $(FRONTEND) app/static/.stamp
	VIRTUAL_ENV=.venv $(BIN)/uv pip sync --quiet --require-hashes requirements/uv.txt requirements/dev.txt
	VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --no-deps --build-constraints requirements/build.txt --editable .
	touch $@

setup: .venv/.ready

demo: setup
	$(BIN)/passnum demo

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .

test: lint
	$(BIN)/pytest -m "not long" --cov --cov-report=term

test-long: lint
	PASSNUM_TEST_PROFILE=long $(BIN)/pytest

bench: setup
	$(BIN)/python -m bench

# Locks name no registry host, so they hold wherever the packages come from.
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate
lock: .venv/bin/uv
	echo uv | $(COMPILE) - -o requirements/uv.txt
	printf 'hatchling\nnodejs-wheel-binaries>=24,<25\n' | $(COMPILE) - -o requirements/build.txt
	$(COMPILE) pyproject.toml -o requirements/run.txt
	$(COMPILE) pyproject.toml --group dev -o requirements/dev.txt

clean:
	rm -rf .venv var app/static frontend/node_modules .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
