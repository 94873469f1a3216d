"""ProtoMAML: inner steps that start with a last layer made of the support set's class prototypes.

  W_0 = (1 - b) W + b s P(support),      b = sigmoid(blend), s = exp(log_scale) learned with all else

The derivative goes through the prototypes as well; with first order the inner gradients alone are constants.

Reference: Triantafillou et al., "Meta-Dataset: a dataset of datasets for learning to learn from few examples", ICLR
2020, section 3.

NOTE: the paper starts with the prototypes alone, which is b = 1; blended with a last layer that was trained on the
sources, classes that are the same in all tasks keep what is known of them.
"""

from typing import NamedTuple, Unpack

import jax
import jax.numpy as jnp

from metaser_jax.meta.bilevel import InnerOptions, Order, Rule, bilevel, with_inner_options
from metaser_jax.meta.inner_loop import INNER_LR
from metaser_jax.meta.last_layer import PrototypeStart, start_last_layer
from metaser_jax.meta.learned_rates import times_rates
from metaser_jax.meta.learner import Learner
from metaser_jax.models.classifier import LastLayer
from metaser_jax.models.losses import LossFn
from metaser_jax.types import Batch, Params


class ProtoParams(NamedTuple):
    """Meta-parameters of ProtoMAML.

    Attributes:
      params: of the model.
      start: how the last layer starts.
      rates: a pytree like params, the inner learning rate of each, as Meta-SGD's; None where none are learned.
    """

    params: Params
    start: PrototypeStart
    rates: Params | None


@with_inner_options
def proto_maml(
    loss_fn: LossFn,
    last_layer: LastLayer,
    inner_lr: float | None = None,
    inner_steps: int = 1,
    order: Order = "second",
    *,
    learn_rates: bool = False,
    prototype_scale: float = 1.0,
    **options: Unpack[InnerOptions],
) -> Learner:
    """Make a ProtoMAML learner; its meta-parameters are ProtoParams.

    Args:
      loss_fn, inner_steps, order: as maml's.
      last_layer: of the network; `models.classifier.last_layer` has ours.
      inner_lr: as maml's; may stand beside an inner_optimizer where rates are learned, which start at it.
      learn_rates: whether the inner rate of each parameter is learned, as Meta-SGD does.
      prototype_scale: of the prototypes' layer, at the start.
      options: see InnerOptions.

    Returns:
      Learner; blend starts at a half.

    Raises:
      InputError: an unknown or impossible value; when called, labels that are neither whole numbers nor one-hot.

    Example:
      Two tasks of two classes, with a small network of ours:

      >>> import jax, metaser_jax
      >>> model = metaser_jax.Perceptron(hidden_dim=4, num_classes=2)
      >>> x = jax.random.normal(jax.random.key(0), (2, 6, 1, 3))  # [task, n, 1, feature]
      >>> batch = metaser_jax.Batch(x, (x[:, :, 0, 0] > 0).astype(int))
      >>> episode, params = metaser_jax.Episode(batch, batch), model.init(jax.random.key(1), x[0])
      >>> loss_fn, last_layer = metaser_jax.cross_entropy(model.apply), metaser_jax.last_layer(model)
      >>> learner = metaser_jax.proto_maml(loss_fn, last_layer, inner_lr=0.1)
      >>> loss, grads, info = learner.value_and_grad(learner.init(params), episode)
    """

    def init(params: Params) -> ProtoParams:
        dtype = jnp.result_type(last_layer.get(params).bias)
        start = PrototypeStart(jnp.zeros((), dtype), jnp.log(jnp.asarray(prototype_scale, dtype)))
        rate = INNER_LR if inner_lr is None else inner_lr
        rates = jax.tree.map(lambda p: jnp.full_like(p, rate), params) if learn_rates else None
        return ProtoParams(params, start, rates)

    def start(meta_params: ProtoParams, support: Batch) -> Params:
        return start_last_layer(meta_params.start, last_layer, meta_params.params, support)

    scale = times_rates if learn_rates else None
    rule = Rule(init=init, params=lambda meta_params: meta_params.params, start=start, scale=scale)
    return bilevel(loss_fn, rule, inner_lr, inner_steps, order, **options)
