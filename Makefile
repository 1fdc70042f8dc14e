PYTHON ?= python3
BIN := .venv/bin
# One BLAS thread keeps the sparse factorizations of the references fast.
export OPENBLAS_NUM_THREADS ?= 1

.PHONY: solve gallery test test-slow lint clean

solve: .venv/installed
	$(BIN)/pinn-siren solve problems/poisson.py problems/eikonal.py problems/helmholtz.py problems/wave.py --tolerance 1e-2

# Every problem of the gallery over three seeds: results/gallery.md. A run that was stopped goes on.
gallery: .venv/installed
	$(BIN)/python benchmarks/gallery.py --seeds 3

test: lint
	$(BIN)/python -m pytest -n auto

# A few tests of many seconds each, which `make test` leaves out.
test-slow: .venv/installed-test
	$(BIN)/python -m pytest -n auto --slow

lint: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	touch $@

.venv/installed-test: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[test]"
	touch $@ .venv/installed

clean:
	rm -rf .venv build *.egg-info .pytest_cache .ruff_cache .mypy_cache
