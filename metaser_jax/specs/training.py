"""How networks learn: from source corpora, as baselines, and from a target; the optimizer and its learning rate."""

import dataclasses

from metaser_jax.specs.base import Spec, option, require
from metaser_jax.specs.network import TrainSpec

OPTIMIZERS = ("adam", "adamw", "sgd")
SCHEDULES = ("constant", "cyclical", "cosine")
# The optimizer of the inner loop, with what it has learned.
INNER = "inner"
# What the start does in its meta-training.
LEARNER = "learner"


@dataclasses.dataclass(frozen=True, kw_only=True)
class SourcesSpec(TrainSpec):
    """A network that learns from source corpora, in intervals, with checkpoints."""

    TITLE = "The sources"

    sources: tuple[str, ...] = option("Corpora to learn from, separated by commas.")
    learn_from: str = option(
        "What of each source is learned from: train, its training part (56 %, as the paper), or all but the validation "
        "part (86 %), since nothing is scored on a source.",
        "train",
        choices=("train", "all"),
    )
    split_seed: int = option("Seed of the sources' train, validation and test parts.", 0)
    log_every: int = option("Steps per line of metrics.jsonl, and per dispatch to the device.", 1)
    checkpoint_every: int = option("Steps between checkpoints; a multiple of --log_every.", 1)
    devices: int = option("Devices that share a step.", 0, how=True)
    chunk: int = option(
        "Utterances whose gradient is computed at once; 0 is all. -1: 20 on a CPU, else all.", -1, how=True
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require(bool(self.sources), "sources", self.sources, "at least one corpus")
        require(len(set(self.sources)) == len(self.sources), "sources", self.sources, "each corpus once")
        self._require_one_or_more("log_every", "checkpoint_every")
        require(self.devices >= 0, "devices", self.devices, "0 or more")
        require(self.chunk >= -1, "chunk", self.chunk, "-1 (the default), 0 (all at once) or a number of utterances")
        require(
            self.checkpoint_every % self.log_every == 0,
            "checkpoint_every",
            self.checkpoint_every,
            f"a multiple of --log_every={self.log_every}",
        )


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
