# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
BIN = .venv/bin

.PHONY: demo test check

demo: .venv/installed
	$(BIN)/python run.py --config configs/digits.yaml

test: .venv/tested
	$(BIN)/python -m pytest

check: .venv/tested
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest --cov

# The constraints pin the versions that were tested; pyproject.toml asks only for ranges.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/tested: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch .venv/installed $@
