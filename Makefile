# make demo    set up, then compress a network on real MNIST digits (about two minutes)
# make test    set up, then run every test
# make test-deep   set up, then 1,000 examples, the bug zoo, 100 runs killed, the notebooks in full
# make coverage    set up, then show which lines of engine, ops and readers no test reaches
# make check   set up, then lint and type-check
# make format  let ruff rewrite what it can
# make notebooks   set up, then copy the course to my-notebooks/ and open it in JupyterLab
# make docs    set up, then build the site with the executed notebooks: build/docs/index.html
# make bench   set up, then print the speed ratios (tests/bench/)
# make page    set up, then write the tables and pictures of data/results again
# make agree   set up, then print how far the networks are from torch's
# make clean   remove what these commands made

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
.DEFAULT_GOAL := help

.PHONY: help
help:
	@sed -n 's/^# make/make/p' Makefile

# One stamp file for each set of extras, so that a second run installs nothing.
$(VENV)/.with-%: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	  || { echo "tinyadtn needs Python 3.10 or newer; name one: make PYTHON=python3.12 ..."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV): this takes a few minutes the first time"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[$*]"
	@touch $@

.PHONY: demo
demo: $(VENV)/.with-plot
	OPENBLAS_NUM_THREADS=1 $(BIN)/tinyadtn compress fc2 --out runs/demo --overwrite

# With TORCH=1 the comparison with torch is not skipped: torch is installed and must be there.
# With GPU=1 what tests a GPU runs on one, through CuPy, not on the stand-in (tests/strict_arrays.py).
.PHONY: test
test: $(VENV)/.with-test $(if $(TORCH),$(VENV)/.with-torch) $(if $(GPU),$(VENV)/.with-gpu)
	$(if $(TORCH),TINYADTN_REQUIRE_TORCH=1) $(if $(GPU),TINYADTN_GPU=1) OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

# Ten minutes on two quiet cores. Each part runs alone too: make deep-examples, and so on.
.PHONY: test-deep deep-examples deep-zoo deep-kills deep-course
test-deep: deep-zoo deep-kills deep-course deep-examples

# Every property with 1,000 examples, the parsers and the command line among them.
deep-examples: $(VENV)/.with-test $(if $(TORCH),$(VENV)/.with-torch)
	TINYADTN_HYPOTHESIS=deep OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m hypothesis

deep-zoo: $(VENV)/.with-test
	$(BIN)/python tests/bug_zoo.py

deep-kills: $(VENV)/.with-test
	$(BIN)/python tests/kill_runs.py 100

# The notebooks in full, in real kernels; the site in a browser, where there is one.
deep-course: $(VENV)/.with-test $(VENV)/.with-docs
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -m deep tests/test_notebooks.py tests/test_docs.py \
	  tests/test_teach_grading.py

# A tracer changes memory and timing: a test that fails only here is shown, and the report follows.
.PHONY: coverage
coverage: $(VENV)/.with-test
	-OPENBLAS_NUM_THREADS=1 $(BIN)/python -m coverage run -m pytest -p no:xdist tests tinyadtn
	$(BIN)/python -m coverage report

.PHONY: check
check: $(VENV)/.with-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

.PHONY: format
format: $(VENV)/.with-test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The copy in FOLDER is yours: what is in it is never overwritten, and `make clean` keeps it.
# ARGS are options of JupyterLab: make notebooks FOLDER=~/course ARGS="--no-browser --port 9999"
FOLDER ?= my-notebooks
.PHONY: notebooks
notebooks: $(VENV)/.with-notebooks
	$(BIN)/python -m tinyadtn.teach copy $(FOLDER)
	cd $(FOLDER) && OPENBLAS_NUM_THREADS=1 $(abspath $(BIN))/jupyter lab $(AS_ROOT) $(ARGS)

# JupyterLab does not start as root, as in a container, without this option.
AS_ROOT = $(if $(filter 0,$(shell id -u)),--allow-root)

# Notebooks run again if they or the library changed. TINYADTN_FAST=1: with fewer training steps.
# SOLUTIONS=0 leaves the folded solutions out of the pages.
.PHONY: docs
docs: $(VENV)/.with-docs
	$(if $(SOLUTIONS),TINYADTN_SOLUTIONS=$(SOLUTIONS)) OPENBLAS_NUM_THREADS=1 $(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet -c docs . build/docs
	@echo build/docs/index.html

.PHONY: bench
bench: $(VENV)/.with-bench $(VENV)/.with-plot
	$(BIN)/python tests/bench/bench_contraction.py
	OPENBLAS_NUM_THREADS=1 $(BIN)/python tests/bench/bench_decode.py
	OPENBLAS_NUM_THREADS=1 $(BIN)/python tests/bench/bench_freed_memory.py
	$(BIN)/python tests/bench/bench_decode_free.py
	OPENBLAS_NUM_THREADS=1 $(BIN)/python tests/bench/bench_routes.py
	$(BIN)/python tests/bench/bench_training_step.py
	$(BIN)/python tests/bench/bench_convolution.py
	OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(BIN)/python tests/bench/bench_overhead.py
	$(BIN)/python tests/bench/bench_networks.py
	OPENBLAS_NUM_THREADS=1 $(BIN)/python tests/bench/bench_cost.py
	$(BIN)/python tests/bench/bench_threads.py
	$(BIN)/python tests/bench/growth.py measure
	$(BIN)/python tests/bench/growth.py draw

# The tables of the pages in data/results, from the files of results beside them.
.PHONY: page
page: $(VENV)/.with-test
	OPENBLAS_NUM_THREADS=1 $(BIN)/python tests/bench/results_page.py

.PHONY: agree
agree: $(VENV)/.with-test $(VENV)/.with-torch
	OPENBLAS_NUM_THREADS=1 $(BIN)/python tests/bench/agree_with_torch.py

.PHONY: clean
clean:
	rm -rf $(VENV) runs build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
