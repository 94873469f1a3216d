"""Interface of every meta-learner: a NamedTuple of pure functions, as optax's GradientTransformation."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from metaser_jax.errors import InputError
from metaser_jax.meta.execution import Execution, on_its_platform
from metaser_jax.models.losses import LossFn
from metaser_jax.types import Batch, Episode, Params

MetaParams = Any
"""Meta-parameters: the model's parameters, and for some learners more (learned rates)."""


class Info(NamedTuple):
    """Diagnostics of one episode.

    Attributes:
      support_loss: [task], before the first inner step (of its minibatch, where there are some).
      query_loss: [task], after adaptation.
    """

    support_loss: jax.Array
    query_loss: jax.Array


class ValueAndGrad(Protocol):
    """Meta-gradient of a learner."""

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


def make_learner(
    loss_fn: LossFn,
    execution: Execution,
    value_and_grad: Callable[[Execution, MetaParams, Episode, jax.Array | int], tuple[jax.Array, MetaParams, Info]],
    adapt: Callable[[Execution, MetaParams, Batch], Params],
    *,
    init: Callable[[Params], MetaParams] = lambda params: params,
    params: Callable[[MetaParams], Params] = lambda meta_params: meta_params,
) -> Learner:
    """Make a learner that checks its arguments and takes the defaults of the platform that it is lowered for.

    Args:
      loss_fn: (params, batch) -> scalar.
      execution: as the user gave it.
      value_and_grad, adapt: as Learner's, but first they take the execution, whose over_tasks and chunk are filled in.
      init, params: as Learner's; by default the meta-parameters are the model's parameters.

    Raises:
      InputError: what Execution.checked refuses; when called, what is no Episode or Batch, or has no axis of tasks.
    """
    execution = execution.checked(loss_fn)
    of_one_task = execution._replace(over_tasks="scan")  # of no effect, but to be known

    def checked_value_and_grad(meta_params: MetaParams, episode: Episode, step: jax.Array | int = 0):
        _check_episode(episode)
        return on_its_platform(value_and_grad, execution, meta_params, episode, step)

    def checked_adapt(meta_params: MetaParams, support: Batch) -> Params:
        _check_batch("support", support, ("n",))
        return on_its_platform(adapt, of_one_task, meta_params, support)

    return Learner(init, checked_value_and_grad, checked_adapt, params)


def _check_episode(episode: Episode) -> None:
    if not isinstance(episode, Episode):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InputError(
            f"episode: got a {type(episode).__name__}, expected metaser_jax.Episode(support=..., query=...), each a "
            "metaser_jax.Batch(x, y)."
        )
    tasks = [_check_batch(f"episode.{name}", batch, ("task", "n")) for name, batch in episode._asdict().items()]
    if tasks[0] != tasks[1]:
        raise InputError(f"episode: got {tasks[0]} tasks of support and {tasks[1]} of query sets, expected as many.")


def _check_batch(name: str, batch: Batch, axes: tuple[str, ...]) -> int:
    """Return the length of a batch's first axis, or raise an InputError unless all its arrays begin with these axes."""
    if not isinstance(batch, Batch):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InputError(f"{name}: got a {type(batch).__name__}, expected a metaser_jax.Batch(x, y).")
    shape, expected = jnp.shape(batch.y), f"[{', '.join(axes)}, ...]"
    if len(shape) < len(axes):
        one_task = " A single task needs an axis as well: jax.tree.map(lambda a: a[None], episode)."
        raise InputError(f"{name}.y: got shape {list(shape)}, expected {expected}.{one_task if len(axes) > 1 else ''}")
    for field, arrays in batch._asdict().items():
        for array in jax.tree.leaves(arrays):
            if jnp.shape(array)[: len(axes)] != shape[: len(axes)]:
                raise InputError(
                    f"{name}.{field}: got shape {list(jnp.shape(array))} with a y of shape {list(shape)}, expected "
                    f"{expected} with the same {' and '.join(axes)}."
                )
    return shape[0]
