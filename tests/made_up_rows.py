"""Rows as the evaluation writes them, made up: their numbers mean nothing."""

import numpy as np
import pytest

from metaser_jax.results.metrics import scores


@pytest.fixture(scope="session")
def make_row():
    def make(seed=0, **fields):
        draw = np.random.default_rng([seed, *"".join(map(str, fields.values())).encode()])
        label = np.repeat(np.arange(4), (8, 5, 6, 4))
        predicted = np.where(draw.random(len(label)) < 0.6, label, draw.integers(0, 4, len(label)))
        row = {"method": "metaser", "order": None, "sources": ["tess", "emodb"], "target": "urdu", "language": "Urdu"}
        row |= {"split": "random", "split_digest": "0123456789abcdef", "fold": None, "folds": None}
        row |= {"shots": 5, "fraction": None, "adapt": "all", "normalise": "speaker", "seed": seed}
        row |= {"emotions": ["angry", "happy", "neutral", "sad"], "n_train": 20, "n_valid": 20, "n_test": len(label)}
        return row | {"speaker_oracle_macro_f1": 0.94, "seconds": 1.5} | scores(label, predicted, 4) | fields

    return make


@pytest.fixture(scope="session")
def many_rows(make_row):
    """2 targets, 2 methods, 3 amounts, 3 seeds."""
    return [
        make_row(seed, target=target, language=language, method=method, order=order, shots=shots)
        for target, language in (("urdu", "Urdu"), ("emodb", "German"))
        for method, order in (("metaser", "first"), ("scratch", None))
        for shots in (1, 5, 20)
        for seed in range(3)
    ]


@pytest.fixture(scope="session")
def metrics():
    names = ("support_loss", "query_loss_before", "query_loss_after", "query_loss_mean")
    return [
        {"episode": e, **dict.fromkeys(names, 1.4 - e / 1000), "valid_query_loss": 1.3 if e % 20 == 0 else None}
        for e in range(10, 101, 10)
    ]
