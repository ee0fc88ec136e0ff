# Two commands matter: make demo, make test. Both need python3 (3.11 or later) and make; make test a
# Chromium too, which it installs where it may.
PYTHON ?= python3
BIN := .venv/bin
FRONTEND := $(shell find frontend -type f -not -path '*/node_modules/*')

.PHONY: setup demo test lint browser test-long bench lock clean

.venv/bin/uv: requirements/uv.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/uv.txt
	touch $@

# The package's own build makes app/static; where it was taken away, the package is built again.
app/static/.stamp: ;

# What reads pages in the tests is installed with what builds them, by the same build.
AXE := frontend/node_modules/axe-core/axe.min.js
$(AXE):
	rm -f app/static/.stamp

# Compiled at once: where Python writes nothing beside what it reads, each command would do it again.
.venv/.ready: .venv/bin/uv requirements/dev.txt requirements/build.txt pyproject.toml hatch_build.py $(FRONTEND) app/static/.stamp $(AXE)
	VIRTUAL_ENV=.venv $(BIN)/uv pip sync --quiet --compile-bytecode --require-hashes requirements/uv.txt requirements/dev.txt
	VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --no-deps --build-constraints requirements/build.txt --editable .
	$(BIN)/python -m compileall -q ledger funding issuance redemption app
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

# Pages are looked at in a real browser; where one is there, this says and does nothing.
browser:
	@sh tests/browser/chromium.sh

test: lint browser
	$(BIN)/pytest -n $$(( 2 * $$(nproc) )) --maxprocesses 8 --dist worksteal -m "not long"

# Counting the lines that are reached takes as long as the tests themselves: here only.
test-long: lint browser
	PASSNUM_TEST_PROFILE=long $(BIN)/pytest --cov --cov-report=term

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
	rm -rf .venv var app/static frontend/node_modules tests/oidc/node_modules .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
