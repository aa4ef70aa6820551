# Millstream's everyday commands. `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
CARGO  ?= cargo
ROUNDS ?= 1000
SEED   ?=
DATA   ?= data
# More flags for `millstream serve`.
RUN_ARGS ?=

.PHONY: help run build check test crash bench bench-quick tools fmt clean-tools

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  make run RUN_ARGS='--limits none'    passes flags to 'millstream serve'"
	@echo "  make crash ROUNDS=50 SEED=7          repeats the rounds of one seed"

run: ## build the release binary and serve on 127.0.0.1:4567, with its data under ./data
	$(CARGO) build --locked --release -p millstream
	exec target/release/millstream serve --data-dir '$(DATA)' $(RUN_ARGS)

build: ## build the release binary: target/release/millstream
	$(CARGO) build --locked --release -p millstream

fmt: ## format the Rust code
	$(CARGO) fmt --all

check: ## formatting, lints, licences and duplicates, and the Rust tests
	$(PYTHON) tests/run.py --suites fmt,clippy,deny,rust

test: ## everything: what 'make check' does, and every black-box suite, against tests/budget.toml
	$(PYTHON) tests/run.py

crash: ## kill -9 the real server ROUNDS times under load and verify what it kept
	$(CARGO) build --locked --release -p millstream -p millstream-crash
	target/release/millstream-crash --server target/release/millstream --rounds $(ROUNDS) $(if $(SEED),--seed $(SEED))

bench: ## figures against a raw disk loop and ferrokinesis, written to docs/performance.md
	$(PYTHON) bench/run.py

bench-quick: ## the same comparison in about two minutes; prints, writes nothing into docs
	$(PYTHON) bench/run.py --quick

tools: ## install what the tests need, pinned, into ./.tools
	$(PYTHON) tests/tools.py all

clean-tools: ## remove what 'make tools' installed
	rm -rf .tools
