"""How a network is fine-tuned on a target."""

import dataclasses

from metaser_jax.specs.base import option, require
from metaser_jax.specs.network import TrainSpec
from metaser_jax.specs.optimizer import OPTIMIZERS, OptimizerSpec

# The optimizer of the inner loop, with what it has learned.
INNER = "inner"
# What the start does in its meta-training.
LEARNER = "learner"


@dataclasses.dataclass(frozen=True, kw_only=True)
class FinetuneSpec(OptimizerSpec, TrainSpec):
    """How a network is fine-tuned; which clips it learns from is the Target's."""

    TITLE = "Fine-tuning"

    adapt: str = option("Layers to adapt: all, or the dense head.", "all", choices=("all", "head"), common=True)
    validation: str = option(
        "Where the utterances come from whose loss stops training: split (the validation part, a fifth of the training "
        "data, as the paper), draw (a fifth of the drawn utterances, held out) or none (train for --max_epochs).",
        "split",
        choices=("split", "draw", "none"),
        common=True,
    )
    normalise_by: str = option(
        "What --normalise=corpus takes its statistics from, and auto also its choice: train, all of the target's "
        "training part (without its labels but for auto's choice), or drawn, the drawn utterances alone, which is what "
        "somebody has who has recorded no others.",
        "train",
        choices=("train", "drawn"),
    )
    optimizer: str = option(
        "Optimizer: adam, adamw, sgd, or inner: SGD with the inner rates that --init has learned (meta-train "
        "--algorithm=meta_sgd), each parameter's own; or learner: all that the run of --init does to a support set, "
        "its steps, rates and start of the last layer. From a start that has neither, both are SGD with --lr.",
        "adam",
        choices=(*OPTIMIZERS, INNER, LEARNER),
        common=True,
    )
    batch_size: int = option("Utterances per step.", 64)
    max_epochs: int = option("Passes over the drawn utterances, at most.", 200, common=True)
    patience: int = option("Epochs without a lower validation loss before training stops.", 20)
    devices: int = option("Devices that share the runs: on a CPU one per core at most; 0 takes all.", 0, how=True)

    def __post_init__(self) -> None:
        learned = f"with --optimizer={self.optimizer}"
        if self.optimizer in (INNER, LEARNER):
            require(self.schedule == "constant", "schedule", self.schedule, f"constant {learned}")
        if self.optimizer == LEARNER:
            require(self.adapt == "all", "adapt", self.adapt, f"all {learned}")
            require(self.validation == "none", "validation", self.validation, f"none {learned}")
        super().__post_init__()
        self._require_one_or_more("batch_size", "max_epochs", "patience")
        require(self.devices >= 0, "devices", self.devices, "0 or more")
