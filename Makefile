# `make help` lists what there is. Everything runs in .venv, which is made on first use from the pinned requirements.lock.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
export PYTHONSAFEPATH := 1

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := core kube operator xds_server injector cli
CHECKED := $(SOURCES) tests bench examples charts
QUICK := $(addprefix tests/,unit property golden)
TESTS := $(QUICK) $(addprefix tests/,chart envoy capture standalone cluster)
PIN := $(BIN)/uv pip compile --quiet --generate-hashes --no-header --no-annotate --no-emit-index-url --universal \
  --python-version 3.11
STAMP := $(VENV)/.installed
STUBS := typings/.generated

.PHONY: help
help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(STAMP): requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@

$(STUBS): xds_server/generate_stubs.py requirements.lock | $(STAMP)
	$(BIN)/python xds_server/generate_stubs.py
	touch $@

.PHONY: setup
setup: $(STAMP) $(STUBS) ## install everything into .venv and generate the protobuf type stubs

.PHONY: check
check: setup ## format, lint, types, layers, dependencies
	$(BIN)/ruff format --check $(CHECKED)
	$(BIN)/ruff check $(CHECKED)
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/deptry $(SOURCES)

.PHONY: test
test: check ## all checks, then all tests, the quick ones first
	$(BIN)/pytest $(TESTS)

.PHONY: quick
quick: setup ## the tests that need nothing but Python: no Envoy, no helm, no cluster
	$(BIN)/pytest -q -m "not envoy" $(QUICK)

.PHONY: coverage
coverage: setup ## the tests once more, measured
	$(BIN)/coverage run -m pytest -q
	$(BIN)/coverage report --skip-covered

.PHONY: golden
golden: setup ## write the golden files anew; read the diff before you commit it
	$(BIN)/pytest -q tests/golden --update-golden

.PHONY: crds
crds: setup ## generate the CustomResourceDefinitions from the models
	$(BIN)/python -m weft_operator.crds charts/weft/files/crds

.PHONY: format
format: setup ## format and mend what can be mended
	$(BIN)/ruff check --fix $(CHECKED)
	$(BIN)/ruff format $(CHECKED)

.PHONY: bench
bench: setup ## figures of docs/performance.md: simulated sidecars on the xDS server
	PYTHONPATH=. $(BIN)/python -m bench.xds_push

.PHONY: lock
lock: ## pin the dependencies anew (requirements.lock names versions and hashes, no index)
	$(PIN) --upgrade --group dev pyproject.toml --output-file requirements.lock
	$(PIN) --constraint requirements.lock pyproject.toml --output-file requirements-runtime.lock
	echo 'hatchling>=1.27' | $(PIN) --constraint requirements.lock - --output-file requirements-build.lock

.PHONY: clean
clean: ## remove what the other targets made
	rm -rf $(VENV) typings dist .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis
