"""The interface that every meta-learner has: a NamedTuple of pure functions, as optax's GradientTransformation."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from metaser_jax.types import Batch, Episode, Params

MetaParams = Any
"""What a learner meta-learns: the model's parameters, and for some learners more (learned rates)."""


class Info(NamedTuple):
    """Diagnostics of one episode.

    Attributes:
      support_loss: [task], before the first inner step.
      query_loss: [task], after adaptation.
    """

    support_loss: jax.Array
    query_loss: jax.Array


class Learner(NamedTuple):
    """A meta-learning algorithm.

    Attributes:
      init: params -> meta_params.
      value_and_grad: (meta_params, episode) -> (loss, grads, info): the mean over tasks of the query loss after
        adaptation, its gradient with respect to meta_params (first-order algorithms: their estimate of it), and Info.
      adapt: (meta_params, support) -> params of the model, adapted to one task; support x [n, time, coef].
    """

    init: Callable[[Params], MetaParams]
    value_and_grad: Callable[[MetaParams, Episode], tuple[jax.Array, MetaParams, Info]]
    adapt: Callable[[MetaParams, Batch], Params]
