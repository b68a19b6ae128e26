# The commands of the house; `make help` lists them.
SHELL := /bin/bash
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
SECONDS ?= 30
ONLY ?=
JSON ?=
MARKET ?=
WORKERS ?= 2
GENERATED := libs/generated
PROTOS := $(sort $(shell find protos -name '*.proto'))
SOURCES := libs/trading libs/fleet libs/sdk-python services tests
COMPILE := $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header
SERVICE_LOCKS := market_data execution portfolio gateway paper_venue
STARTER := OPENBLAS_NUM_THREADS=1 $(BIN)/python -m services.inference.starter \
	--market build/model/bursts.parquet --market build/model/calm.parquet
unexport SECONDS

.DEFAULT_GOAL := help
.PHONY: help setup lock demo up down status logs test test-slow test-timed test-shaken test-quick conformance check format proto proto-check lifecycle simulate bench profile model compose-smoke clean

help:  ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  \033[36mmake %-14s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.ready  ## Make the virtual environment with every locked package

$(VENV)/.ready: requirements/dev.txt pyproject.toml libs/sdk-python/pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) is missing: install Python 3.11 (or name one: make PYTHON=…)" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/uv.txt
	$(BIN)/uv pip sync -q --compile-bytecode --python $(BIN)/python --require-hashes requirements/dev.txt
	$(BIN)/uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e . -e libs/sdk-python
	$(BIN)/python -m compileall -q services libs >/dev/null
	@touch $@

lock:  ## Compile requirements/*.txt from pyproject.toml, with hashes
	printf 'uv\n' | $(COMPILE) - -o requirements/uv.txt
	$(COMPILE) --extra fleet --group dev pyproject.toml -o requirements/dev.txt
	for name in $(SERVICE_LOCKS); do $(COMPILE) --extra $${name//_/-} -c requirements/dev.txt pyproject.toml -o requirements/$$name.txt || exit 1; done
	$(COMPILE) --extra inference --extra cpu -c requirements/dev.txt pyproject.toml -o requirements/inference.txt
	$(COMPILE) --extra inference --extra gpu pyproject.toml -o requirements/inference-gpu.txt

demo: setup  ## Trade a market for SECONDS (30), or MARKET=<parquet> to its end, and report (JSON=<path>)
	$(BIN)/ntrader demo --seconds $(SECONDS) $(foreach file,$(MARKET),--market $(file)) $(if $(JSON),--json $(JSON))

up: setup  ## Run the fleet until Ctrl-C; prints the URL and the first admin key
	$(BIN)/ntrader up $(foreach file,$(MARKET),--market $(file))

down: setup  ## Stop a fleet that runs in .data
	$(BIN)/ntrader down

status: setup  ## Say what runs
	$(BIN)/ntrader status

logs:  ## Follow the log of a detached fleet
	tail -n 100 -F .data/fleet.log

test: setup  ## Run the tests on real servers, WORKERS (2) at a time, with coverage of all hand-written Python
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -q -m "not slow" -n $(WORKERS) --dist loadfile --durations=15
	$(BIN)/coverage combine -q
	$(BIN)/coverage report --skip-covered --sort=cover | tail -n 40

test-slow: setup  ## Run the slow tests: kill -9 of every part, whole recorded days; and more examples of every property
	$(BIN)/python -m pytest -q -m slow --durations=15
	NT_THOROUGH=1 $(BIN)/python -m pytest -q -m "property and not slow" -n $(WORKERS) --durations=5

test-timed: setup  ## Hold the promises of time to the second: on a machine with nothing else to do
	NT_QUIET=1 $(BIN)/python -m pytest -q -m timed

test-shaken: setup  ## Run the tests without servers on an event loop that takes its freedoms (SEED=1)
	NT_SHAKEN=$(or $(SEED),1) $(BIN)/python -m pytest -q tests/unit tests/contracts -m "not slow" -n $(WORKERS)

test-quick: setup  ## Run the tests that take no servers and no fleet
	$(BIN)/python -m pytest -q tests/unit tests/contracts tests/architecture -m "not slow"

conformance: setup  ## Run official clients (the venues', Triton's) against our servers, each in an environment of its own
	NT_CONFORMANCE=1 $(BIN)/python -m pytest -q tests/conformance

check: setup  ## Lint, format, types, layers, contracts
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) --no-print-directory proto-check

format: setup  ## Format the code and mend what the linter can
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

define generate
	mkdir -p $(1)
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m grpc_tools.protoc --proto_path=protos \
		--python_out=$(1) --grpc_python_out=$(1) \
		--mypy_out=quiet:$(1) --mypy_grpc_out=quiet,only_async:$(1) $(PROTOS)
endef

proto: setup  ## Generate the Python code of the contracts
	rm -rf $(GENERATED)/neuraltrader $(GENERATED)/inference
	@$(call generate,$(GENERATED))

proto-check: setup  ## Prove that the contracts are clean, compatible, and their code current
	$(BIN)/buf lint protos
	$(BIN)/buf format --diff --exit-code protos
	@if git rev-parse -q --verify origin/main >/dev/null && git cat-file -e origin/main:protos/buf.yaml 2>/dev/null; \
		then $(BIN)/buf breaking protos --against '.git#ref=origin/main,subdir=protos'; \
		else $(BIN)/buf breaking protos --against '.git#ref=HEAD,subdir=protos'; fi
	@rm -rf build/proto && $(call generate,build/proto)
	diff -r -x __pycache__ build/proto $(GENERATED)

lifecycle: setup  ## Write docs/order-lifecycle.md from the transition table of orders
	PYTHONPATH=tests $(BIN)/python -m pages.order_lifecycle

simulate: setup  ## Simulate the order core under faults: make simulate SEEDS=1000, or SEEDS=17-17 to replay one
	PYTHONPATH=tests $(BIN)/python -m simulation $(or $(SEEDS),1000)

bench: setup  ## Measure (ONLY=area): build/bench/<name>.json each, and a table
	$(BIN)/python -m tests.bench $(if $(ONLY),--only $(ONLY))

profile: setup  ## Sample where the time of a service goes: make profile SERVICE=execution (needs a running fleet)
	$(BIN)/python -m tests.bench.profile $(or $(SERVICE),execution)

model: setup  ## Make the starter models again, byte for byte, from two simulated markets (5 minutes)
	mkdir -p build/model
	$(BIN)/python -m services.paper_venue export --seed 1 --seconds 7200 --out build/model/bursts.parquet
	$(BIN)/python -m services.paper_venue export --seed 2 --seconds 7200 --no-edge --out build/model/calm.parquet
	$(STARTER) --out services/inference/models/momentum-v1/1
	$(STARTER) --architecture tcn --out services/inference/models/neural-momentum-v1/1

compose-smoke:  ## Prove docker compose where ../shared/tools has compose-smoke (needs root)
	../shared/tools/compose-smoke/compose-smoke -f docker-compose.yml -u http://127.0.0.1:$(or $(NT_GATEWAY_PORT),8080)/readyz -x tests/e2e/compose_order.sh

clean:  ## Remove what was built; keeps .data
	rm -rf build $(VENV) .mypy_cache .ruff_cache .pytest_cache .coverage .coverage.*
