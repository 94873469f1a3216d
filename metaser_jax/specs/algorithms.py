"""The table of meta-learners: the name and the traits of each, for flags, starts, studies and reports.

`training/trainer.py` has the functions that make them. To add a learner, write its module and add a line to each table.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

ORDERS = ("second", "first", "annealed")


class Algorithm(NamedTuple):
    """A meta-learner.

    Attributes:
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


ALGORITHMS: dict[str, Algorithm] = {
    # MetaSER is the paper's name for what it does with MAML, and the name that its runs have always had on disk.
    "maml": Algorithm("MAML", labels={"second": "MAML, second order", "first": "FOMAML"}, method="metaser"),
    "anil": Algorithm("ANIL", "adapts the dense layers alone"),
    "meta_sgd": Algorithm("Meta-SGD", "learns each parameter's inner rate", learned_rates="parameter"),
    "layer_rates": Algorithm(
        "MAML with layer rates", "learns each layer's and step's inner rate", learned_rates="step"
    ),
    "reptile": Algorithm("Reptile", has_order=False, least_steps=5),
    "proto_maml": Algorithm("ProtoMAML", "starts the last layer with the classes' prototypes", starts_last_layer=True),
    "proto_meta_sgd": Algorithm(
        "ProtoMAML with learned rates",
        "proto_maml that learns each parameter's inner rate",
        starts_last_layer=True,
        learned_rates="parameter",
    ),
    "cautious_proto_maml": Algorithm(
        "Cautious ProtoMAML",
        "proto_maml that learns layers' inner rates, and how far to trust few utterances",
        starts_last_layer=True,
        learned_rates="layer",
    ),
    "r2d2": Algorithm(
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
