"""Configurations of the programs as frozen dataclasses: field name = flag name, help text beside the default."""

import dataclasses
from typing import Any

from metaser_jax.errors import InputError, check_choice
from metaser_jax.labels import EMOTIONS, FOUR_EMOTIONS


def option(help: str, default: Any = dataclasses.MISSING, *, choices: tuple[str, ...] = ()) -> Any:
    """A dataclass field with the help text and the valid values of its flag; without a default it is required."""
    return dataclasses.field(default=default, metadata={"help": help, "choices": choices})


def require(condition: bool, flag: str, got: Any, expected: str) -> None:
    """Raises an InputError that names the flag unless the condition holds."""
    if not condition:
        raise InputError(f"--{flag}: got {got!r}, expected {expected}.")


# How a run is computed and not what it is: it may be continued, and started from, with others.
HOW = ("devices", "over_tasks", "chunk", "hvp", "residuals", "recurrence")


class Config:
    """Base: a field with choices has one of them, however the configuration was made."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if field.metadata["choices"]:
                check_choice(f"--{field.name}", getattr(self, field.name), field.metadata["choices"])
            if field.name in ("seed", "split_seed"):
                seed = getattr(self, field.name)
                # More bits than a PRNG key takes would be dropped, and two seeds be the same.
                require(0 <= seed < 2**32, field.name, seed, "a number from 0 to 2**32 - 1")

    def _require_one_or_more(self, *flags: str) -> None:
        for flag in flags:
            require(getattr(self, flag) >= 1, flag, getattr(self, flag), "1 or more")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrepareConfig(Config):
    """experiments/prepare.py."""

    corpora: tuple[str, ...] = option(
        "Corpora to prepare, separated by commas; folder/NAME is a folder of your own, MANUAL_DIR/NAME/EMOTION/*.wav."
    )
    data_dir: str = option("Folder that the prepared corpora are written to.")
    manual_dir: str | None = option(
        "Folder with one folder per corpus (ravdess/, emodb/, urdu/ ...), each in its original layout or as its zip "
        "archive. Without it the corpora are downloaded into DATA_DIR/downloads, where their owners allow it.",
        None,
    )
    skip_bad: bool = option(
        "Leave out recordings that cannot be used, count and list them, instead of stopping.", False
    )
    drop_duplicates: bool = option(
        "Keep the first of several byte-identical recordings; the others are counted and listed.", False
    )
    language: str | None = option("For folder/NAME: English name of the language, for tables.", None)
    speaker_pattern: str | None = option(
        "For folder/NAME: regular expression that finds the speaker in a recording's path below the folder: its group "
        "named speaker, or its first group, or all that matches. Otherwise the folders that are no emotion.",
        None,
    )
    workers: int = option("Processes that extract features; 0 takes one per core.", 0)
    overwrite: bool = option("Prepare again what is already prepared.", False)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(bool(self.corpora), "corpora", self.corpora, "at least one corpus")
        for flag in ("language", "speaker_pattern"):
            own = any(name.startswith("folder/") for name in self.corpora)
            require(own or getattr(self, flag) is None, flag, getattr(self, flag), "a folder/NAME among --corpora")
        require(self.workers >= 0, "workers", self.workers, "0 (one per core) or a positive number")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CorporaConfig(Config):
    """experiments/corpora.py."""

    data_dir: str = option("Folder of prepared corpora (experiments/prepare.py).")
    corpora: tuple[str, ...] = option("Corpora to show, separated by commas; without it all that are prepared.", ())
    format: str = option("markdown or csv.", "markdown", choices=("markdown", "csv"))
    split_seed: int = option("Seed of the train, validation and test parts whose sizes are shown.", 0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig(Config):
    """The network and its input; part of what a run is, unless HOW names it."""

    emotions: tuple[str, ...] = option("Emotions to tell apart, separated by commas.", FOUR_EMOTIONS)
    hidden_dim: int = option("Hidden units of each LSTM layer and of the first dense layer.", 128)
    pooling: str = option(
        "How the second LSTM's states become one vector: the last of 120 (the paper), or mean, or mean and deviation, "
        "over the real frames.",
        "last",
        choices=("last", "mean", "mean_std"),
    )
    activation: str = option(
        "Non-linearity between the dense layers (the paper: none).", "none", choices=("none", "relu")
    )
    normalise: str = option(
        "Input normalisation over the real frames: none (the paper), or per corpus, per speaker, per utterance.",
        "none",
        choices=("none", "corpus", "speaker", "utterance"),
    )
    recurrence: str = option(
        "What runs the LSTM layers' loops over time: scan, or kernel (on CUDA one kernel per loop, not measured yet; "
        "elsewhere scan), for --hidden_dim=16, 32, 64 or 128.",
        "scan",
        choices=("scan", "kernel"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require(len(self.emotions) >= 2, "emotions", self.emotions, "at least two emotions")
        require(len(set(self.emotions)) == len(self.emotions), "emotions", self.emotions, "each emotion once")
        for emotion in self.emotions:
            check_choice("--emotions", emotion, EMOTIONS)
        self._require_one_or_more("hidden_dim")


@dataclasses.dataclass(frozen=True, kw_only=True)
class MetaTrainConfig(ModelConfig):
    """experiments/meta_train.py."""

    data_dir: str = option("Folder of prepared corpora (experiments/prepare.py).")
    sources: tuple[str, ...] = option("Corpora to learn from, separated by commas.")
    run_dir: str = option("Folder for the checkpoint, config.json and metrics.jsonl.")
    algorithm: str = option(
        "Meta-learner: maml; anil (adapts the dense layers alone); meta_sgd (learns each parameter's inner rate); "
        "layer_rates (learns each layer's and step's inner rate); reptile.",
        "maml",
        choices=("maml", "anil", "meta_sgd", "layer_rates", "reptile"),
    )
    order: str = option(
        "Derivative of the inner steps: second (exact), first (FOMAML), or annealed (first for --anneal_episodes, then "
        "second). reptile has none.",
        "second",
        choices=("first", "second", "annealed"),
    )
    anneal_episodes: int = option("With --order=annealed: episodes of first order.", 0)
    inner_steps: int = option("Gradient steps on a task's support set.", 1)
    inner_lr: float = option("Step size of the inner optimizer; where rates are learned, their start.", 2e-4)
    inner_optimizer: str = option(
        "Inner optimizer: sgd, momentum (SGD with 0.9) or adam.", "sgd", choices=("sgd", "momentum", "adam")
    )
    inner_batch_size: int = option("Utterances of an inner step, a divisor of the support set; 0 takes all.", 0)
    multi_step_episodes: int = option(
        "Episodes in which the query loss after every inner step counts, less and less (MAML++); 0 is off.", 0
    )
    meta_lr: float = option("Learning rate of the outer optimizer.", 1e-6)
    meta_optimizer: str = option(
        "Outer optimizer: adam, adamw (weight decay 1e-4) or sgd.", "adam", choices=("adam", "adamw", "sgd")
    )
    tasks_per_episode: int = option("Tasks per episode.", 8)
    shots: int = option("Support utterances per emotion and task.", 5)
    queries: int = option("Query utterances per emotion and task.", 10)
    episodes: int = option("Episodes to train for.", 10_000)
    pool_sources: bool = option("Draw each task from all sources together, instead of from one corpus.", False)
    seed: int = option("Seed of the initial parameters and of the episodes.", 0)
    split_seed: int = option("Seed of the sources' train, validation and test parts.", 0)
    log_every: int = option("Episodes per line of metrics.jsonl, and per dispatch to the device.", 20)
    checkpoint_every: int = option("Episodes between checkpoints; a multiple of --log_every.", 100)
    devices: int = option(
        "Devices that share an episode's tasks: on a CPU one per core at most; 0 takes as many as divide the tasks.", 0
    )
    over_tasks: str = option(
        "How a device goes through its tasks: scan (one by one) or vmap (at once). auto: scan on a CPU.",
        "auto",
        choices=("auto", "scan", "vmap"),
    )
    chunk: int = option("Utterances whose gradient is computed at once; 0 is all. -1: 20 on a CPU, else all.", -1)
    hvp: str = option(
        "Hessian-vector product of second order; reverse_over_reverse is the textbook's. auto: forward_over_reverse.",
        "auto",
        choices=("auto", "forward_over_reverse", "reverse_over_reverse"),
    )
    residuals: str = option(
        "Whether the Hessian-vector product keeps or recomputes the inner gradient's intermediates. auto: keep for one "
        "inner step on one chunk, recompute for more.",
        "auto",
        choices=("auto", "keep", "recompute"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require(bool(self.sources), "sources", self.sources, "at least one corpus")
        require(len(set(self.sources)) == len(self.sources), "sources", self.sources, "each corpus once")
        self._require_one_or_more("inner_steps", "tasks_per_episode", "shots", "queries", "episodes")
        self._require_one_or_more("log_every", "checkpoint_every")
        for flag in ("inner_lr", "meta_lr"):
            require(getattr(self, flag) > 0, flag, getattr(self, flag), "a number above 0")
        for flag in ("anneal_episodes", "inner_batch_size", "multi_step_episodes", "devices"):
            require(getattr(self, flag) >= 0, flag, getattr(self, flag), "0 or more")
        require(self.chunk >= -1, "chunk", self.chunk, "-1 (the default), 0 (all at once) or a number of utterances")
        annealed = self.algorithm != "reptile" and self.order == "annealed"
        require(
            annealed == (self.anneal_episodes > 0),
            "anneal_episodes",
            self.anneal_episodes,
            "1 or more with --order=annealed, and 0 without",
        )
        require(
            self.algorithm != "reptile" or self.multi_step_episodes == 0,
            "multi_step_episodes",
            self.multi_step_episodes,
            "0 with --algorithm=reptile, which learns nothing from the query sets",
        )
        size, batch = self.shots * len(self.emotions), self.inner_batch_size
        require(
            batch == 0 or size % batch == 0, "inner_batch_size", batch, f"a divisor of the {size} support utterances"
        )
        require(
            self.checkpoint_every % self.log_every == 0,
            "checkpoint_every",
            self.checkpoint_every,
            f"a multiple of --log_every={self.log_every}",
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class FinetuneConfig(ModelConfig):
    """experiments/finetune.py. The network and its input are those of --init, unless that is scratch."""

    data_dir: str = option("Folder of prepared corpora (experiments/prepare.py).")
    init: str = option("Run directory to start from (experiments/meta_train.py), or scratch.")
    target: str = option("Corpus to adapt to.")
    out: str = option("Folder for results.jsonl and config.json.")
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
    seeds: int = option("Repetitions, seeds 0, 1, ...: each draws its own utterances.", 5)
    optimizer: str = option("Optimizer.", "adam", choices=("adam", "sgd"))
    lr: float = option("Learning rate.", 1e-3)
    batch_size: int = option("Utterances per step.", 64)
    max_epochs: int = option("Passes over the drawn utterances, at most.", 200)
    patience: int = option("Epochs without a lower validation loss before training stops.", 20)

    def __post_init__(self) -> None:
        super().__post_init__()
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class DemoConfig(Config):
    """experiments/demo.py."""

    out: str = option("Folder for the recordings, the prepared corpora, the runs and the report.", "runs/demo")
    shots: tuple[int, ...] = option("Clips per emotion to adapt with, separated by commas.", (1, 5, 20))
    seeds: int = option("Repetitions of each adaptation, each with its own draw of clips.", 3)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(all(shots >= 1 for shots in self.shots) and self.shots, "shots", self.shots, "numbers from 1 on")
        self._require_one_or_more("seeds")
