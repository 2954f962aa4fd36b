# One command for developers: `make check`. `./install.sh test` makes .venv and runs the same.
BIN := .venv/bin

.PHONY: check fast format lint types contracts test coverage test-all

check:
	.ci/check

fast:
	.ci/check lint types contracts tests -- -m "not slow" -q

format:
	$(BIN)/ruff check --fix-only -q .
	$(BIN)/ruff format .

lint types contracts coverage:
	.ci/check $@

test:
	.ci/check tests

# All that is too long for each commit: 10,000 harmed records instead of hundreds, and commands killed at every point.
test-all:
	DSENV_FUZZ=10000 DSENV_SWEEP=all .ci/check
