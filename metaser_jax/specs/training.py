"""Specifications of training: on source corpora, of baselines and on a target; the optimizer and its rate."""

import dataclasses

from metaser_jax.specs.base import Spec, option
from metaser_jax.specs.network import TrainSpec

OPTIMIZERS = ("adam", "adamw", "sgd")
# The optimizer of the inner loop, with what it has learned.
INNER = "inner"
# What the start does in its meta-training.
LEARNER = "learner"


@dataclasses.dataclass(frozen=True, kw_only=True)
class SourcesSpec(TrainSpec):
    """A network that learns from source corpora, in intervals, with checkpoints."""

    TITLE = "The sources"

    sources: tuple[str, ...] = option(distinct=True)
    """Corpora to learn from, separated by commas."""
    learn_from: str = option("train", choices=("train", "all"))
    """What of each source is learned from: train, its training part (56 %, as the paper), or all but the validation
    part (86 %), since nothing is scored on a source."""
    split_seed: int = option(0)
    """Seed of the sources' train, validation and test parts."""
    log_every: int = option(1, least=1)
    """Steps per line of metrics.jsonl, and per dispatch to the device."""
    checkpoint_every: int = option(1, least=1)
    """Steps between checkpoints; a multiple of --log_every."""
    devices: int = option(0, how=True, least=0)
    """Devices that share a step."""
    chunk: int = option(-1, how=True, least=-1)
    """Utterances whose gradient is computed at once; 0 is all. -1: 20 on a CPU, else all."""

    def __post_init__(self) -> None:
        super().__post_init__()
        whole = self.checkpoint_every % self.log_every == 0
        self.require(whole, "checkpoint_every", f"a multiple of --log_every={self.log_every}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerSpec(Spec):
    """An optimizer and its learning rate over the steps."""

    TITLE = "The optimizer"

    optimizer: str = option("adam", choices=OPTIMIZERS, common=True)
    """Optimizer: adam, adamw or sgd."""
    lr: float = option(1e-3, common=True, above=0)
    """Learning rate; with --schedule=cyclical its highest."""
    schedule: str = option("constant", choices=("constant", "cyclical", "cosine"))
    """Learning rate over the steps: constant, cyclical (triangular, between --base_lr and --lr, as the paper's
    baselines) or cosine (from --lr to zero in --half_cycle steps of a stage)."""
    base_lr: float = option(0.0, least=0)
    """With --schedule=cyclical: the lowest learning rate."""
    half_cycle: int = option(0, least=0)
    """With --schedule=cyclical: steps from --base_lr to --lr, and as many back; with cosine: steps to zero."""
    weight_decay: float = option(0.0, least=0)
    """With --optimizer=adamw: its weight decay."""

    def __post_init__(self) -> None:
        super().__post_init__()
        valid = 0 < self.base_lr <= self.lr if self.schedule == "cyclical" else self.base_lr == 0
        expected = f"a number above 0 and at most --lr={self.lr} with --schedule=cyclical, else 0"
        self.require(valid, "base_lr", expected)
        cycles = (self.half_cycle > 0) == (self.schedule != "constant")
        self.require(cycles, "half_cycle", "1 or more, or 0 with --schedule=constant")
        self.require(self.weight_decay == 0 or self.optimizer == "adamw", "weight_decay", "0 without --optimizer=adamw")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PretrainSpec(OptimizerSpec, SourcesSpec):
    """A pre-training of TransSER or MultiSER."""

    TITLE = "Pre-training"

    sources: tuple[str, ...] = option(distinct=True)
    """Corpora to learn from, separated by commas; for transser in this order."""
    method: str = option(choices=("transser", "multiser"))
    """transser: one source after another, each until its validation loss converges; multiser: minibatches of all
    sources in turn."""
    batch_size: int = option(64, common=True, least=2)
    """Utterances per step, an even number."""
    feature_dropout: float = option(0.0, least=0, below=1)
    """Share of each utterance's coefficients that training leaves out."""
    label_smoothing: float = option(0.0, least=0, below=1)
    """Share of each label that training divides among all emotions."""
    max_epochs: int = option(1000, common=True, least=1)
    """Passes over the sources, at most; for transser over each source."""
    patience: int = option(20, common=True, least=1)
    """Epochs without a lower validation loss before it has converged."""
    seed: int = option(0, common=True)
    """Seed of the initial parameters and of the minibatches."""
    log_every: int = option(5, least=1)
    """Epochs per line of metrics.jsonl, and per dispatch to the device."""
    checkpoint_every: int = option(50, least=1)
    """Epochs between checkpoints; a multiple of --log_every."""
    devices: int = option(0, how=True, least=0)
    """Devices that share a minibatch: on a CPU one per core at most; 0 takes as many as divide half of it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        decays = self.optimizer != "adamw" or self.weight_decay > 0
        self.require(decays, "weight_decay", "a number above 0 with --optimizer=adamw")
        self.require(self.batch_size % 2 == 0, "batch_size", "an even number")
        divides = self.devices == 0 or self.batch_size % (2 * self.devices) == 0
        self.require(divides, "devices", f"a divisor of {self.batch_size // 2}, half of --batch_size")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FinetuneSpec(OptimizerSpec, TrainSpec):
    """A fine-tuning; which clips it learns from is the Target's."""

    TITLE = "Fine-tuning"

    adapt: str = option("all", choices=("all", "head"), common=True)
    """Layers to adapt: all, or the dense head."""
    validation: str = option("split", choices=("split", "draw", "none"), common=True)
    """Where the utterances come from whose loss stops training: split (the validation part, a fifth of the training
    data, as the paper), draw (a fifth of the drawn utterances, held out) or none (train for --max_epochs)."""
    normalise_by: str = option("train", choices=("train", "drawn"))
    """What --normalise=corpus takes its statistics from, and auto also its choice: train, all of the target's training
    part (without its labels but for auto's choice), or drawn, the drawn utterances alone, which is what somebody has
    who has recorded no others."""
    optimizer: str = option("adam", choices=(*OPTIMIZERS, INNER, LEARNER), common=True)
    """Optimizer: adam, adamw, sgd, or inner: SGD with the inner rates that --init has learned (meta-train
    --algorithm=meta_sgd), each parameter's own; or learner: all that the run of --init does to a support set, its
    steps, rates and start of the last layer. From a start that has neither, both are SGD with --lr."""
    batch_size: int = option(64, least=1)
    """Utterances per step."""
    max_epochs: int = option(200, common=True, least=1)
    """Passes over the drawn utterances, at most."""
    patience: int = option(20, least=1)
    """Epochs without a lower validation loss before training stops."""
    devices: int = option(0, how=True, least=0)
    """Devices that share the runs: on a CPU one per core at most; 0 takes all."""

    def __post_init__(self) -> None:
        learned = f"with --optimizer={self.optimizer}"
        if self.optimizer in (INNER, LEARNER):
            self.require(self.schedule == "constant", "schedule", f"constant {learned}")
        if self.optimizer == LEARNER:
            self.require(self.adapt == "all", "adapt", f"all {learned}")
            self.require(self.validation == "none", "validation", f"none {learned}")
        super().__post_init__()
