"""Learned inner learning rates: of each parameter (Meta-SGD), or of each layer and step.

  theta' = theta - alpha o grad L_support(theta),      alpha of theta's shape                    (Meta-SGD)
  theta_{j+1}^l = theta_j^l - alpha_j^l grad^l L_support(theta_j),      of layer l and step j    (MAML++, LSLR)

References: Li, Zhou, Chen, Li, "Meta-SGD: learning to learn quickly for few-shot learning", 2017, arXiv 1707.09835;
Antoniou, Edwards, Storkey, "How to train your MAML", ICLR 2019, section 4.

NOTE: all rates start at inner_lr, where Meta-SGD's paper draws them at random.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Unpack

import jax
import jax.numpy as jnp
from flax import nnx

from metaser_jax.meta.bilevel import InnerOptions, Order, Rule, bilevel, with_inner_options
from metaser_jax.meta.learner import Learner
from metaser_jax.models.losses import LossFn
from metaser_jax.types import Params


class MetaSGDParams(NamedTuple):
    """Meta-parameters of Meta-SGD: params of the model; rates, a pytree like params."""

    params: Params
    rates: Params


class LayerRatesParams(NamedTuple):
    """Meta-parameters of layer_rates: params of the model; rates, a vector [inner_steps] in place of each layer."""

    params: Params
    rates: Any


@with_inner_options
def meta_sgd(
    loss_fn: LossFn,
    inner_lr: float = 2e-4,
    inner_steps: int = 1,
    order: Order = "second",
    **options: Unpack[InnerOptions],
) -> Learner:
    """Make a Meta-SGD learner; its meta-parameters are MetaSGDParams.

    Args:
      loss_fn, inner_steps, order: as maml's.
      inner_lr: of every parameter, at the start.
      options: see InnerOptions.

    Returns:
      Learner.

    Raises:
      InputError: an unknown or impossible value.

    Example:
      With maml's loss_fn, params and episode:

      >>> learner = metaser_jax.meta_sgd(loss_fn, inner_lr=0.1)
      >>> loss, grads, info = learner.value_and_grad(learner.init(params), episode)
      >>> sorted(grads.rates)  # the rate of each parameter has a gradient
      ['a', 'b']
    """
    rule = Rule(
        init=lambda params: MetaSGDParams(params, jax.tree.map(lambda p: jnp.full_like(p, inner_lr), params)),
        params=lambda meta_params: meta_params.params,
        scale=times_rates,
    )
    return bilevel(loss_fn, rule, inner_lr, inner_steps, order, **options)


@with_inner_options
def layer_rates(
    loss_fn: LossFn,
    inner_lr: float = 2e-4,
    inner_steps: int = 1,
    order: Order = "second",
    **options: Unpack[InnerOptions],
) -> Learner:
    """Make a learner of per-layer, per-step rates; its meta-parameters are LayerRatesParams.

    Args:
      loss_fn, inner_steps, order: as maml's.
      inner_lr: of every layer and step, at the start.
      options: see InnerOptions.

    Returns:
      Learner.

    Raises:
      InputError: an unknown or impossible value.

    Example:
      With maml's loss_fn and params, whose dict is one layer:

      >>> learner = metaser_jax.layer_rates(loss_fn, inner_lr=0.1, inner_steps=3)
      >>> learner.init(params).rates.shape
      (3,)
    """

    def init(params: Params) -> LayerRatesParams:
        def of_layer(layer: Params) -> jax.Array:
            return jnp.full(inner_steps, inner_lr, jax.tree.leaves(layer)[0].dtype)

        return LayerRatesParams(params, each_layer(of_layer, params))

    def scale(meta_params: LayerRatesParams, updates: Params, step: jax.Array) -> Params:
        return times_layer_rates(lambda rates: jnp.asarray(rates)[step], meta_params.rates, updates)

    rule = Rule(init=init, params=lambda meta_params: meta_params.params, scale=scale)
    return bilevel(loss_fn, rule, inner_lr, inner_steps, order, **options)


def times_rates(meta_params: Any, updates: Params, step: jax.Array) -> Params:
    """Multiply the updates by `meta_params.rates`, a pytree like them."""
    del step
    return jax.tree.map(jnp.multiply, meta_params.rates, updates)


def times_layer_rates(rate_of: Callable[[jax.Array], jax.Array], learned: Any, updates: Params) -> Params:
    """Multiply the updates of each layer by its rate, the scalar that `rate_of` makes of what was learned of it."""
    return jax.tree.map(
        lambda of, layer: jax.tree.map(lambda u: rate_of(of).astype(u.dtype) * u, layer), learned, updates
    )


def each_layer(function: Callable[[Params], Any], params: Params) -> Any:
    """Map a function over the layers of params."""
    return jax.tree.map(function, params, is_leaf=_is_layer)


def _is_layer(node: Any) -> bool:
    """Tell whether a node holds parameters and no further container of them: lstm_1, hidden, layers[0], ..."""

    def is_parameter(part: Any) -> bool:
        # Or nothing: None, {}.
        return isinstance(part, nnx.Variable) or jax.tree_util.treedef_is_leaf(jax.tree.structure(part))

    children = jax.tree.leaves(node, is_leaf=lambda part: part is not node)
    return bool(jax.tree.leaves(node)) and not is_parameter(node) and all(map(is_parameter, children))
