"""Supervised learning behind the meta-learners' interface: no adaptation, one gradient on all utterances.

  theta <- theta - rate * grad mean_i L(theta; support_i and query_i)

What TransSER and MultiSER pre-train with (Chopra et al., ICASSP 2021); an episode is then a minibatch, divided into
tasks only so that devices can share it.
"""

import jax
import jax.numpy as jnp

from metaser_jax.meta.derivatives import derivatives
from metaser_jax.meta.execution import AUTO, Execution
from metaser_jax.meta.learner import Info, Learner
from metaser_jax.meta.over_tasks import mean_over_tasks
from metaser_jax.models.losses import LossFn
from metaser_jax.types import Batch, Episode, Params


def supervised(loss_fn: LossFn, *, execution: Execution = AUTO) -> Learner:
    """Make a learner without inner steps; its meta-parameters are the model's parameters, and `adapt` changes nothing.

    Args:
      loss_fn: (params, batch) -> scalar mean loss.
      execution: over_tasks and chunk matter here.

    Returns:
      Learner; the loss of its value_and_grad is the mean query loss, as everyone's, but its grads are those of the mean
      loss over all of a task's utterances, support and query, mean over tasks. Info's losses are both at the
      parameters given.

    Raises:
      InputError: an unknown or impossible value.
    """
    execution.check()
    execution = execution.resolve(inner_steps=1, utterances=0)  # which residuals alone depend on: of no effect here
    functions = derivatives(lambda params, fixed, batch: loss_fn(params, batch), execution)

    def value_and_grad(meta_params: Params, episode: Episode, step: jax.Array | int = 0):
        params = meta_params
        del step  # nothing is annealed

        def of_task(task: Episode):
            support_loss, support_grads = functions.value_and_grad(params, (), task.support)
            query_loss, query_grads = functions.value_and_grad(params, (), task.query)
            share = _support_share(task)
            grads = jax.tree.map(lambda s, q: q + jnp.asarray(share, q.dtype) * (s - q), support_grads, query_grads)
            return (query_loss, grads), Info(support_loss, query_loss)

        (loss, grads), info = mean_over_tasks(of_task, episode, execution.over_tasks)
        return loss, grads, info

    return Learner(
        init=lambda params: params,
        value_and_grad=value_and_grad,
        adapt=lambda params, support: params,
        params=lambda params: params,
    )


def _support_share(task: Episode) -> jax.Array | float:
    """Return the support set's part of a task's utterances, or of their weights."""

    def size(batch: Batch) -> jax.Array | float:
        return float(batch.y.shape[0]) if batch.weight is None else jnp.sum(batch.weight)

    support, total = size(task.support), size(task.support) + size(task.query)
    return support / jnp.where(total > 0, total, 1) if isinstance(total, jax.Array) else support / total
