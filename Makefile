# Millstream's everyday commands. `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
CARGO  ?= cargo
ROUNDS ?= 1000
SEEDS  ?= 1000
MINUTES ?= 30
TARGET ?=
SEED   ?=
STEP   ?= 1
DATA   ?= data
# More flags for `millstream serve`.
RUN_ARGS ?=
# Set by who takes what `make bench-instructions` counts for the new figures.
ACCEPT ?=

.PHONY: help run build check test sim crash bench bench-quick bench-full bench-render bench-instructions tools fmt clean-tools damage fuzz fuzz-minimise soak

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  make run RUN_ARGS='--limits none'    passes flags to 'millstream serve'"
	@echo "  make crash ROUNDS=50 SEED=7          repeats the rounds of one seed"
	@echo "  make fuzz MINUTES=20 TARGET=json     fuzzes one target for 20 minutes; see fuzz/README.md"

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

sim: ## run the service on a simulated machine that breaks in every way: every plan, and SEEDS seeds
	$(CARGO) build --locked --profile sim -p millstream-sim --features bugs
	target/sim/millstream-sim same --seeds 20 --points-every 0
	target/sim/millstream-sim plans
	target/sim/millstream-sim bugs
	target/sim/millstream-sim seeds --seeds $(SEEDS)

crash: ## kill -9 the real server ROUNDS times under load and verify what it kept
	$(CARGO) build --locked --release -p millstream -p millstream-crash
	target/release/millstream-crash --server target/release/millstream --rounds $(ROUNDS) $(if $(SEED),--seed $(SEED))

fuzz: ## fuzz the parsers that meet untrusted bytes, MINUTES of processor time for each family (TARGET=name: one target)
	$(PYTHON) fuzz/run.py --minutes $(MINUTES) $(if $(TARGET),--target $(TARGET))

fuzz-minimise: ## fold what fuzzing has found into the small corpora under fuzz/corpus
	$(PYTHON) fuzz/run.py --minimise $(if $(TARGET),--target $(TARGET))

damage: ## flip every byte and cut every file of a small data directory, and see what check and the server make of it
	DAMAGE_STEP=$(STEP) $(CARGO) test --locked --release -p millstream-damage -- --ignored --nocapture
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
