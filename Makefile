# `make research` answers a question, `make test` proves the product. Both set up .venv by themselves.
SHELL := /bin/sh
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input -qq
FLOORS := state guards nodes graphs interlock
RUN := $(VENV)/.run
DEV := $(VENV)/.dev

# The values reach the shell as they were typed: quotes, dollars and all.
override export Q := $(value Q)
override export DOCS := $(value DOCS)
override export DB := $(value DB)
override export URL := $(value URL)
override export OUT := $(value OUT)
EXAMPLE := Which sources disagree about what the Harbour Line cost and when it opened?

# Tests are offline and must not wait for a tracing server.
TEST_ENV := LANGSMITH_TEST_TRACKING=false LANGSMITH_TRACING=false

.PHONY: help research test pytest lint format types check notebook eval eval-security agentdojo bench fuzz chaos faults readme schema dev lock setup setup-dev clean

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' Makefile | expand -t 12

research: $(RUN) ## Answer Q from DOCS (folder), DB (SQLite file), URL; report to OUT. Alone: ask examples/
	@set --; \
	if [ -z "$$DOCS$$DB$$URL" ]; then set -- --docs examples/docs --db examples/operations.sqlite; \
	elif [ -z "$$Q" ]; then echo 'make research: the question is missing; add Q="..."' >&2; exit 2; fi; \
	[ -z "$$DOCS" ] || set -- "$$@" --docs "$$DOCS"; \
	[ -z "$$DB" ] || set -- "$$@" --db "$$DB"; \
	[ -z "$$URL" ] || set -- "$$@" --url "$$URL"; \
	[ -z "$$OUT" ] || set -- "$$@" --out "$$OUT"; \
	$(BIN)/interlock research "$${Q:-$(EXAMPLE)}" "$$@" $(ARGS); code=$$?; \
	[ $$code -ne 3 ] || { echo 'The report is partial: it says what is missing and why.' >&2; exit 0; }; exit $$code

test: lint types check pytest ## Lint, types, graph check and all tests (the notebook's too)

pytest: $(DEV) ## The tests alone; ARGS="-k name" chooses
	$(TEST_ENV) $(BIN)/pytest $(ARGS)

lint: $(DEV) ## ruff: rules and layout
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(DEV) ## ruff: mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(DEV) ## mypy --strict over the packages
	$(BIN)/mypy

check: $(RUN) ## interlock check over every graph of langgraph.json
	$(BIN)/interlock check

notebook: $(DEV) ## Run notebooks/tour.ipynb
	$(TEST_ENV) $(BIN)/pytest tests/test_notebook.py

eval: $(RUN) ## The table of research quality
	$(BIN)/python -m bench.eval $(ARGS)

eval-security: $(RUN) ## The table of security, S2 to S8
	$(BIN)/python -m bench.eval_security $(ARGS)

agentdojo: $(RUN) ## 609 hijacked attacks against the taint gate (S1, about five minutes); AgentDojo is installed beside
	@test -d build/agentdojo || $(PIP) install --target build/agentdojo --requirement bench/agentdojo/requirements.txt
	INTERLOCK_STORE=memory PYTHONPATH=.:$$($(BIN)/python -c 'import site; print(site.getsitepackages()[0])'):build/agentdojo \
	  $(BIN)/python -W ignore -m bench.agentdojo 2> build/agentdojo.log

fuzz: $(DEV) ## Fuzz the scanners and parsers for longer (tests do it briefly)
	FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-20000} $(TEST_ENV) $(BIN)/pytest -q -k "any_text or no_text or any_secret or any_bytes" $(ARGS)

bench: $(RUN) ## The table of speed, CPU and memory, recorded in bench/RESULTS.md
	$(BIN)/python -m bench $(ARGS)

chaos: $(RUN) ## Break the research graph in every way (about two minutes); ARGS="--runs 20 --seed 7" for fewer
	$(BIN)/interlock chaos research $(ARGS)

faults: $(RUN) ## The README's table: bare against guarded on the same faults
	$(BIN)/python -m bench.faults $(ARGS)

readme: $(DEV) ## Renew what the README takes from commands: the drawing and the table of faults
	$(BIN)/python docs/renew_readme.py

schema: $(RUN) ## Renew docs/answer.schema.json
	$(BIN)/python docs/renew_schema.py

dev: $(DEV) ## Serve the graphs with LangGraph's dev server; ARGS="--port 2025"
	$(BIN)/interlock serve $(ARGS)

lock: $(VENV)/bin/python ## Resolve the dependencies anew into constraints.txt and constraints-dev.txt
	$(PIP) install 'uv>=0.9'
	$(BIN)/uv pip compile $(LOCK) --extra build --output-file constraints.txt
	$(BIN)/uv pip compile $(LOCK) --all-extras --constraint constraints.txt --output-file constraints-dev.txt

LOCK = pyproject.toml --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-annotate --no-header

setup: $(RUN) ## Everything that a run needs, in .venv
setup-dev: $(DEV) ## Everything that the tests need, in .venv

clean: ## Remove .venv and what the tools left
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .langgraph_api
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo 'Interlock needs Python 3.11 or newer: install it, or name one with make PYTHON=/path/to/python' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(RUN): constraints.txt pyproject.toml | $(VENV)/bin/python
	@echo 'Installing what a run needs into $(VENV) (once) ...' >&2
	@$(PIP) install --require-hashes --requirement constraints.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q $(FLOORS)
	@touch $@

$(DEV): constraints-dev.txt $(RUN)
	@echo 'Installing what the tests need into $(VENV) (once) ...' >&2
	@$(PIP) install --require-hashes --requirement constraints-dev.txt
	@touch $@
