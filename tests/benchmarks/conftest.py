"""The benchmarks are programs of a folder: their modules are imported from there."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "experiments" / "benchmarks"


@pytest.fixture
def module(monkeypatch):
    """Name -> a benchmark's module."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


@pytest.fixture(scope="session")
def run_benchmark():
    """Run a benchmark's program on the CPU, without the tests' own flags of XLA."""

    def run(name, *arguments):
        environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
        environment |= {"JAX_PLATFORMS": "cpu", "PYTHON": sys.executable}
        command = [*([sys.executable] if name.endswith(".py") else []), BENCHMARKS / name, *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)

    return run
