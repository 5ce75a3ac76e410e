# The only entry point: `make` alone lists the targets. Each one can be repeated.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup run test rules conformance differential powercut chaos lint fmt guard bench bench-quick bench-groups clean-cache

# Flags for `make run`, as in: make run ARGS='--listen 127.0.0.1:9192'
ARGS ?=
# Kills of `make chaos`, and what decides where they fall.
ROUNDS ?= 20
SEED ?= 1
# Seeds of `make powercut`, the first of them, and its runs with skipped syncs, which must be caught.
SEEDS ?= 500
FROM ?= 1
TEETH ?= 100
# Arguments for cargo test, as in: make test TESTS='-p sluice-metadata'. By default all of it.
TESTS ?= --workspace

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Build and start `sluice serve` on the embedded store in ./data (Kafka on 127.0.0.1:9092)
	cargo run -p sluice -- serve $(ARGS)

setup: ## Install what the tests need: pinned Python clients and the store emulator, outside the clone
	@scripts/setup clients emulator

test: setup ## Pass every test, then list which tests hold which rule
	@mkdir -p target && rm -f target/skips
	SLUICE_SKIPS=$(CURDIR)/target/skips cargo test $(TESTS)
	@scripts/rules
	@if [ -s target/skips ]; then echo "skipped: $$(wc -l < target/skips) (for want of something that make setup could not install):"; sort target/skips | uniq -c; else echo "skipped: 0"; fi

rules: ## List which tests hold which design rule; fail when one has none
	@scripts/rules

conformance: setup ## kcat, consumer groups of every client, the store's contents, the long runs (about ten minutes)
	@scripts/setup kcat java go matrix rdkafka-tests
	@{ scripts/kafka install 2.8.2 && scripts/kafka install 4.3.1; } >/dev/null || [ -z "$${SLUICE_CI:-}$${CI:-}" ]
	cargo test --workspace --no-run
	@tests/conformance/run

powercut: ## Lose the power under the disk stores, SEEDS=500 times; what was acknowledged must be there (under a minute)
	cargo build --workspace --bin powercut
	$${CARGO_TARGET_DIR:-target}/debug/powercut --seeds $(SEEDS) --from $(FROM) --teeth $(TEETH)

chaos: setup ## Kill a random gateway of three under ten consumer groups, ROUNDS=20 times (about four minutes)
	cargo test --workspace --no-run
	$${CARGO_TARGET_DIR:-target}/debug/group_chaos --rounds $(ROUNDS) --seed $(SEED)

differential: ## Compare a gateway with Apache Kafka 4.3.1: the same requests, the same answers (about two minutes; ONLY=text)
	@scripts/kafka install 4.3.1 >/dev/null
	cargo build --workspace --bins
	$${CARGO_TARGET_DIR:-target}/debug/differential $${ONLY:+--only "$$ONLY"}

lint: ## Formatting, clippy with warnings as errors, licences and sources of dependencies, tidiness
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	@scripts/deny
	@scripts/tidy

fmt: ## Format the Rust code
	cargo fmt --all

guard: ## Count instructions per request; fail when a number grew by more than 10 % (valgrind, under a minute)
	cargo build --workspace --bins
	$${CARGO_TARGET_DIR:-target}/debug/sluice-bench guard

bench: ## Compare with Apache Kafka on the same core, and judge the floors for speed (about 13 minutes, of which the first release build takes 5)
	@scripts/kafka install 4.3.1 >/dev/null
	cargo build --release -p sluice -p sluice-benches
	@mkdir -p target/bench
	$${CARGO_TARGET_DIR:-target}/release/sluice-bench compare --json target/bench/compare.json --markdown target/bench/compare.md

bench-quick: ## Print the speed and size numbers (release build, a few minutes)
	cargo build --release -p sluice -p sluice-benches
	$${CARGO_TARGET_DIR:-target}/release/sluice-bench quick

bench-groups: setup ## Judge consumer groups by their counted targets (release build, about five minutes)
	cargo build --release -p sluice -p sluice-benches -p sluice-bench-host
	$${CARGO_TARGET_DIR:-target}/release/sluice-bench groups

clean-cache: ## Remove what `make setup` installed
	@scripts/setup remove
