# `make demo` and `make test` need nothing but Python 3.11 or newer and make: both make .venv and install into it.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test test-slow lint docs coverage fuzz bench install test-lowest test-newest test-wheel clean
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

# What make test leaves out: runs that are killed, jobs of several processes, launch files.
test-slow: install
	$(BIN)/python -m pytest --numprocesses=auto --dist=loadfile -m slow

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright
	$(BIN)/python tests/tools/budget.py

# The site, in site/: prose from docs/, reference from docstrings. Needs no network once it is installed.
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

$(VENV)/.docs: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable ".[docs]"
	touch $@

# Every test, and which lines of the package they reached; processes that tests start count as well.
coverage: install
	$(BIN)/python -m pytest --numprocesses=auto --dist=loadfile -m "" --cov=metaser_jax --cov-report=term:skip-covered

# Reads made-up recordings for five minutes, which must each be sound or a RecordingError; Linux, Python 3.11 or newer.
fuzz: install
	$(BIN)/python -m pip install --quiet --editable ".[fuzz]"
	$(BIN)/python tests/fuzz/fuzz_recordings.py -max_total_time=300 -timeout=20 -rss_limit_mb=4096 $(VENV)/.fuzzed

# Installs PyTorch, then times a meta-step against it: about ten minutes; wants a machine with nothing else to do.
bench: install
	$(BIN)/python -m pip install --editable ".[bench]"
	$(BIN)/python experiments/benchmarks/meta_step.py --out=runs/meta_step --shots=5

# The lower bounds of setup.py, in an environment of their own.
test-lowest:
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --editable ".[demo,plot,test]" --constraint tests/constraints-lowest.txt
	.venv-lowest/bin/python -m pytest --numprocesses=auto --dist=loadfile

# The newest versions of everything, pre-releases of jax, jaxlib, flax and optax too, in an environment of their own. It
# may fail: it says early where, and with which versions.
test-newest:
	$(PYTHON) -m venv .venv-newest
	.venv-newest/bin/python -m pip install --quiet --editable ".[demo,plot,test]"
	.venv-newest/bin/python -m pip install --quiet --upgrade --upgrade-strategy eager --pre jax jaxlib flax optax
	.venv-newest/bin/python -m pip list --format=freeze | grep -E "^(jax|jaxlib|flax|optax|numpy|orbax-checkpoint)=="
	.venv-newest/bin/python -m pytest --numprocesses=auto --dist=loadfile

# The README's way without a clone, on each of Python 3.11, 3.12 and 3.13 that is here, or on those of PYTHONS; three
# minutes each on two cores that have nothing else to do.
PYTHONS ?=
test-wheel:
	$(PYTHON) tests/wheel/journey.py $(PYTHONS)

clean:
	rm -rf $(VENV) .venv-lowest .venv-newest build *.egg-info
