# What people type. `make demo` and `make test` need nothing but Python 3.11 and pip.
PYTHON ?= python3.11
VENV := .venv
RUN := $(VENV)/bin/python
SCHEDULES ?= 2000
SEED ?= 1
JOBS ?= $(shell nproc)

.PHONY: help setup demo demo-kraft test test-all test-kraft coverage check fix simulate chaos schemas docs clean bench-eta bench-events bench-monitor bench-move bench-plan bench-reaction bench-recovery
.DEFAULT_GOAL := help

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

setup: $(VENV)/.ready ## the virtual environment, from pinned hashes

$(VENV)/.ready: requirements.txt pyproject.toml
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup ## a real migration in the lab, with clients running; writes build/demo/report.json
	$(RUN) -m agent.cli lab demo

demo-kraft: setup ## the whole journey: replicas moved, then ZooKeeper to KRaft, clients running; BACK="phases" FAULTS=1 as options
	$(RUN) -m agent.cli lab demo-kraft $(foreach phase,$(BACK),--back $(phase)) $(if $(FAULTS),--faults)

# Real processes on a machine that others use too: what fails is run once more, and the first failure stays in view.
lab_tests = $(RUN) -m pytest -q -m "$(1)" $(2) || $(RUN) -m pytest -q -m "$(1)" --last-failed --last-failed-no-failures none
# What needs no lab shares no port, folder or process: it runs on all cores.
PARALLEL := -n auto --dist worksteal
# Two labs side by side: each waits for its brokers most of the time.
TWO_LABS := -n 2 --dist loadfile

test: setup check ## in minutes: lint, types, all that needs no lab, and the agent on one shared lab
	$(RUN) -m pytest -q -m "not lab and not slow" $(PARALLEL)
	$(call lab_tests,lab and not slow,$(TWO_LABS))

test-all: setup ## after `make test`: every other kind of lab, the demo, the image, a few faults of chaos
	$(RUN) -m pytest -q -m "slow and not lab"
	$(call lab_tests,slow and lab and not chaos and not kraft)
	# Never twice: what goes wrong there once is a find.
	$(RUN) -m pytest -q -m chaos

coverage: setup ## lines of agent and schemas that are run without a lab, against their floors
	$(RUN) -m pytest -q -m "not lab and not slow" $(PARALLEL) --cov --cov-report=term:skip-covered
	$(RUN) -m coverage report --include='agent/core/*' --fail-under=98 --skip-covered

KRAFT_TESTS := tests/integration/test_agent.py tests/integration/test_kafka_cluster.py tests/integration/test_demo.py

test-kraft: setup ## the way to KRaft and back on real processes; the main tests on Kafka 3.9 and 4 without ZooKeeper
	KAFKA_MIGRATION_LAB_KRAFT=1 KAFKA_MIGRATION_LAB_KAFKA_VERSION=3.9.1 $(RUN) -m pytest -q -m "lab and not chaos" $(KRAFT_TESTS)
	KAFKA_MIGRATION_LAB_KRAFT=1 KAFKA_MIGRATION_LAB_KAFKA_VERSION=4.1.0 $(RUN) -m pytest -q -m "lab and not chaos" $(KRAFT_TESTS)
	$(RUN) -m pytest -q -m kraft

check: setup ## ruff, mypy strict, import contracts, generated files up to date
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy agent schemas deploy
	$(VENV)/bin/lint-imports
	$(RUN) -m schemas.generate --check
	$(RUN) -m agent.docs --check

fix: setup ## let the tools mend what they can
	$(VENV)/bin/ruff check --fix-only --quiet .
	$(VENV)/bin/ruff format --quiet .

simulate: setup ## SCHEDULES=n SEED=s JOBS=processes: faults at every step, in memory
	$(RUN) -m tests.simulation.run --schedules $(SCHEDULES) --seed $(SEED) --jobs $(JOBS)

chaos: setup ## kill real processes in the lab; writes build/chaos/report.json
	$(RUN) -m tests.chaos.run

bench-move: setup ## this agent against Kafka's tool and Cruise Control by hand; writes build/bench/move.json
	$(RUN) -m tests.benchmarks.move

bench-plan: setup ## plan, check, prove and watch 100 brokers with 200,000 partitions; writes build/bench/plan.json
	$(RUN) -m tests.benchmarks.plan

bench-monitor: setup ## what it costs to watch 200,000 partitions; writes build/bench/monitor.json
	$(RUN) -m tests.benchmarks.monitor

bench-reaction: setup ## from an alert to the stop, 1,000 times, also behind bursts; a migration with 100 pauses; build/bench/reaction.json
	$(RUN) -m tests.benchmarks.reaction

bench-recovery: setup ## how soon it acts again after kill -9, itself and a second worker; writes build/bench/recovery.json
	$(RUN) -m tests.benchmarks.recovery

bench-events: setup ## samples a second of one worker against a plain consumer; writes build/bench/events.json
	$(RUN) -m tests.benchmarks.events

bench-eta: setup ## twelve real moves in the lab against what was told before; writes build/bench/eta.json
	$(RUN) -m tests.benchmarks.eta

.PHONY: test-kubernetes
test-kubernetes: setup ## the disruption budget on a real Kubernetes API (needs Go, etcd): writes build/kubernetes/report.json
	$(RUN) -m tests.kubernetes.run

docs: setup ## generate the pictures and tables of docs/phases.md
	$(RUN) -m agent.docs

schemas: setup ## generate JSON Schema and AsyncAPI from the models
	$(RUN) -m schemas.generate

clean: ## everything that can be made again
	rm -rf build .lab .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
