"""An optimizer and its learning rate."""

import dataclasses

from metaser_jax.specs.base import Spec, option, require

OPTIMIZERS = ("adam", "adamw", "sgd")
SCHEDULES = ("constant", "cyclical", "cosine")


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerSpec(Spec):
    """An optimizer and its learning rate over the steps."""

    TITLE = "The optimizer"

    optimizer: str = option("Optimizer: adam, adamw or sgd.", "adam", choices=OPTIMIZERS, common=True)
    lr: float = option("Learning rate; with --schedule=cyclical its highest.", 1e-3, common=True)
    schedule: str = option(
        "Learning rate over the steps: constant, cyclical (triangular, between --base_lr and --lr, as the paper's "
        "baselines) or cosine (from --lr to zero in --half_cycle steps of a stage).",
        "constant",
        choices=SCHEDULES,
    )
    base_lr: float = option("With --schedule=cyclical: the lowest learning rate.", 0.0)
    half_cycle: int = option(
        "With --schedule=cyclical: steps from --base_lr to --lr, and as many back; with cosine: steps to zero.", 0
    )
    weight_decay: float = option("With --optimizer=adamw: its weight decay.", 0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.lr > 0, "lr", self.lr, "a number above 0")
        if self.schedule == "cyclical":
            expected = f"a number above 0 and at most --lr={self.lr}"
            require(0 < self.base_lr <= self.lr, "base_lr", self.base_lr, expected)
        else:
            require(self.base_lr == 0, "base_lr", self.base_lr, "0 without --schedule=cyclical")
        if self.schedule == "constant":
            require(self.half_cycle == 0, "half_cycle", self.half_cycle, "0 with --schedule=constant")
        else:
            self._require_one_or_more("half_cycle")
        require(self.weight_decay >= 0, "weight_decay", self.weight_decay, "0 or more")
        decays = self.weight_decay == 0 or self.optimizer == "adamw"
        require(decays, "weight_decay", self.weight_decay, "0 without --optimizer=adamw")
