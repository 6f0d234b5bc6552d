# Everything a person does with this repository, from a machine that has Python 3.11 or
# newer, a C++20 compiler and make. CMake and Ninja come from PyPI into .venv.
#
# Works with GNU make 3.81, which macOS ships.

VENV ?= .venv
# The first interpreter that is new enough and can make an environment; set PYTHON to choose.
PYTHON ?= $(shell for candidate in python3.13 python3.12 python3.11 python3; do \
	if $$candidate -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
	2>/dev/null; then echo $$candidate; break; fi; done)
PYTEST_ARGS ?=
# Processes that share the Python tests; 0 runs them in one, as a debugger wants it.
WORKERS ?= 2
BENCH_ARGS ?=
STUDY ?= examples/us_equities.toml
RUN ?= $(shell ls -td runs/*/ 2>/dev/null | head -n 1)

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Tools that call other tools (CMake calls Ninja) find those of the environment first. They hear
# nothing of make's jobs, which are handed on in a form that Ninja cannot read.
WITH_TOOLS := MAKEFLAGS= PATH="$(CURDIR)/$(BIN):$$PATH"
BUILD := build

# What ends up in the wheel, directories too, so that a deleted file counts as a change.
# A Makefile cannot name a file with a blank in it; there are none.
SOURCES := $(shell find python cpp \( -name __pycache__ -o -path cpp/tests \) -prune -o -print) \
	CMakeLists.txt pyproject.toml README.md LICENSE
CPP_FILES := $(shell find cpp -name '*.hpp' -o -name '*.cpp' -o -name '*.h')

.DEFAULT_GOAL := help
.PHONY: help install demo report picture test test-cpp test-python lint format bench bench-engine docs sanitize sanitize-threads wheel check-wheel clean

help: ## Print this list
	@echo "Windtunnel. Targets:"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# -- Environment: dependencies and package apart, since the package changes far more often --

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "No Python >= 3.11 with venv and pip was found." \
	"Install one (on Debian also python3-venv), or name it: make PYTHON=/path/to/python" >&2; \
	exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml scripts/requirements.py | $(BIN)/python
	$(BIN)/python scripts/requirements.py --build serve > $(VENV)/requirements-run.txt
	$(PIP) install --quiet --requirement $(VENV)/requirements-run.txt
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	$(BIN)/python scripts/requirements.py dev > $(VENV)/requirements-dev.txt
	$(PIP) install --quiet --requirement $(VENV)/requirements-dev.txt
	@touch $@

$(VENV)/.package: $(VENV)/.run $(SOURCES)
	$(WITH_TOOLS) $(PIP) install --quiet --no-deps --no-build-isolation --force-reinstall .
	@touch $@

install: $(VENV)/.package ## Build and install the package into .venv

# -- Use -----------------------------------------------------------------------------------

demo: $(VENV)/.package ## Run the example study on bundled prices (about three minutes)
	$(BIN)/windtunnel run $(STUDY)
	@printf '\nWhat to do next:\n'
	@printf '  %-34s %s\n' \
	'make report' 'write the report of the newest run again' \
	'$(BIN)/windtunnel models' 'list the registered version; the run told whether it may serve' \
	'$(BIN)/windtunnel serve' 'answer predictions, once a version was promoted' \
	'$(BIN)/windtunnel --help' 'everything else' \
	'cp $(STUDY) .' 'begin a study of your own'

report: $(VENV)/.package ## Write the report of the newest run, or of RUN=..., to build/report.html
	@test -n "$(RUN)" || { echo "There is no run yet: make demo makes one." >&2; exit 1; }
	@mkdir -p $(BUILD)
	$(BIN)/windtunnel report $(RUN) --out $(BUILD)/report.html

picture: $(VENV)/.package $(VENV)/.dev ## Picture the newest run, or RUN=..., for the README; takes a Chromium
	@test -n "$(RUN)" || { echo "There is no run yet: make demo makes one." >&2; exit 1; }
	$(BIN)/python scripts/report_picture.py $(RUN) docs/report.png

# -- Tests and measurements -----------------------------------------------------------------

# What the Python tests need comes over the network while the C++ tests keep the cores busy.
test: ## Run all tests, C++ and Python
	@$(MAKE) --no-print-directory --jobs=2 test-cpp $(VENV)/.dev
	@$(MAKE) --no-print-directory test-python

test-cpp: $(VENV)/.run
	$(WITH_TOOLS) cmake --preset dev
	$(WITH_TOOLS) cmake --build --preset dev
	$(WITH_TOOLS) ctest --preset dev

test-python: $(VENV)/.dev $(VENV)/.package
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder \
		$(PYTEST_ARGS)

sanitize: $(VENV)/.run ## Run the C++ tests and the fuzz target under address and undefined-behaviour checks
	$(WITH_TOOLS) cmake --preset asan-ubsan
	$(WITH_TOOLS) cmake --build --preset asan-ubsan
	$(WITH_TOOLS) ctest --preset asan-ubsan

sanitize-threads: $(VENV)/.run ## Run what uses several threads under the thread sanitizer
	$(WITH_TOOLS) cmake --preset tsan
	$(WITH_TOOLS) cmake --build --preset tsan
	$(WITH_TOOLS) ctest --preset tsan

bench: $(VENV)/.dev $(VENV)/.package ## Measure; JSON goes to build/bench/bench.json
	@mkdir -p $(BUILD)/bench
	$(BIN)/python -m pytest bench \
		--benchmark-json=$(BUILD)/bench/bench.json $(BENCH_ARGS)

bench-engine: $(VENV)/.dev $(VENV)/.package ## Measure the engine beside packaged engines and Numba loops (15 minutes)
	$(BIN)/python bench/engine --json $(BUILD)/bench/engine.json
	$(BIN)/python bench/engine/growth.py
	$(BIN)/python bench/engine/picture.py $(BUILD)/bench/engine.json docs/engine_speed.png

# -- Style ----------------------------------------------------------------------------------

lint: $(VENV)/.dev ## Check style, types, room borders, memory bank, C++ format, workflows, image
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --strict
	PYTHONPATH=python $(BIN)/lint-imports --no-cache
	PYTHONPATH=python $(BIN)/python -m windtunnel memory verify
	$(BIN)/clang-format --dry-run -Werror $(CPP_FILES)
	$(BIN)/yamllint --strict .
	$(BIN)/zizmor --offline --no-progress --persona=pedantic .
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec compose.yaml
	$(BIN)/kubernetes-validate --strict --quiet deploy/kubernetes/*.yaml
	$(BIN)/shellcheck .ci/run scripts/*.sh
	$(BIN)/hadolint Dockerfile
	@if command -v promtool >/dev/null; then \
	promtool check config deploy/prometheus/prometheus.yml && \
	promtool test rules deploy/prometheus/rules_test.yml; \
	else echo "promtool is not installed: Prometheus rules were not tested"; fi

format: $(VENV)/.dev ## Rewrite Python and C++ files in the house format
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/clang-format -i $(CPP_FILES)

# -- Documentation --------------------------------------------------------------------------

docs: $(VENV)/.dev ## Build the documentation site into build/site; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

# -- Packages -------------------------------------------------------------------------------

wheel: $(VENV)/.dev ## Build the sdist and the wheel into dist/
	rm -rf dist
	$(WITH_TOOLS) $(BIN)/python -m build

check-wheel: wheel ## Install the wheel where no compiler works, and run a small backtest with it
	rm -rf $(BUILD)/fresh
	$(BIN)/python -m venv $(BUILD)/fresh
	CC=false CXX=false $(BUILD)/fresh/bin/python -m pip install --quiet dist/*.whl
	cd $(BUILD)/fresh && bin/python $(CURDIR)/scripts/check_wheel.py

clean: ## Remove everything that was built, the environment included; runs stay
	rm -rf $(BUILD) dist $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find python tests bench scripts -name __pycache__ -type d -prune -exec rm -rf {} +
