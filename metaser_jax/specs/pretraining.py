"""How the baselines are pre-trained."""

import dataclasses

from metaser_jax.specs.base import option, require
from metaser_jax.specs.optimizer import OptimizerSpec
from metaser_jax.specs.sources import SourcesSpec


@dataclasses.dataclass(frozen=True, kw_only=True)
class PretrainSpec(OptimizerSpec, SourcesSpec):
    """A pre-training of TransSER or MultiSER."""

    TITLE = "Pre-training"

    sources: tuple[str, ...] = option("Corpora to learn from, separated by commas; for transser in this order.")
    method: str = option(
        "transser: one source after another, each until its validation loss converges; multiser: minibatches of all "
        "sources in turn.",
        choices=("transser", "multiser"),
    )
    batch_size: int = option("Utterances per step, an even number.", 64, common=True)
    feature_dropout: float = option("Share of each utterance's coefficients that training leaves out.", 0.0)
    label_smoothing: float = option("Share of each label that training divides among all emotions.", 0.0)
    max_epochs: int = option("Passes over the sources, at most; for transser over each source.", 1000, common=True)
    patience: int = option("Epochs without a lower validation loss before it has converged.", 20, common=True)
    seed: int = option("Seed of the initial parameters and of the minibatches.", 0, common=True)
    log_every: int = option("Epochs per line of metrics.jsonl, and per dispatch to the device.", 5)
    checkpoint_every: int = option("Epochs between checkpoints; a multiple of --log_every.", 50)
    devices: int = option(
        "Devices that share a minibatch: on a CPU one per core at most; 0 takes as many as divide half of it.",
        0,
        how=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_one_or_more("max_epochs", "patience")
        for flag in ("feature_dropout", "label_smoothing"):
            require(0 <= getattr(self, flag) < 1, flag, getattr(self, flag), "from 0 (off) to below 1")
        decays = self.optimizer != "adamw" or self.weight_decay > 0
        require(decays, "weight_decay", self.weight_decay, "a number above 0 with --optimizer=adamw")
        require(
            self.batch_size >= 2 and self.batch_size % 2 == 0, "batch_size", self.batch_size, "an even number from 2 on"
        )
        require(
            self.devices == 0 or self.batch_size % (2 * self.devices) == 0,
            "devices",
            self.devices,
            f"a divisor of {self.batch_size // 2}, half of --batch_size",
        )
