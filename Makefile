# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
BIN = .venv/bin
# A file of tests stays in one process, because its tests share what is costly to make.
PARALLEL = --numprocesses auto --dist loadfile

.PHONY: demo test check

demo: .venv/installed
	$(BIN)/python run.py --config configs/digits.yaml

# Tests start many small processes: one thread each keeps the cores free for them.
test check: export OMP_NUM_THREADS = 1

test: .venv/tested .venv/browser
	$(BIN)/python -m pytest $(PARALLEL)

check: .venv/tested .venv/browser
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest $(PARALLEL) --cov

# The constraints pin the versions that were tested; pyproject.toml has only ranges.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[train]'
	touch $@

.venv/tested: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch .venv/installed $@

# Pages are tested in a real browser.
.venv/browser: .venv/tested
	sh tests/browser.sh $(BIN)/python
	touch $@
