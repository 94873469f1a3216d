"""Table of the functions that make the learners of `specs.algorithms.ALGORITHMS`."""

import functools
from collections.abc import Callable

from metaser_jax.meta.anil import anil
from metaser_jax.meta.cautious import cautious_proto_maml
from metaser_jax.meta.learned_rates import layer_rates, meta_sgd
from metaser_jax.meta.learner import Learner
from metaser_jax.meta.maml import maml
from metaser_jax.meta.proto_maml import proto_maml
from metaser_jax.meta.r2d2 import r2d2
from metaser_jax.meta.reptile import reptile

LEARNERS: dict[str, Callable[..., Learner]] = {
    "maml": maml,
    "anil": anil,
    "meta_sgd": meta_sgd,
    "layer_rates": layer_rates,
    "reptile": reptile,
    "proto_maml": proto_maml,
    "proto_meta_sgd": functools.partial(proto_maml, learn_rates=True),
    "cautious_proto_maml": cautious_proto_maml,
    "r2d2": r2d2,
}
"""Each is (loss_fn, *, execution) -> Learner, with more keywords by the algorithm's traits:

  starts_last_layer: last_layer, and with has_steps prototype_scale.
  has_steps: inner_lr, inner_steps, inner_optimizer and inner_batch_size.
  has_order: order, anneal_episodes and multi_step_episodes.
"""
