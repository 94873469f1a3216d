"""ProtoMAML that learns how far to trust a support set, and how fast each layer learns.

  theta = theta_source + w (theta' - theta_source),      w = sigmoid(trust) k / (k + clips)

theta' is where ProtoMAML's inner steps end, at a rate of each layer; k is the number of utterances per class that the
support set has. Of no utterance nothing is learned, of few little: the sources' own network is what counts then. Trust,
clips and rates are learned with all else, from tasks of different k.

NOTE: ours. Interpolated parameters do as well here as interpolated logits, and are one network: experiments/README.md.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaser_jax.meta.bilevel import Order, Rule, bilevel
from metaser_jax.meta.execution import AUTO, Execution
from metaser_jax.meta.inner_loop import INNER_LR
from metaser_jax.meta.last_layer import PrototypeStart, labels_of, start_last_layer
from metaser_jax.meta.layer_rates import each_layer
from metaser_jax.meta.learner import Learner
from metaser_jax.models.last_layer import LastLayer
from metaser_jax.models.losses import LossFn
from metaser_jax.types import Batch, Params

# Scalars are stored divided by this: Adam, whose steps have one size, then moves them so many times as fast as weights.
FASTER = 10.0
# At the start: sigmoid(3), .95; the utterances per class at which half of that is trusted; and the blend, .73.
TRUST, CLIPS, BLEND = 3.0, 3.0, 1.0


class Caution(NamedTuple):
    """What is learned besides the parameters; each scalar divided by FASTER.

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
    """Attributes: params of the model; caution, a Caution."""

    params: Params
    caution: Caution


def cautious_proto_maml(
    loss_fn: LossFn,
    last_layer: LastLayer,
    inner_lr: float | None = None,
    inner_steps: int = 1,
    order: Order = "second",
    *,
    prototype_scale: float = 1.0,
    inner_optimizer: optax.GradientTransformation | None = None,
    inner_batch_size: int | None = None,
    anneal_episodes: int = 0,
    multi_step_episodes: int = 0,
    execution: Execution = AUTO,
) -> Learner:
    """Make a cautious ProtoMAML learner; its meta-parameters are CautiousParams.

    Args:
      loss_fn: (params, batch) -> scalar, any; of `mean_loss` or `cross_entropy`, large sets are taken in chunks.
      last_layer: of the network; `models.classifier.last_layer` has ours.
      inner_lr: of every layer, at the start; 2e-4 by default.
      inner_steps: number of inner steps.
      order: "second", "first" or "annealed", as maml's.
      prototype_scale: of the prototypes' layer, at the start.
      inner_optimizer: any optax transformation, instead of SGD; the learned rates multiply its updates.
      inner_batch_size: utterances of an inner step, a divisor of the support set; None takes the whole set.
      anneal_episodes: of order "annealed": episodes of first order before second order begins.
      multi_step_episodes: episodes of MAML++'s multi-step loss, as maml's; 0 is off.
      execution: how it is computed; the value does not depend on it.

    Returns:
      Learner.

    Raises:
      InputError: an unknown or impossible value; when called, labels that are neither whole numbers nor one-hot.
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
        return jax.tree.map(
            lambda log_rate, layer: jax.tree.map(lambda u: jnp.exp(FASTER * log_rate).astype(u.dtype) * u, layer),
            meta_params.caution.log_rates,
            updates,
        )

    def finish(meta_params: CautiousParams, adapted: Params, support: Batch) -> Params:
        source, caution = meta_params.params, meta_params.caution
        layer = last_layer.get(source)
        of_class, weight = labels_of(support, layer.bias.shape[-1], layer.bias.dtype)
        count = jnp.sum(of_class * weight[:, None], axis=0)
        k = jnp.sum(count) / jnp.maximum(jnp.sum(count > 0, dtype=count.dtype), 1)
        trust = jax.nn.sigmoid(FASTER * caution.trust) * k / (k + jnp.exp(FASTER * caution.log_clips))
        return jax.tree.map(lambda a, s: s + trust.astype(s.dtype) * (a - s), adapted, source)

    return bilevel(
        loss_fn,
        Rule(init=init, params=lambda meta_params: meta_params.params, start=start, scale=scale, finish=finish),
        inner_lr,
        inner_steps,
        order,
        inner_optimizer=inner_optimizer,
        inner_batch_size=inner_batch_size,
        anneal_episodes=anneal_episodes,
        multi_step_episodes=multi_step_episodes,
        execution=execution,
    )
