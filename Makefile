# Every verb of the project. `make help` lists them; a fresh machine needs Python 3.11 or newer and make, nothing else.

SHELL := /bin/sh
PYTHON ?= python3
PORT ?= 8080
SEEDS ?= 2000
FROM ?= 0
JOBS ?= 2
SECONDS ?= 120
SEED ?= 1
STAGE ?= prod
VENV := .venv
BIN := $(VENV)/bin
export BATUTA_HOME ?= $(CURDIR)/.batuta

.DEFAULT_GOAL := help
.PHONY: help setup demo dev test test-slow golden golden-deployed e2e chaos sim mutants contract lint fmt types check synth bootstrap deploy destroy bench-decide bench-fork bench-wide bench-cost bench-cold-start bench-memory bench-deployed bench-sizes bench-step bench-peer lock wheels clean

help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# What demo and dev need is installed first and is small; the workshop (tests, checks, builds) comes on top.
$(VENV)/run.stamp: requirements/uv.txt requirements/server.txt requirements/sdk.txt core/pyproject.toml functions/pyproject.toml sdk/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Batuta needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/uv.txt
	$(BIN)/uv pip install -q --python $(BIN)/python --compile-bytecode --require-hashes -r requirements/server.txt -r requirements/sdk.txt
	$(BIN)/uv pip install -q --python $(BIN)/python --no-deps -e core -e functions -e sdk
	@touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp requirements/dev.txt requirements/infra.txt
	$(BIN)/uv pip install -q --python $(BIN)/python --compile-bytecode --require-hashes -r requirements/dev.txt -r requirements/infra.txt
	@touch $@

setup: $(VENV)/dev.stamp ## install everything into .venv

demo: $(VENV)/run.stamp ## run the example order workflow on this machine and show it live
	@$(BIN)/python examples/order/demo.py

dev: $(VENV)/run.stamp ## a server on http://127.0.0.1:PORT/api until Ctrl-C (PORT=8080, STATE=dir keeps state)
	@$(BIN)/batuta dev --port $(PORT) $(if $(STATE),--state $(STATE))

test: $(VENV)/dev.stamp ## the tests, within five minutes
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m "not slow" tests/unit tests/upgrade tests/infra tests/simulation tests/contract tests/golden tests/budget tests/local examples

test-slow: $(VENV)/dev.stamp ## those that take minutes: every pair of crashes, the wheels in an empty environment
	$(BIN)/python -m pytest -n $(JOBS) -m slow tests

golden: $(VENV)/dev.stamp ## the recordings of the real Conductor, played against `make dev`, but for the lists in tests/golden
	$(BIN)/python -m tests.golden.play

golden-deployed: $(VENV)/dev.stamp node_modules/.bin/cdk ## the recordings, played against a stage deployed on the emulator of AWS
	$(BIN)/python -m tests.golden.play --deployed

e2e: $(VENV)/dev.stamp node_modules/.bin/cdk ## the real stack, deployed by CDK on the emulator of AWS with IAM enforced (node 20, Python 3.13)
	$(BIN)/python -m pytest tests/e2e

chaos: $(VENV)/dev.stamp node_modules/.bin/cdk ## the deployed stack under load, kills and faulty calls, SECONDS=120 of them, then up to 4 minutes to settle (SEED=1)
	$(BIN)/python -m tests.e2e.chaos --seconds $(SECONDS) --seed $(SEED)

sim: $(VENV)/dev.stamp ## seeded fault schedules: make sim SEEDS=n FROM=k; exit 1 and the seed when one fails
	$(BIN)/python -m tests.simulation.run --seeds $(SEEDS) --from $(FROM) --jobs $(JOBS)

mutants: $(VENV)/dev.stamp ## break the protocol in many ways; each must be caught by the simulation
	$(BIN)/python -m tests.simulation.mutants

contract: $(VENV)/dev.stamp ## the adapters' contract suites alone
	$(BIN)/python -m pytest tests/contract

lint: $(VENV)/dev.stamp ## ruff and the import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PYTHONPATH=core:functions:sdk:. $(BIN)/lint-imports

fmt: $(VENV)/dev.stamp ## format and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/dev.stamp ## mypy, strict
	$(BIN)/mypy
	$(BIN)/mypy tests benchmarks examples

check: lint types test ## what must be green before a commit

# Deploying needs the packages of CDK and of the functions, not the workshop; and node, for CDK's command line.
$(VENV)/infra.stamp: $(VENV)/run.stamp requirements/infra.txt
	$(BIN)/uv pip install -q --python $(BIN)/python --compile-bytecode --require-hashes -r requirements/infra.txt
	@touch $@

node_modules/.bin/cdk: package.json
	npm install --no-package-lock --no-audit --no-fund --silent
	@touch $@

synth: $(VENV)/infra.stamp node_modules/.bin/cdk ## the CloudFormation template, into cdk.out (STAGE=prod, CONTEXT="-c name=value ...")
	CDK_DISABLE_CLI_TELEMETRY=1 node_modules/.bin/cdk synth -q --no-notices -c stage=$(STAGE) $(CONTEXT)

bootstrap: $(VENV)/infra.stamp node_modules/.bin/cdk ## prepare the AWS account and region of your credentials for CDK, once
	CDK_DISABLE_CLI_TELEMETRY=1 node_modules/.bin/cdk bootstrap --no-notices -c stage=$(STAGE) $(CONTEXT)

deploy: $(VENV)/infra.stamp node_modules/.bin/cdk ## deploy to the AWS account of your credentials (STAGE=prod, CONTEXT="-c name=value ...")
	CDK_DISABLE_CLI_TELEMETRY=1 node_modules/.bin/cdk deploy --no-notices -c stage=$(STAGE) $(CONTEXT)

destroy: $(VENV)/infra.stamp node_modules/.bin/cdk ## delete a stage, which must be named: STAGE=name; tables and payloads stay unless it was deployed with retain=false
	@$(if $(filter file,$(origin STAGE)),echo "say which stage is to go: make destroy STAGE=prod"; exit 2,:)
	CDK_DISABLE_CLI_TELEMETRY=1 node_modules/.bin/cdk destroy --no-notices -c stage=$(STAGE) $(CONTEXT)

bench-decide: $(VENV)/dev.stamp ## decisions per second and core, from stored bytes to the record's bytes
	$(BIN)/python -m benchmarks.decide

bench-fork: $(VENV)/dev.stamp ## what a branch of a dynamic fork costs by the fork's width
	$(BIN)/python -m benchmarks.fork

bench-wide: $(VENV)/dev.stamp ## what a branch costs of forks that run as segments (100,000: `-m benchmarks.wide --width 100000 --out-chars 0`)
	$(BIN)/python -m benchmarks.wide

bench-cost: $(VENV)/dev.stamp ## what a task and an idle month cost: every AWS call counted, at list prices
	$(BIN)/python -m benchmarks.cost

bench-cold-start: $(VENV)/dev.stamp ## import time of each function from the asset that is deployed, and its size
	$(BIN)/python -m benchmarks.cold_start

bench-memory: $(VENV)/dev.stamp ## what each function needs of memory at its worst, and what each size makes of its time and price
	$(BIN)/python -m benchmarks.memory

bench-deployed: $(VENV)/dev.stamp node_modules/.bin/cdk ## tasks per second and step latency of the stage deployed on the emulator of AWS
	$(BIN)/python -m benchmarks.deployed

bench-sizes: $(VENV)/dev.stamp ## a loop of 100,000 iterations (1,000,000: `-m benchmarks.large loop --tasks 1000000`, 40 minutes), a million timers, a payload of 100 MB
	$(BIN)/python -m benchmarks.large

bench-step: $(VENV)/dev.stamp ## from one task to the next on the local server, beside the emulator's own time for the calls on the way
	$(BIN)/python -m benchmarks.step

bench-peer: $(VENV)/dev.stamp ## beside the real Conductor on the same machine (fetches it with Maven, 458 MB)
	$(BIN)/python -m benchmarks.peer

lock: $(VENV)/run.stamp ## pin the requirements anew, with hashes and without addresses
	cd requirements && for f in uv server sdk dev emulator cloud lambda sandbox infra; do env -u PIP_FIND_LINKS -u UV_FIND_LINKS ../$(BIN)/uv pip compile -q --upgrade --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate --universal --python-version 3.11 $$f.in -o $$f.txt; done
	cp requirements/emulator.txt functions/batuta_server/local/emulator-requirements.txt

wheels: $(VENV)/dev.stamp ## build the three wheels into dist/
	rm -rf dist && for d in core functions sdk; do $(BIN)/uv build -q --wheel -o dist $$d; done

clean: ## remove what was installed and built
	rm -rf $(VENV) .batuta dist build cdk.out node_modules benchmarks/out .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
