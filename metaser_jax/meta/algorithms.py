"""The meta-learners by name: how each is made, and what people call it.

Flags, starts, studies and reports read this. It imports no learner, and so no jax, before one is made. To add a
learner, write its module and add a line to ALGORITHMS.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from metaser_jax.meta.learner import Learner

ORDERS = ("second", "first", "annealed")


class Algorithm(NamedTuple):
    """A meta-learner.

    Attributes:
      make: (loss_fn, *, execution) -> Learner; where it has inner steps, also with the keywords inner_lr, inner_steps,
        inner_optimizer and inner_batch_size; an order, with order, anneal_episodes and multi_step_episodes; where it
        starts the last layer, with last_layer, and if it has steps as well with prototype_scale.
      name: what people call it.
      about: what is special about it, for the help of a flag; "" where nothing is.
      has_steps: whether it adapts by gradient steps on the support set.
      has_order: whether its meta-gradient can be of first or second order.
      starts_last_layer: whether it makes the network's last layer of the support set, by what its meta-parameters hold
        beside the parameters; so does an adaptation with --optimizer=learner.
      learned_rates: what has an inner rate of its own that is learned: each "parameter", each "layer", or each layer
        and "step"; None: nothing has. Fine-tuning takes over those of parameters.
      labels: order -> name, where people have one of their own for it.
      least_steps: the fewest inner steps with which it is more than joint training.
      method: `method` in config.json and results.jsonl; None is its key in ALGORITHMS.
    """

    make: Callable[..., Learner]
    name: str
    about: str = ""
    has_steps: bool = True
    has_order: bool = True
    starts_last_layer: bool = False
    learned_rates: Literal["parameter", "layer", "step"] | None = None
    labels: Mapping[str, str] = {}
    least_steps: int = 1
    method: str | None = None

    def label(self, order: str | None) -> str:
        """Return the name of what ran: "MAML, second order", "FOMAML", "ANIL, first order".

        Args:
          order: one of ORDERS; None was not recorded, or there is none.
        """
        if order is None or not self.has_order:
            return self.name
        return self.labels.get(order, self.name if order == "second" else f"{self.name}, {order} order")


def _maml(*args, **options) -> Learner:
    from metaser_jax.meta.maml import maml

    return maml(*args, **options)


def _anil(*args, **options) -> Learner:
    from metaser_jax.meta.anil import anil

    return anil(*args, **options)


def _meta_sgd(*args, **options) -> Learner:
    from metaser_jax.meta.meta_sgd import meta_sgd

    return meta_sgd(*args, **options)


def _layer_rates(*args, **options) -> Learner:
    from metaser_jax.meta.layer_rates import layer_rates

    return layer_rates(*args, **options)


def _reptile(*args, **options) -> Learner:
    from metaser_jax.meta.reptile import reptile

    return reptile(*args, **options)


def _proto_maml(*args, **options) -> Learner:
    from metaser_jax.meta.proto_maml import proto_maml

    return proto_maml(*args, **options)


def _proto_meta_sgd(*args, **options) -> Learner:
    return _proto_maml(*args, learn_rates=True, **options)


def _cautious_proto_maml(*args, **options) -> Learner:
    from metaser_jax.meta.cautious import cautious_proto_maml

    return cautious_proto_maml(*args, **options)


def _r2d2(*args, **options) -> Learner:
    from metaser_jax.meta.r2d2 import r2d2

    return r2d2(*args, **options)


ALGORITHMS: dict[str, Algorithm] = {
    # MetaSER is the paper's name for what it does with MAML, and the name that its runs have always had on disk.
    "maml": Algorithm(_maml, "MAML", labels={"second": "MAML, second order", "first": "FOMAML"}, method="metaser"),
    "anil": Algorithm(_anil, "ANIL", "adapts the dense layers alone"),
    "meta_sgd": Algorithm(_meta_sgd, "Meta-SGD", "learns each parameter's inner rate", learned_rates="parameter"),
    "layer_rates": Algorithm(
        _layer_rates, "MAML with layer rates", "learns each layer's and step's inner rate", learned_rates="step"
    ),
    "reptile": Algorithm(_reptile, "Reptile", has_order=False, least_steps=5),
    "proto_maml": Algorithm(
        _proto_maml, "ProtoMAML", "starts the last layer with the classes' prototypes", starts_last_layer=True
    ),
    "proto_meta_sgd": Algorithm(
        _proto_meta_sgd,
        "ProtoMAML with learned rates",
        "proto_maml that learns each parameter's inner rate",
        starts_last_layer=True,
        learned_rates="parameter",
    ),
    "cautious_proto_maml": Algorithm(
        _cautious_proto_maml,
        "Cautious ProtoMAML",
        "proto_maml that learns layers' inner rates, and how far to trust few utterances",
        starts_last_layer=True,
        learned_rates="layer",
    ),
    "r2d2": Algorithm(
        _r2d2,
        "R2-D2",
        "makes the last layer by ridge regression, without inner steps",
        has_steps=False,
        has_order=False,
        starts_last_layer=True,
    ),
}


def methods() -> dict[str, str]:
    """Return the algorithm of each `method` of a run on disk."""
    return {algorithm.method or name: name for name, algorithm in ALGORITHMS.items()}


def method_of(algorithm: str) -> str:
    """Return what config.json and results.jsonl call an algorithm."""
    return ALGORITHMS[algorithm].method or algorithm
