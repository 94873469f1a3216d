"""Model-agnostic meta-learning, second and first order.

  min_theta  1/T sum_i L_query,i(theta_i'),     theta_i' = inner_loop(theta, support_i)     (MetaSER's eq. 2-5)

References: Finn, Abbeel, Levine, "Model-agnostic meta-learning for fast adaptation of deep networks", ICML 2017;
Chopra et al., ICASSP 2021, for its use on speech emotion.

NOTE: the mean over tasks, not the papers' sum: the meta learning rate then does not depend on the number of tasks.
"""

from typing import Literal

import jax
import jax.numpy as jnp
import optax

from metaser_jax.errors import InputError, check_choice
from metaser_jax.losses import LossFn
from metaser_jax.meta.inner_loop import inner_loop
from metaser_jax.meta.learner import Info, Learner
from metaser_jax.types import Batch, Episode, Params

ORDERS = ("first", "second")
OVER_TASKS = ("scan", "vmap")


def _vmap(function, episode: Episode):
    return jax.vmap(function)(episode)


def maml(
    loss_fn: LossFn,
    inner_lr: float = 2e-4,
    inner_steps: int = 1,
    order: Literal["first", "second"] = "second",
    inner_optimizer: optax.GradientTransformation | None = None,
    over_tasks: Literal["vmap", "scan"] | None = None,
) -> Learner:
    """MAML; its meta-parameters are the model's parameters.

    Args:
      loss_fn: (params, batch) -> scalar mean loss.
      inner_lr: step size of the inner SGD.
      inner_steps: number of inner steps, full batch.
      order: "second" differentiates through the inner steps; "first" (FOMAML) takes the query gradient at the adapted
        parameters.
      inner_optimizer: any optax transformation, instead of SGD at inner_lr.
      over_tasks: "vmap" computes all tasks of an episode at once; "scan" one after another, which keeps one task's
        residuals at a time. None takes vmap, but scan on a CPU, where the residuals of one task stay in the cache.

    Returns:
      Learner; its value_and_grad is exact for "second".

    Raises:
      InputError: unknown order or over_tasks, or inner_steps below 1.
    """
    check_choice("order", order, ORDERS)
    if over_tasks is not None:
        check_choice("over_tasks", over_tasks, OVER_TASKS)
    if inner_steps < 1:
        raise InputError(f"inner_steps: got {inner_steps}, expected 1 or more.")
    optimizer = optax.sgd(inner_lr) if inner_optimizer is None else inner_optimizer

    def run_inner(params: Params, support: Batch) -> tuple[Params, jax.Array]:
        return inner_loop(
            loss_fn, params, support, optimizer=optimizer, steps=inner_steps, first_order=order == "first"
        )

    def task_loss(params: Params, task: Episode) -> tuple[jax.Array, jax.Array]:
        adapted, support_losses = run_inner(params, task.support)
        return loss_fn(adapted, task.query), support_losses[0]

    def value_and_grad(params: Params, episode: Episode) -> tuple[jax.Array, Params, Info]:
        def task(task: Episode):
            return jax.value_and_grad(task_loss, has_aux=True)(params, task)

        one_by_one = over_tasks == "scan" or (over_tasks is None and jax.default_backend() == "cpu")
        (query_loss, support_loss), grads = (jax.lax.map if one_by_one else _vmap)(task, episode)
        mean_grads = jax.tree.map(lambda g: jnp.mean(g, axis=0), grads)
        return jnp.mean(query_loss), mean_grads, Info(support_loss, query_loss)

    def adapt(params: Params, support: Batch) -> Params:
        return run_inner(params, support)[0]

    return Learner(init=lambda params: params, value_and_grad=value_and_grad, adapt=adapt)
