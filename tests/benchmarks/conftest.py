"""The benchmarks are programs of a folder: their modules are imported from there."""

import importlib
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "experiments" / "benchmarks"


@pytest.fixture(scope="session")
def benchmarks() -> Path:
    return BENCHMARKS


@pytest.fixture
def module(monkeypatch):
    """Name -> a benchmark's module."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module
