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

from metaser_jax.meta.bilevel import Order, Rule, bilevel
from metaser_jax.meta.execution import AUTO, Execution
from metaser_jax.meta.inner_loop import INNER_LR
from metaser_jax.meta.last_layer import PrototypeStart, start_last_layer
from metaser_jax.meta.learner import Learner
from metaser_jax.models.last_layer import LastLayer
from metaser_jax.models.losses import LossFn
from metaser_jax.types import Batch, Params


class ProtoParams(NamedTuple):
    """What ProtoMAML learns.

    Attributes:
      params: of the model.
      start: how the last layer starts.
      rates: a pytree like params, the inner learning rate of each, as Meta-SGD's; None where none are learned.
    """

    params: Params
    start: PrototypeStart
    rates: Params | None


def proto_maml(
    loss_fn: LossFn,
    last_layer: LastLayer,
    inner_lr: float | None = None,
    inner_steps: int = 1,
    order: Order = "second",
    *,
    learn_rates: bool = False,
    inner_optimizer: optax.GradientTransformation | None = None,
    inner_batch_size: int | None = None,
    anneal_episodes: int = 0,
    multi_step_episodes: int = 0,
    execution: Execution = AUTO,
) -> Learner:
    """Make a ProtoMAML learner; its meta-parameters are ProtoParams.

    Args:
      loss_fn: (params, batch) -> scalar, any; of `mean_loss` or `cross_entropy`, large sets are taken in chunks.
      last_layer: of the network; `models.classifier.last_layer` has ours.
      inner_lr: step size of the inner SGD, 2e-4 by default; not beside an inner_optimizer, unless rates are learned,
        which start at it.
      inner_steps: number of inner steps.
      order: "second", "first" or "annealed", as maml's.
      learn_rates: whether the inner rate of each parameter is learned, as Meta-SGD does.
      inner_optimizer: any optax transformation, instead of SGD; learned rates multiply its updates.
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
        zero = jnp.zeros((), jnp.result_type(last_layer.get(params).bias))
        rate = INNER_LR if inner_lr is None else inner_lr
        rates = jax.tree.map(lambda p: jnp.full_like(p, rate), params) if learn_rates else None
        return ProtoParams(params, PrototypeStart(zero, zero), rates)

    def start(meta_params: ProtoParams, support: Batch) -> Params:
        return start_last_layer(meta_params.start, last_layer, meta_params.params, support)

    def scale(meta_params: ProtoParams, updates: Params, step: jax.Array) -> Params:
        del step
        return jax.tree.map(jnp.multiply, meta_params.rates, updates)

    return bilevel(
        loss_fn,
        Rule(
            init=init,
            params=lambda meta_params: meta_params.params,
            start=start,
            scale=scale if learn_rates else None,
        ),
        inner_lr,
        inner_steps,
        order,
        inner_optimizer=inner_optimizer,
        inner_batch_size=inner_batch_size,
        anneal_episodes=anneal_episodes,
        multi_step_episodes=multi_step_episodes,
        execution=execution,
    )
