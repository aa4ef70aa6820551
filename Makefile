# Millstream's everyday commands. `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
CARGO  ?= cargo
ROUNDS ?= 1000
MINUTES ?= 30
SEED   ?=
DATA   ?= data
# More flags for `millstream serve`.
RUN_ARGS ?=
# Set by who takes what `make bench-instructions` counts for the new figures.
ACCEPT ?=

.PHONY: help run build check test crash soak bench bench-quick bench-full bench-render bench-instructions tools fmt clean-tools

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
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

soak: ## load the real server for MINUTES through rolling restarts; its growth goes to target/soak
	$(CARGO) build --locked --release -p millstream -p millstream-crash
	target/release/millstream-crash --server target/release/millstream --soak $(MINUTES) $(if $(SEED),--seed $(SEED))

bench: ## figures beside the machine's limits and other emulators, within half an hour; written into docs
	$(PYTHON) bench/run.py

bench-quick: ## some of them in about two minutes; prints, writes nothing into docs
	$(PYTHON) bench/run.py --set quick

bench-full: ## every scenario beside every emulator that the registries have, for hours; written into docs
	$(PYTHON) bench/run.py --set full

bench-render: ## tables and plots anew from docs/figures.json, without measuring
	$(CARGO) run --quiet --locked --release -p millstream-bench -- render --docs docs

bench-instructions: ## count the instructions of the hot pieces, compare with bench/instructions.toml (ACCEPT=1: write it)
	$(PYTHON) bench/instructions.py $(if $(ACCEPT),--accept)

tools: ## install what the tests need, pinned, into ./.tools
	$(PYTHON) tests/tools.py all

clean-tools: ## remove what 'make tools' installed
	rm -rf .tools
