"""Which utterances of the target an adaptation learns from."""

import dataclasses

import numpy as np

from metaser_jax.config import FinetuneConfig
from metaser_jax.data import splits
from metaser_jax.datasets.ready import Ready
from metaser_jax.errors import check_choice
from metaser_jax.results.outcomes import Amount


def draw(config: FinetuneConfig, ready: Ready, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The utterances that a seed trains on and validates on: sorted indices into ready.corpus.

    They depend on the corpus, its split, config.shots or config.fraction, config.validation and the seed alone, so
    methods are compared on the same draws.

    Raises:
      InputError: the training part does not allow it.
    """
    corpus, pool = ready.corpus, ready.split.train
    if config.shots is not None:
        drawn = splits.draw_shots(corpus, pool, config.shots, seed)
    else:
        drawn = splits.draw_fraction(corpus, pool, config.fraction, seed)
    if config.validation == "split":
        return drawn, ready.split.valid
    if config.validation == "draw":
        return splits.hold_out(corpus, drawn, seed)
    return drawn, drawn[:0]


def draw_amount(config: FinetuneConfig, ready: Ready, amount: Amount, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """`draw` of another amount than the configuration's; raises an InputError for a bad amount as well."""
    check_choice("amount", amount.kind, ("shots", "fraction"))
    none = {"shots": None, "fraction": None}
    return draw(dataclasses.replace(config, **none | {amount.kind: amount.value}), ready, seed)
