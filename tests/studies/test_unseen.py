"""The benchmark, whole but tiny: from flags to a report, its numbers over corpora, and what it refuses."""

import pytest

from metaser_jax.config import UnseenConfig, presets
from metaser_jax.studies.unseen import run_unseen

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
