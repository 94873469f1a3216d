"""The interface that every meta-learner has: a NamedTuple of pure functions, as optax's GradientTransformation."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax

from metaser_jax.types import Batch, Episode, Params

MetaParams = Any
"""What a learner meta-learns: the model's parameters, and for some learners more (learned rates)."""


class Info(NamedTuple):
    """Diagnostics of one episode.

    Attributes:
      support_loss: [task], before the first inner step (of its minibatch, where there are some).
      query_loss: [task], after adaptation.
    """

    support_loss: jax.Array
    query_loss: jax.Array


class ValueAndGrad(Protocol):
    """A learner's meta-gradient."""

    def __call__(
        self, meta_params: MetaParams, episode: Episode, step: jax.Array | int = 0
    ) -> tuple[jax.Array, MetaParams, Info]:
        """Return (meta_params, episode, step) -> (loss, grads, info).

        Args:
          meta_params: from `init`.
          episode: the tasks.
          step: episodes done before this one, scalar int; only annealed settings look at it.

        Returns:
          The mean over tasks of the query loss after adaptation (of every step, where a multi-step loss is on); its
          gradient with respect to meta_params (first-order algorithms: their estimate of it); Info.
        """
        ...


class Learner(NamedTuple):
    """A meta-learning algorithm.

    Attributes:
      init: params -> meta_params.
      value_and_grad: (meta_params, episode, step=0) -> (loss, grads, info), see ValueAndGrad.
      adapt: (meta_params, support) -> params of the model, adapted to one task; support x [n, time, coef].
      params: meta_params -> params of the model, before adaptation.
    """

    init: Callable[[Params], MetaParams]
    value_and_grad: ValueAndGrad
    adapt: Callable[[MetaParams, Batch], Params]
    params: Callable[[MetaParams], Params]
