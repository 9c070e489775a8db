# SPDX-License-Identifier: Apache-2.0
# Everything from a fresh clone: `make demo` and `make test` do all their own set-up in .venv.
# With a sourced ROS 2 (ROS_DISTRO set) the venv sees its packages; without one ROS 2 comes as wheels from PyPI.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

ARGS ?=
PYTEST_ARGS ?=
WORKERS ?= 2
VENV := .venv
STAMPS := $(VENV)/stamps
BIN := $(VENV)/bin
UV := $(BIN)/uv
UI := lerobot_arena/bridge/ui

ifdef ROS_DISTRO
  ROS := sourced
  VENV_FLAGS := --system-site-packages
  DEMO_EXTRAS := base sim
else
  ROS := wheels
  VENV_FLAGS :=
  DEMO_EXTRAS := base ros ros-build sim
  # What a shell started from another venv's Python would hand down: the ROS wheels need these of their own.
  unexport LD_LIBRARY_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE PYTHONPATH AMENT_PREFIX_PATH
endif
unexport VIRTUAL_ENV

export MUJOCO_GL ?= egl

.PHONY: help demo test check bench setup setup-test web clean

help: ## Show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: setup ## A simulated arm does its task; the page is on http://127.0.0.1:8001/ui (ARGS="--port 8002" …)
	@$(BIN)/arena demo $(ARGS)

test: setup-test ## All tests (PYTEST_ARGS="-k guard" …)
	@failed=0; export HF_HUB_OFFLINE=1; \
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --ignore test/e2e $(PYTEST_ARGS) || failed=$$?; \
	if [ -z "$(PYTEST_ARGS)" ]; then \
	  echo "Whole stacks in real time, one after the other:"; \
	  $(BIN)/python -m pytest test/e2e || failed=$$?; \
	fi; exit $$failed

check: setup-test ## Lint, format, types, and that no check of the guard can be missing unnoticed
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python scripts/mutate_checks.py

bench: setup-test ## Every measurement of the README beside its floor or rival; takes minutes
	@for script in $$(grep -l __main__ bench/*.py); do echo "== $$script"; $(BIN)/python "$$script" $(ARGS); done

setup: $(STAMPS)/demo $(STAMPS)/package $(UI)/index.html ## What the demo needs, without starting it
setup-test: setup $(STAMPS)/test ## What the tests and benches need on top: LeRobot with torch, 6 GB

web: ## Build the page from web/ (needs npm)
	@command -v npm >/dev/null || { echo "npm is missing: apt-get install npm (the page needs Node 20.19 or newer)." >&2; exit 1; }
	@cd web && npm ci --no-audit --no-fund && npm run build

clean: ## Remove the venv and everything built
	rm -rf $(VENV) build install log dist .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	rm -rf lerobot_arena/msg lerobot_arena/*.so web/node_modules
	find . -name __pycache__ -not -path './web/*' -prune -exec rm -rf {} +

# The stamp names where ROS 2 comes from: a venv of the other kind can't be mended.
$(STAMPS)/venv-$(ROS):
	@if [ -d $(STAMPS) ] && [ -n "$$(ls $(STAMPS))" ]; then \
	  echo "$(VENV) was made $$(ls $(STAMPS) | sed -n 's/^venv-//p' | sed 's/wheels/without a sourced ROS 2/;s/sourced/beside a sourced ROS 2/'), and now it is the other way round." >&2; \
	  echo "Start over with: make clean" >&2; exit 1; \
	fi
	@python=$$(PYTHON="$(PYTHON)" scripts/find_python) && scripts/check_system "$$python" demo && \
	  echo "Setting up $(VENV) with $$python" && \
	  "$$python" -m venv $(VENV_FLAGS) $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check uv 'setuptools>=68,<80'
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/demo: setup.py msg/build_messages.py | $(STAMPS)/venv-$(ROS)
	@echo "Installing what the demo needs"
	@$(BIN)/python scripts/list_requirements.py $(DEMO_EXTRAS) > $(STAMPS)/demo.txt
	@$(UV) pip install -q --python $(BIN)/python -r $(STAMPS)/demo.txt
	@touch $@

$(STAMPS)/package: $(wildcard msg/*.msg msg/*.py) msg/CMakeLists.txt setup.py setup.cfg package.xml pyproject.toml $(STAMPS)/demo
	@echo "Building the messages"
	@$(UV) pip install -q --python $(BIN)/python --no-build-isolation --no-deps -e .
	@touch $@

$(STAMPS)/test: setup.py $(STAMPS)/demo
	@echo "Installing what the tests need (LeRobot and torch: some minutes at first)"
	@scripts/check_system $(BIN)/python test
	@$(BIN)/python scripts/list_requirements.py $(DEMO_EXTRAS) lerobot test > $(STAMPS)/test.txt
	@$(UV) pip install -q --python $(BIN)/python -r $(STAMPS)/test.txt
	@touch $@

# The built page is committed. It is built here only where it is missing.
$(UI)/index.html:
	@if command -v npm >/dev/null && [ -f web/package.json ]; then $(MAKE) --no-print-directory web; \
	else echo "The page is missing and cannot be built without npm: the arm works, /ui does not." >&2; fi
