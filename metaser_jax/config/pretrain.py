"""Pre-training of the baselines."""

import dataclasses

from metaser_jax.config.base import option, require
from metaser_jax.config.training import TrainingConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class PretrainConfig(TrainingConfig):
    """experiments/pretrain.py."""

    sources: tuple[str, ...] = option("Corpora to learn from, separated by commas; for transser in this order.")
    method: str = option(
        "transser: one source after another, each until its validation loss converges; multiser: minibatches of all "
        "sources in turn.",
        choices=("transser", "multiser"),
    )
    optimizer: str = option("Optimizer.", "adam", choices=("adam", "adamw", "sgd"))
    weight_decay: float = option("With --optimizer=adamw: weight decay.", 0.0)
    lr: float = option("Learning rate; with --schedule=cyclical the highest.", 1e-3)
    schedule: str = option(
        "Learning rate over the steps: constant, or cyclical (up and down in straight lines).",
        "constant",
        choices=("constant", "cyclical"),
    )
    base_lr: float = option("With --schedule=cyclical: the lowest learning rate.", 0.0)
    half_cycle: int = option("With --schedule=cyclical: steps from the lowest rate to the highest.", 0)
    batch_size: int = option("Utterances per step, an even number.", 64)
    max_epochs: int = option("Passes over the sources, at most; for transser over each source.", 1000)
    patience: int = option("Epochs without a lower validation loss before it has converged.", 20)
    seed: int = option("Seed of the initial parameters and of the minibatches.", 0)
    split_seed: int = option("Seed of the sources' train, validation and test parts.", 0)
    log_every: int = option("Epochs per line of metrics.jsonl, and per dispatch to the device.", 5)
    checkpoint_every: int = option("Epochs between checkpoints; a multiple of --log_every.", 50)
    devices: int = option(
        "Devices that share a minibatch: on a CPU one per core at most; 0 takes as many as divide half of it.", 0
    )
    chunk: int = option("Utterances whose gradient is computed at once; 0 is all. -1: 20 on a CPU, else all.", -1)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(bool(self.sources), "sources", self.sources, "at least one corpus")
        require(len(set(self.sources)) == len(self.sources), "sources", self.sources, "each corpus once")
        self._require_one_or_more("max_epochs", "patience", "log_every", "checkpoint_every")
        require(self.lr > 0, "lr", self.lr, "a number above 0")
        cyclical, decays = self.schedule == "cyclical", self.optimizer == "adamw"
        require(
            0 < self.base_lr <= self.lr if cyclical else self.base_lr == 0,
            "base_lr",
            self.base_lr,
            f"a number above 0 and at most --lr={self.lr} with --schedule=cyclical, and 0 without",
        )
        require(
            self.half_cycle >= 1 if cyclical else self.half_cycle == 0,
            "half_cycle",
            self.half_cycle,
            "1 or more with --schedule=cyclical, and 0 without",
        )
        require(
            self.weight_decay > 0 if decays else self.weight_decay == 0,
            "weight_decay",
            self.weight_decay,
            "a number above 0 with --optimizer=adamw, and 0 without",
        )
        require(
            self.batch_size >= 2 and self.batch_size % 2 == 0, "batch_size", self.batch_size, "an even number from 2 on"
        )
        require(self.devices >= 0, "devices", self.devices, "0 or more")
        require(
            self.devices == 0 or self.batch_size % (2 * self.devices) == 0,
            "devices",
            self.devices,
            f"a divisor of {self.batch_size // 2}, half of --batch_size",
        )
        require(self.chunk >= -1, "chunk", self.chunk, "-1 (the default), 0 (all at once) or a number of utterances")
        require(
            self.checkpoint_every % self.log_every == 0,
            "checkpoint_every",
            self.checkpoint_every,
            f"a multiple of --log_every={self.log_every}",
        )
