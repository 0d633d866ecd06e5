# The verbs of this project, for people and for CI alike.
#   make demo    set up what the demo needs, and run it
#   make test    set up what the tests need, and run them
#   make check   formatting, lint and types;  make fix   mend what can be mended
#   make soak    faults at length: a scheduler and what it runs are killed 200 times over 1,000 tasks (root, some ten minutes)
#   make semantics   the same DAG files here and in Airflow, which is downloaded: what ends otherwise (some six minutes)
#   make bench   the figures of docs/performance.md, against the peers that are installed
#   make docs    docs/cli.md, from the commands' help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?=
# Two test runners share the machine; what they leave there can be told apart as root only.
APART := tests/corpus tests/faults $(patsubst %,tests/system/test_%.py,build_peer company_network container_cp_peer \
	container_files_peer container_life_docker demo environments_images interop_archives interop_built make_base \
	runner_inside)
BESIDE := -p tests.beside --beside tests/unit --beside tests/contract $(addprefix --beside-apart ,$(APART))

# What the tests' peers come from; installed only as root, and only where something is missing.
APT := uidmap runc podman buildah skopeo umoci mmdebstrap passt slirp4netns iproute2 nftables postgresql

# PostgreSQL is to be there, but to serve nothing: the tests start a server of their own.
CLUSTER := /etc/postgresql-common/createcluster.conf

# Peers that would run as services where they are installed: unpacked for the tests only.
UNPACKED := docker.io containerd tini docker-registry
PEERS := /var/cache/airdock-tests/peers

# Containers see the source read-only and could keep no bytecode: every task would compile it again.
COMPILE := $(BIN)/python -m compileall -q src/airdock

.PHONY: demo setup test soak semantics check fix bench docs clean test-system-packages
.DEFAULT_GOAL := demo

demo: $(VENV)/.installed
	$(BIN)/airdock run examples/library_conflict

setup: $(VENV)/.developed

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: expected Python 3.11 or newer as $(PYTHON), found $$($(PYTHON) --version 2>&1)" >&2; \
	  echo "  do: install one, or name it: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "error: $(PYTHON) has no venv module" >&2; \
	  echo "  do: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@$(COMPILE)
	@touch $@

$(VENV)/.developed: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@$(COMPILE)
	@touch $@ $(VENV)/.installed

test-system-packages:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  missing=""; for name in $(APT); do dpkg -s $$name >/dev/null 2>&1 || missing="$$missing $$name"; done; \
	  if [ -n "$$missing" ]; then \
	    echo "installing for the tests:$$missing"; \
	    mkdir -p /etc/postgresql-common && { [ -e $(CLUSTER) ] || echo "create_main_cluster = false" >$(CLUSTER); } && \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	  fi; \
	  if [ ! -e $(PEERS)/.unpacked ]; then \
	    echo "unpacking for the tests: $(UNPACKED)"; \
	    rm -rf $(PEERS) && mkdir -p $(PEERS)/debs && cd $(PEERS)/debs && \
	    { [ -n "$$missing" ] || apt-get update -qq; } && \
	    apt-get download -qq -o APT::Sandbox::User=root $(UNPACKED) && \
	    for deb in *.deb; do dpkg -x "$$deb" $(PEERS); done && \
	    rm -r $(PEERS)/debs && touch $(PEERS)/.unpacked; \
	  fi; \
	else echo "not root: tests that need system packages which aren't there skip and say so"; fi

test: setup test-system-packages
	$(BIN)/python -m pytest $(or $(PYTEST_ARGS),$(BESIDE))

check: setup
	$(BIN)/ruff format --check src tests benchmarks examples
	$(BIN)/ruff check src tests benchmarks examples
	$(BIN)/mypy

fix: setup
	$(BIN)/ruff check --fix src tests benchmarks examples
	$(BIN)/ruff format src tests benchmarks examples

soak: setup
	$(BIN)/python tests/faults/soak.py --fault lock:30 --fault full:30
	$(BIN)/python tests/faults/soak.py --kills 20 --tasks 200 --fault away:30 --fault away:5
	$(BIN)/python tests/faults/soak.py --kills 8 --tasks 200 --fault clock:3600 --fault clock:86400 --fault clock:-5

semantics: setup
	$(BIN)/python -m tests.semantics

bench: setup
	$(BIN)/python benchmarks/run.py

docs: setup
	$(BIN)/python docs/make_cli.py

clean:
	rm -rf $(VENV) build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache
