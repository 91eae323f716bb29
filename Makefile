# Every target first sets up .venv, once. `make` alone lists the targets.

PYTHON   ?= python3
PIP_ARGS ?=
EXTRAS   ?= dev
ARGS     ?=
JOBS     ?= 2
REPEATS  ?= 1

VENV  := .venv
BIN   := $(VENV)/bin
STAMP := $(VENV)/.stamp-$(EXTRAS)

.DEFAULT_GOAL := help
.PHONY: help venv demo straggler test test-extras soak soak-restarts lint format bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "Each target sets up $(VENV) first, once. Variables:"
	@echo "  PYTHON=python3.12   the interpreter (3.11 or newer)"
	@echo "  ARGS='-k ring'      options for pytest"
	@echo "  JOBS=4              four tests at a time instead of two; 0: one after the other, as a debugger needs"
	@echo "  REPEATS=3           'make straggler' runs each strategy three times"
	@echo "  PIP_ARGS='...'      options for pip"
	@echo "  EXTRAS=dev,mpi      install the MPI baseline, too"
	@echo
	@$(cpu_hint)

# On Linux, pip's default torch is the GPU build. Addresses change, so the hint says where to find the current address.
define cpu_hint
echo "No GPU? The CPU build of torch is a far smaller download. PyTorch's 'Get started' page shows an index"; \
echo "address for Compute Platform CPU; pass it to pip, the first time only:"; \
echo "  make demo PIP_ARGS='--extra-index-url <that address>'"
endef

venv: $(STAMP) ## set up .venv and nothing else

# The stamp is written last. A .venv without a stamp was interrupted at an unknown point, so it is made again.
# pip keeps its downloads, so this costs little.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "error: Python 3.11 or newer is needed; '$(PYTHON)' is" \
	    "$$($(PYTHON) --version 2>/dev/null || echo 'not there or too old'). Try: make PYTHON=python3.12 ..." >&2; \
	  exit 1; }
	@if ls $(VENV)/.stamp-* >/dev/null 2>&1 && $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	  echo "==> updating $(VENV): pyproject.toml, constraints.txt or EXTRAS has changed"; \
	else \
	  if [ -e $(VENV) ]; then echo "==> $(VENV) is incomplete: starting afresh"; fi; \
	  echo "==> creating $(VENV) with $$($(PYTHON) --version)"; \
	  $(PYTHON) -m venv --clear $(VENV); \
	fi
	@rm -f $(VENV)/.stamp-*
	@echo "==> installing syncbench and its dependencies (once; torch is the large one, and pip is quiet for minutes)"
	@$(cpu_hint)
	@$(BIN)/python -m pip install -q --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e '.[$(EXTRAS)]'
	@touch $(STAMP)
	@echo "==> ready"

demo: $(STAMP) ## train with a parameter server and with all-reduce, then compare the two
	@$(BIN)/syncbench demo

# The strategies run in turns, so that a machine whose speed drifts is unfair to nobody. A second call adds repeats.
RACE := ps-bsp ps-ssp ps-async ps-backup ring
define race
@for repeat in $$(seq $(REPEATS)); do for strategy in $(RACE); do \
  $(BIN)/syncbench run --strategy $$strategy --steps 60 --train-seconds 0.02 $(2) --results $(1) >/dev/null || exit; \
done; done
@$(BIN)/syncbench plot $(1) --loss 0.2
endef

straggler: $(STAMP) ## parameter servers and a ring beside slow workers: two charts (a minute and a half)
	$(call race,results/straggler-slow,--slow-worker 3:4)
	$(call race,results/straggler-jitter,--jitter exponential:0.04)

test: $(STAMP) ## run the tests, two at a time
	@$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(SELECT) $(ARGS)

# In CI none of them may be skipped. An environment of its own: .venv stays as `make test` has it.
DEMANDED ?= $(if $(CI),mpi tensorboard browser)

test-extras: ## run the tests that need Open MPI, TensorBoard or a browser, where these are installed
	@SYNCBENCH_TEST_EXTRAS='$(DEMANDED)' $(MAKE) --no-print-directory test \
	  VENV=.venv-extras EXTRAS=dev,mpi,tensorboard SELECT='-m extras'

soak: $(STAMP) ## 200 runs, 20 of them with a killed rank: nothing must be left behind (ten minutes)
	@cd tests && PYTHONPATH=. ../$(BIN)/python soak.py

soak-restarts: $(STAMP) ## 38 runs with a killed server that is started again: every lost update must be reported (ten minutes)
	@cd tests && PYTHONPATH=. ../$(BIN)/python soak_restarts.py

lint: $(STAMP) ## check style, format, types and the direction of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

format: $(STAMP) ## put imports in order and format the code
	@$(BIN)/ruff check --select I --fix .
	@$(BIN)/ruff format .

bench: $(STAMP) ## measure start-up, recorder and virtual time on a quiet machine (for exchanges: syncbench bench)
	@$(BIN)/python tests/self_speed.py

clean: ## remove .venv and its like, caches and build output; results stay
	rm -rf $(VENV) .venv-* build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
