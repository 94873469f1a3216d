# `make demo` and `make test` need nothing but Python 3.11 or newer and make: both make .venv and install into it.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test lint bench install test-lowest clean
.DELETE_ON_ERROR:

install: $(VENV)/.installed

$(VENV)/.installed: setup.py pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=23"
	$(BIN)/python -m pip install --editable ".[demo,plot,test]"
	touch $@

demo: install
	$(BIN)/python experiments/demo.py

test: install
	$(BIN)/python -m pytest --numprocesses=auto --dist=loadfile

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# Installs PyTorch, then times a meta-step against it: about ten minutes; wants a machine with nothing else to do.
bench: install
	$(BIN)/python -m pip install --editable ".[bench]"
	$(BIN)/python experiments/benchmarks/meta_step.py --out=runs/meta_step --shots=5

# The lower bounds of setup.py, in an environment of their own.
test-lowest:
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --editable ".[demo,plot,test]" --constraint tests/constraints-lowest.txt
	.venv-lowest/bin/python -m pytest --numprocesses=auto --dist=loadfile

clean:
	rm -rf $(VENV) .venv-lowest build *.egg-info
