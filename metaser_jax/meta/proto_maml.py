"""ProtoMAML: inner steps that start with a last layer made of the support set's class prototypes.

  W_0 = (1 - b) W + b s P(support),      b = sigmoid(blend), s = exp(log_scale) learned with all else

The derivative goes through the prototypes as well; with first order the inner gradients alone are constants.

Reference: Triantafillou et al., "Meta-Dataset: a dataset of datasets for learning to learn from few examples", ICLR
2020, section 3.

NOTE: the paper starts with the prototypes alone, which is b = 1; blended with a last layer that was trained on the
sources, classes that are the same in all tasks keep what is known of them.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaser_jax.meta.accumulate import typed_as
from metaser_jax.meta.bilevel import Order, Rule, bilevel
from metaser_jax.meta.execution import AUTO, Execution
from metaser_jax.meta.last_layer import prototypes
from metaser_jax.meta.learner import Learner
from metaser_jax.models.last_layer import LastLayer
from metaser_jax.models.losses import LossFn
from metaser_jax.types import Batch, Params


class ProtoParams(NamedTuple):
    """Attributes: params of the model; blend and log_scale of the prototypes, scalars."""

    params: Params
    blend: jax.Array
    log_scale: jax.Array


def proto_maml(
    loss_fn: LossFn,
    last_layer: LastLayer,
    inner_lr: float | None = None,
    inner_steps: int = 1,
    order: Order = "second",
    *,
    inner_optimizer: optax.GradientTransformation | None = None,
    inner_batch_size: int | None = None,
    anneal_episodes: int = 0,
    multi_step_episodes: int = 0,
    execution: Execution = AUTO,
) -> Learner:
    """Make a ProtoMAML learner; its meta-parameters are ProtoParams.

    Args:
      loss_fn: (params, batch) -> scalar, any; of `mean_loss` or `cross_entropy`, large sets are taken in chunks.
      last_layer: of the network; `models.classifier.last_layer` has EmotionLSTM's.
      inner_lr: step size of the inner SGD, 2e-4 by default; not beside an inner_optimizer.
      inner_steps: number of inner steps.
      order: "second", "first" or "annealed", as maml's.
      inner_optimizer: any optax transformation, instead of SGD.
      inner_batch_size: utterances of an inner step, a divisor of the support set; None takes the whole set.
      anneal_episodes: of order "annealed": episodes of first order before second order begins.
      multi_step_episodes: episodes of MAML++'s multi-step loss, as maml's; 0 is off.
      execution: how it is computed; the value does not depend on it.

    Returns:
      Learner; blend and scale start at a half and at one.

    Raises:
      InputError: an unknown or impossible value; when called, labels that are neither whole numbers nor one-hot.
    """

    def init(params: Params) -> ProtoParams:
        dtype = jnp.result_type(last_layer.get(params).bias)
        return ProtoParams(params, jnp.zeros((), dtype), jnp.zeros((), dtype))

    def start(meta_params: ProtoParams, support: Batch) -> Params:
        params, blend, log_scale = meta_params
        own = last_layer.get(params)
        found = typed_as(own, prototypes(last_layer, params, support))
        share = jax.nn.sigmoid(blend)
        mixed = jax.tree.map(lambda w, p: (1 - share) * w + share * jnp.exp(log_scale) * p, own, found)
        return last_layer.put(params, typed_as(own, mixed))

    return bilevel(
        loss_fn,
        Rule(init=init, params=lambda meta_params: meta_params.params, start=start),
        inner_lr,
        inner_steps,
        order,
        inner_optimizer=inner_optimizer,
        inner_batch_size=inner_batch_size,
        anneal_episodes=anneal_episodes,
        multi_step_episodes=multi_step_episodes,
        execution=execution,
    )
