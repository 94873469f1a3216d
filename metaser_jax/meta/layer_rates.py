"""Learned rates per layer and per inner step, as in MAML++.

  theta_{j+1}^l = theta_j^l - alpha_j^l grad^l L_support(theta_j)        for layer l, alpha learned as theta is

Reference: Antoniou, Edwards, Storkey, "How to train your MAML", ICLR 2019, section 4 (LSLR).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from metaser_jax.meta.bilevel import Order, Rule, bilevel
from metaser_jax.meta.execution import AUTO, Execution
from metaser_jax.meta.learner import Learner
from metaser_jax.models.losses import LossFn
from metaser_jax.types import Params


class LayerRatesParams(NamedTuple):
    """Attributes: params of the model; rates, params with each layer in place of a vector [inner_steps]."""

    params: Params
    rates: Any


def _is_layer(node: Any) -> bool:
    """Return whether a node holds parameters and no further container of them: lstm_1, hidden, layers[0], ..."""

    def is_parameter(part: Any) -> bool:
        # Or nothing: None, {}.
        return isinstance(part, nnx.Variable) or jax.tree_util.treedef_is_leaf(jax.tree.structure(part))

    children = jax.tree.leaves(node, is_leaf=lambda part: part is not node)
    return bool(jax.tree.leaves(node)) and not is_parameter(node) and all(map(is_parameter, children))


def each_layer(function: Callable[[Params], Any], params: Params) -> Any:
    """Return params with what a function makes of each layer in its place."""
    return jax.tree.map(function, params, is_leaf=_is_layer)


def layer_rates(
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
    """Make a learner of per-layer, per-step rates; its meta-parameters are LayerRatesParams.

    Args:
      loss_fn: (params, batch) -> scalar, any; of `mean_loss` or `cross_entropy`, large sets are taken in chunks.
      inner_lr: of every layer and step, at the start.
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

    def init(params: Params) -> LayerRatesParams:
        def of_layer(layer: Params) -> jax.Array:
            return jnp.full(inner_steps, inner_lr, jax.tree.leaves(layer)[0].dtype)

        return LayerRatesParams(params, each_layer(of_layer, params))

    def scale(meta_params: LayerRatesParams, updates: Params, step: jax.Array) -> Params:
        return jax.tree.map(
            lambda rates, layer: jax.tree.map(
                lambda update: jnp.asarray(rates)[step].astype(update.dtype) * update, layer
            ),
            meta_params.rates,
            updates,
        )

    rule = Rule(init=init, params=lambda meta_params: meta_params.params, scale=scale)
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
