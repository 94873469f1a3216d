"""Fine-tuning."""

import dataclasses

from metaser_jax.config.base import option, require
from metaser_jax.config.model import ModelConfig

# The optimizer of the inner loop, with what it has learned.
INNER = "inner"


@dataclasses.dataclass(frozen=True, kw_only=True)
class FinetuneConfig(ModelConfig):
    """experiments/finetune.py. The network and its input are those of --init, unless that is scratch."""

    data_dir: str = option("Folder of prepared corpora (experiments/prepare.py).")
    init: str = option(
        "Run directory to start from (experiments/meta_train.py or pretrain.py), or scratch, or svm: no network, but a "
        "support vector machine on statistics of the same MFCC, for which flags about networks and their training are "
        "errors."
    )
    target: str = option("Corpus to adapt to.")
    out: str = option("Folder for results.jsonl and config.json.")
    sources: tuple[str, ...] = option(
        "With --init=svm: corpora, separated by commas, whose training parts it learns from as well.", ()
    )
    split: str = option(
        "random, as the paper, or speaker: no speaker in two parts.", "random", choices=("random", "speaker")
    )
    split_seed: int = option("Seed of the target's train, validation and test parts.", 0)
    folds: int = option(
        "For corpora of few speakers: 0 is one split; K >= 2 with --split=speaker: K folds over speakers, each is the "
        "test part once, and the results have a line per fold and seed. Where too few speakers are left for a "
        "validation part of their own, it shares those of the training part.",
        0,
    )
    shots: int | None = option("Training utterances per emotion; or give --fraction.", None)
    fraction: float | None = option("Fraction of the training part, above 0 and at most 1; or give --shots.", None)
    adapt: str = option("Layers to adapt: all, or the dense head.", "all", choices=("all", "head"))
    validation: str = option(
        "Where the utterances come from whose loss stops training: split (the validation part, a fifth of the training "
        "data, as the paper), draw (a fifth of the drawn utterances, held out) or none (train for --max_epochs).",
        "split",
        choices=("split", "draw", "none"),
    )
    normalise_by: str = option(
        "What --normalise=corpus takes its statistics from, and auto also its choice: train, all of the target's "
        "training part (without its labels but for auto's choice), or drawn, the drawn utterances alone, which is what "
        "somebody has who has recorded no others.",
        "train",
        choices=("train", "drawn"),
    )
    seeds: int = option("Repetitions, seeds 0, 1, ...: each draws its own utterances.", 5)
    optimizer: str = option(
        "Optimizer: adam, adamw, sgd, or inner: SGD with the inner rates that --init has learned (meta_train.py "
        "--algorithm=meta_sgd), each parameter's own; from a start that has learned none, SGD with --lr.",
        "adam",
        choices=("adam", "adamw", "sgd", INNER),
    )
    lr: float = option("Learning rate; with --schedule=cyclical its highest.", 1e-3)
    schedule: str = option(
        "Learning rate over the steps: constant, or cyclical (triangular, between --base_lr and --lr, as the paper's "
        "baselines).",
        "constant",
        choices=("constant", "cyclical"),
    )
    base_lr: float = option("With --schedule=cyclical: the lowest learning rate.", 0.0)
    half_cycle: int = option("With --schedule=cyclical: steps from --base_lr to --lr, and as many back.", 0)
    weight_decay: float = option("With --optimizer=adamw: its weight decay.", 0.0)
    batch_size: int = option("Utterances per step.", 64)
    max_epochs: int = option("Passes over the drawn utterances, at most.", 200)
    patience: int = option("Epochs without a lower validation loss before training stops.", 20)

    devices: int = option("Devices that share the runs: on a CPU one per core at most; 0 takes all.", 0)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(not self.sources or self.init == "svm", "sources", self.sources, "none without --init=svm")
        require(len(set(self.sources)) == len(self.sources), "sources", self.sources, "each corpus once")
        require(self.target not in self.sources, "sources", self.sources, f"none that is the target, {self.target}")
        require(self.folds == 0 or self.folds >= 2, "folds", self.folds, "0 (one split) or 2 or more")
        require(self.folds == 0 or self.split == "speaker", "folds", self.folds, "0 without --split=speaker")
        given = [flag for flag in ("shots", "fraction") if getattr(self, flag) is not None]
        require(len(given) == 1, "shots", given, "exactly one of --shots=K and --fraction=F")
        if self.shots is not None:
            self._require_one_or_more("shots")
        else:
            require(0 < self.fraction <= 1, "fraction", self.fraction, "a number above 0 and at most 1")
        self._require_one_or_more("seeds", "batch_size", "max_epochs", "patience")
        require(self.lr > 0, "lr", self.lr, "a number above 0")
        require(self.devices >= 0, "devices", self.devices, "0 or more")
        if self.schedule == "cyclical":
            require(self.optimizer != INNER, "schedule", self.schedule, f"constant with --optimizer={INNER}")
            expected = f"a number above 0 and at most --lr={self.lr}"
            require(0 < self.base_lr <= self.lr, "base_lr", self.base_lr, expected)
            self._require_one_or_more("half_cycle")
        else:
            for flag in ("base_lr", "half_cycle"):
                require(getattr(self, flag) == 0, flag, getattr(self, flag), "0 without --schedule=cyclical")
        require(self.weight_decay >= 0, "weight_decay", self.weight_decay, "0 or more")
        require(
            self.weight_decay == 0 or self.optimizer == "adamw",
            "weight_decay",
            self.weight_decay,
            "0 without --optimizer=adamw",
        )
