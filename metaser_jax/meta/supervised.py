"""Supervised learning behind the meta-learners' interface: no adaptation, one gradient on all utterances.

  theta <- theta - rate * grad mean_i L(theta; support_i and query_i)

What TransSER and MultiSER pre-train with (Chopra et al., ICASSP 2021); an episode is then a minibatch, divided into
tasks only so that devices can share it.
"""

import jax
import jax.numpy as jnp

from metaser_jax.meta.derivatives import derivatives
from metaser_jax.meta.execution import AUTO, Execution, mean_over_tasks
from metaser_jax.meta.learner import Info, Learner, make_learner
from metaser_jax.models.losses import LossFn, MeanLoss
from metaser_jax.types import Batch, Episode, Params


def supervised(loss_fn: LossFn, *, execution: Execution = AUTO) -> Learner:
    """Make a learner without inner steps; its meta-parameters are the model's parameters, and `adapt` changes nothing.

    Args:
      loss_fn: (params, batch) -> scalar, any; of `mean_loss` or `cross_entropy`, large sets are taken in chunks.
      execution: over_tasks and chunk matter here.

    Returns:
      Learner; the loss of its value_and_grad is the mean query loss, as everyone's, but its grads are those of the loss
      of all of a task's utterances together, support and query, mean over tasks. Info's losses are both at the
      parameters given.

    Raises:
      InputError: an unknown or impossible value.

    Example:
      With maml's loss_fn, params and episode:

      >>> learner = metaser_jax.supervised(loss_fn)
      >>> loss, grads, info = learner.value_and_grad(params, episode)
      >>> learner.adapt(params, metaser_jax.Batch(episode.support.x[0], episode.support.y[0])) is params
      True
    """

    def value_and_grad(execution: Execution, meta_params: Params, episode: Episode, step: jax.Array | int):
        del step  # nothing is annealed
        # No derivative is taken of the gradient, of which the number of utterances would decide what is kept.
        functions = derivatives(lambda params, fixed, batch: loss_fn(params, batch), execution.resolve(1, utterances=0))

        def of_task(task: Episode):
            support_loss, support_grads = functions.value_and_grad(meta_params, (), task.support)
            query_loss, query_grads = functions.value_and_grad(meta_params, (), task.query)
            info = Info(support_loss, query_loss)
            if not isinstance(loss_fn, MeanLoss):
                return query_loss, functions.value_and_grad(meta_params, (), _together(task))[1], info
            share = _support_share(task)
            grads = jax.tree.map(lambda s, q: q + jnp.asarray(share, q.dtype) * (s - q), support_grads, query_grads)
            return query_loss, grads, info

        return mean_over_tasks(of_task, episode, execution.over_tasks)

    return make_learner(loss_fn, execution, value_and_grad, lambda execution, params, support: params)


def _together(task: Episode) -> Batch:
    """Return a task's support and query utterances as one batch."""
    weight = task.support.weight if task.query.weight is None else task.query.weight

    def weighted(batch: Batch) -> Batch:
        if weight is None or batch.weight is not None:
            return batch
        return batch._replace(weight=jnp.ones(batch.y.shape[:1], weight.dtype))

    return jax.tree.map(lambda *arrays: jnp.concatenate(arrays), *map(weighted, task))


def _support_share(task: Episode) -> jax.Array | float:
    """Return the support set's part of a task's utterances, or of their weights."""

    def size(batch: Batch) -> jax.Array | float:
        return float(batch.y.shape[0]) if batch.weight is None else jnp.sum(batch.weight)

    support, total = size(task.support), size(task.support) + size(task.query)
    return support / jnp.where(total > 0, total, 1) if isinstance(total, jax.Array) else support / total
