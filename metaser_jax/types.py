"""Array types of the numeric core, and the axis legend.

Axes, in this order wherever they occur:
  task   tasks of one episode (T)
  n      utterances: support or query set of a task, or a batch
  time   MFCC frames, 120 per utterance; of statistics of the voice, one row
  coef   MFCC coefficients, 20 per frame; of statistics of the voice, 171
  class  emotions; k shots per class make n = k * class, grouped by class
  H      hidden units of an LSTM layer

An utterance with fewer than 120 real frames is zero-padded at its end; normalised features keep the padding at zero.
So the real frames of x are those up to its last frame that is not all zero (`frame_mask`), and no length travels
beside x.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import jax

N_MFCC = 20
"""MFCC per frame; what else a frame of the input has comes after them."""

N_FRAMES = 120
"""Frames of MFCC of an utterance, 2.79 s."""

Params = Any
"""A pytree of arrays: what model.init returns."""


Augment = Callable[["jax.Array", "jax.Array"], "jax.Array"]
"""(key, x [n, time, coef]) -> x, changed at random: what a training utterance may go through."""


class Batch(NamedTuple):
    """Utterances and their classes.

    Attributes:
      x: [..., n, time, coef] float, MFCC; for learners any pytree of arrays [..., n, ...].
      y: [..., n] int32, class; for learners whatever the loss takes, [..., n, ...].
      weight: [..., n] float, weight of each utterance in a mean loss; None weighs all alike.
    """

    x: jax.Array
    y: jax.Array
    weight: jax.Array | None = None


class Episode(NamedTuple):
    """A meta-training step's data: `task` tasks, each with a support set to adapt on and a query set to score.

    Attributes:
      support: x [task, n_support, time, coef], y [task, n_support].
      query: x [task, n_query, time, coef], y [task, n_query].
    """

    support: Batch
    query: Batch
