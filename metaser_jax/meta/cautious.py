"""ProtoMAML that learns how far to trust a support set, and how fast each layer learns.

  theta = theta_source + w (theta' - theta_source),      w = sigmoid(trust) k / (k + clips)

theta' is where ProtoMAML's inner steps end, at a rate of each layer; k is the number of utterances per class that the
support set has. Of no utterance nothing is learned, of few little: the sources' own network is what counts then. Trust,
clips and rates are learned with all else, from tasks of different k.

NOTE: ours. Interpolated parameters do as well here as interpolated logits, and are one network: experiments/README.md.
"""

import math
from typing import NamedTuple, Unpack

import jax
import jax.numpy as jnp

from metaser_jax.meta.bilevel import InnerOptions, Order, Rule, bilevel, with_inner_options
from metaser_jax.meta.inner_loop import INNER_LR
from metaser_jax.meta.last_layer import PrototypeStart, labels_of, start_last_layer
from metaser_jax.meta.learned_rates import each_layer, times_layer_rates
from metaser_jax.meta.learner import Learner
from metaser_jax.models.classifier import LastLayer
from metaser_jax.models.losses import LossFn
from metaser_jax.types import Batch, Params

# Scalars are stored divided by this: Adam, whose steps have one size, then moves them so many times as fast as weights.
FASTER = 10.0
# At the start: sigmoid(3), .95; the utterances per class at which half of that is trusted; and the blend, .73.
TRUST, CLIPS, BLEND = 3.0, 3.0, 1.0


class Caution(NamedTuple):
    """Learned trust, rates and prototypes, besides the parameters; each scalar divided by FASTER.

    Attributes:
      blend, log_scale: of the prototypes, as PrototypeStart's.
      trust: logit of the largest w. log_clips: logarithm of `clips`.
      log_rates: the parameters, with each layer in place of the logarithm of its inner rate.
    """

    blend: jax.Array
    log_scale: jax.Array
    trust: jax.Array
    log_clips: jax.Array
    log_rates: Params


class CautiousParams(NamedTuple):
    """Meta-parameters of cautious ProtoMAML: params of the model; caution, a Caution."""

    params: Params
    caution: Caution


@with_inner_options
def cautious_proto_maml(
    loss_fn: LossFn,
    last_layer: LastLayer,
    inner_lr: float | None = None,
    inner_steps: int = 1,
    order: Order = "second",
    *,
    prototype_scale: float = 1.0,
    **options: Unpack[InnerOptions],
) -> Learner:
    """Make a cautious ProtoMAML learner; its meta-parameters are CautiousParams.

    Args:
      loss_fn, inner_steps, order: as maml's.
      last_layer, prototype_scale: as proto_maml's.
      inner_lr: of every layer, at the start; 2e-4 by default.
      options: see InnerOptions.

    Returns:
      Learner.

    Raises:
      InputError: an unknown or impossible value; when called, labels that are neither whole numbers nor one-hot.

    Example:
      With proto_maml's loss_fn, last_layer, params and episode; of a support set without weight nothing is learned:

      >>> learner = metaser_jax.cautious_proto_maml(loss_fn, last_layer, inner_lr=0.1)
      >>> nothing = batch._replace(weight=0.0 * x[:, :, 0, 0])
      >>> adapted = learner.adapt(learner.init(params), jax.tree.map(lambda a: a[0], nothing))
      >>> all(map(bool, jax.tree.leaves(jax.tree.map(lambda a, b: (a == b).all(), adapted, params))))
      True
    """

    def init(params: Params) -> CautiousParams:
        dtype = jnp.result_type(last_layer.get(params).bias)

        def stored(value: float | jax.Array) -> jax.Array:
            return (value / jnp.asarray(FASTER, dtype)).astype(dtype)

        rate = jnp.log(jnp.asarray(INNER_LR if inner_lr is None else inner_lr, dtype))
        caution = Caution(
            stored(BLEND),
            stored(math.log(prototype_scale)),
            stored(TRUST),
            stored(math.log(CLIPS)),
            each_layer(lambda layer: stored(rate), params),
        )
        return CautiousParams(params, caution)

    def start(meta_params: CautiousParams, support: Batch) -> Params:
        caution = meta_params.caution
        how = PrototypeStart(FASTER * caution.blend, FASTER * caution.log_scale)
        return start_last_layer(how, last_layer, meta_params.params, support)

    def scale(meta_params: CautiousParams, updates: Params, step: jax.Array) -> Params:
        del step
        return times_layer_rates(lambda rate: jnp.exp(FASTER * rate), meta_params.caution.log_rates, updates)

    def finish(meta_params: CautiousParams, adapted: Params, support: Batch) -> Params:
        source, caution = meta_params.params, meta_params.caution
        layer = last_layer.get(source)
        of_class, weight = labels_of(support, layer.bias.shape[-1], layer.bias.dtype)
        count = jnp.sum(of_class * weight[:, None], axis=0)
        k = jnp.sum(count) / jnp.maximum(jnp.sum(count > 0, dtype=count.dtype), 1)
        trust = jax.nn.sigmoid(FASTER * caution.trust) * k / (k + jnp.exp(FASTER * caution.log_clips))
        return jax.tree.map(lambda a, s: s + trust.astype(s.dtype) * (a - s), adapted, source)

    rule = Rule(init=init, params=lambda meta_params: meta_params.params, start=start, scale=scale, finish=finish)
    return bilevel(loss_fn, rule, inner_lr, inner_steps, order, **options)
