"""Meta-SGD: the inner learning rate of every single parameter is learned with the parameters.

  theta' = theta - alpha o grad L_support(theta),      alpha of theta's shape, learned as theta is

Reference: Li, Zhou, Chen, Li, "Meta-SGD: learning to learn quickly for few-shot learning", 2017, arXiv 1707.09835.

NOTE: all rates start at inner_lr, where the paper draws them at random.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaser_jax.meta.bilevel import Order, Rule, bilevel
from metaser_jax.meta.execution import AUTO, Execution
from metaser_jax.meta.learner import Learner
from metaser_jax.models.losses import LossFn
from metaser_jax.types import Params


class MetaSGDParams(NamedTuple):
    """Attributes: params of the model; rates, a pytree like params: the inner learning rate of each."""

    params: Params
    rates: Params


def meta_sgd(
    loss_fn: LossFn,
    inner_lr: float = 2e-4,
    inner_steps: int = 1,
    order: Order = "second",
    *,
    inner_optimizer: optax.GradientTransformation | None = None,
    inner_batch_size: int | None = None,
    anneal_episodes: int = 0,
    multi_step_episodes: int = 0,
    execution: Execution = AUTO,
) -> Learner:
    """Make a Meta-SGD learner; its meta-parameters are MetaSGDParams.

    Args:
      loss_fn: (params, batch) -> scalar, any; of `mean_loss` or `cross_entropy`, large sets are taken in chunks.
      inner_lr: of every parameter, at the start.
      inner_steps: number of inner steps.
      order: "second", "first" or "annealed", as maml's.
      inner_optimizer: any optax transformation, instead of SGD; its updates are multiplied by the learned rates, so
        give it a learning rate of 1.
      inner_batch_size: utterances of an inner step, a divisor of the support set; None takes the whole set.
      anneal_episodes: of order "annealed": episodes of first order before second order begins.
      multi_step_episodes: episodes of MAML++'s multi-step loss, as maml's; 0 is off.
      execution: how it is computed; the value does not depend on it.

    Returns:
      Learner.

    Raises:
      InputError: an unknown or impossible value.
    """
    rule = Rule(
        init=lambda params: MetaSGDParams(params, jax.tree.map(lambda p: jnp.full_like(p, inner_lr), params)),
        params=lambda meta_params: meta_params.params,
        scale=lambda meta_params, updates, step: jax.tree.map(jnp.multiply, meta_params.rates, updates),
    )
    return bilevel(
        loss_fn,
        rule,
        inner_lr,
        inner_steps,
        order,
        inner_optimizer=inner_optimizer,
        inner_batch_size=inner_batch_size,
        anneal_episodes=anneal_episodes,
        multi_step_episodes=multi_step_episodes,
        execution=execution,
    )
