# One command for developers: `make check`. CI runs the same through ./install.sh test.
PYTHON ?= .venv/bin/python
BIN := $(dir $(PYTHON))

.PHONY: check fast format lint types contracts test coverage docs

check: lint types contracts coverage

fast: lint types contracts
	$(BIN)pytest -m "not slow" -n 2 -q

format:
	$(BIN)ruff check --fix-only -q .
	$(BIN)ruff format .

lint:
	$(BIN)ruff format --check .
	$(BIN)ruff check .
	$(BIN)vermin -q --no-tips --violations -t=3.9- dsenv/agent

types:
	$(BIN)mypy

contracts:
	$(BIN)lint-imports --no-cache

test:
	$(BIN)pytest -n 2

coverage:
	$(BIN)coverage erase
	COVERAGE_PROCESS_START=$(CURDIR)/pyproject.toml $(BIN)coverage run -m pytest -n 2
	$(BIN)coverage combine -q
	$(BIN)coverage report
