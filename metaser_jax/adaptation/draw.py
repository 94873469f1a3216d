"""Which utterances of the target an adaptation learns from."""

import numpy as np

from metaser_jax.data import splits
from metaser_jax.data.target import Target
from metaser_jax.errors import InputError, check_choice
from metaser_jax.results.outcomes import Amount


def draw(target: Target, amount: Amount, validation: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw the utterances that a seed trains on and validates on: sorted indices into target.corpus.

    They depend on the corpus, its split and the arguments alone, so methods are compared on the same draws.

    Args:
      target: what is drawn from.
      amount: of its training part; 0 shots are no utterances.
      validation: where the others come from, see FinetuneSpec.
      seed: of the draw.

    Raises:
      InputError: a bad amount, or one that the training part does not allow.
    """
    check_choice("amount", amount.kind, ("shots", "fraction"))
    corpus, pool = target.corpus, target.split.train
    if amount.kind == "shots":
        if amount.value == 0 and validation == "draw":
            raise InputError("--validation=draw: got --shots=0, of which nothing can be held out. Give none or split.")
        drawn = splits.draw_shots(corpus, pool, int(amount.value), seed)
    else:
        drawn = splits.draw_fraction(corpus, pool, amount.value, seed)
    if validation == "split":
        return drawn, target.split.valid
    if validation == "draw":
        return splits.hold_out(corpus, drawn, seed)
    return drawn, drawn[:0]
