"""The benchmark, whole but tiny: from flags to a report, its numbers over corpora, and what it refuses."""

import json

import numpy as np
import pytest
from fakes import fake_corpus

from metaser_jax import InputError
from metaser_jax.adaptation import egemaps
from metaser_jax.config import UnseenConfig, presets
from metaser_jax.studies.entry import study_of
from metaser_jax.studies.plan import even_folds
from metaser_jax.studies.unseen import run_unseen
from metaser_jax.specs.studies import UnseenSpec

CORPORA = ("ravdess", "emodb", "urdu")


def unseen_config(out, **changes):
    values = {"data_dir": "data", "out": str(out), "corpora": CORPORA, "shots": (0, 2), "seeds": 3, "folds": 3}
    values |= {"pretrain_seeds": 1, "resamples": 50, "methods": ("metaser", "fomaml", "multiser", "joint", "svm")}
    return UnseenConfig(**values | changes)


@pytest.fixture
def preset(tiny, monkeypatch):
    """The recommended learner is Meta-SGD."""
    monkeypatch.setitem(
        presets.META_TRAIN, "recommended", presets.META_TRAIN["recommended"] | {"algorithm": "meta_sgd"}
    )
    return tiny


def test_benchmark(tmp_path, preset):
    page = run_unseen(unseen_config(tmp_path / "o"), "python experiments/unseen.py", corpora=preset).read_text()
