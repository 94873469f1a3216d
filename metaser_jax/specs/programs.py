"""Configurations of the programs that prepare, train and fine-tune: a specification and where things are."""

import dataclasses

from metaser_jax.specs import FinetuneSpec, JobSpec, MetaTrainSpec, PretrainSpec, Spec, option, require, require_folds
from metaser_jax.specs.labelling import Labelling


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobConfig(JobSpec):
    """Trains on prepared corpora, in one process or several."""

    data_dir: str = option(
        "Folder of prepared corpora (metaser prepare); every process reads its own.",
        there="prepared corpora (metaser prepare)",
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingConfig(JobConfig):
    """A run in a directory of its own."""

    run_dir: str = option("Folder for the checkpoints, config.json and metrics.jsonl; process 0 writes it.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class MetaTrainConfig(MetaTrainSpec, TrainingConfig):
    """metaser meta-train."""

    TITLE = "Meta-learning"

    init: str = option(
        "Folder of a finished run of metaser pretrain whose parameters meta-training starts from, of the same network "
        "and input, with sources among --sources; multiser: such a run, trained first in RUN_DIR_multiser by "
        "pretrain's preset recommended; empty: random ones, by the seed.",
        "",
        common=True,
        there="a run of metaser pretrain, or multiser",
        named=("multiser",),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class PretrainConfig(PretrainSpec, TrainingConfig):
    """metaser pretrain."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FinetuneConfig(FinetuneSpec):
    """metaser finetune. The network and its input are those of --init, unless that is scratch."""

    TITLE = "The target"

    data_dir: str = option("Folder of prepared corpora (metaser prepare).", there="prepared corpora (metaser prepare)")
    init: str = option(
        "Run directory to start from (metaser meta-train or pretrain), or scratch; or no network, for which "
        "flags about networks and their training are errors: svm, a support vector machine on statistics of the same "
        "input, or joint, logistic regression on them, trained on all --sources and the drawn clips together.",
        there="a run (metaser meta-train or pretrain), scratch, svm or joint",
        named=("scratch", "svm", "joint"),
    )
    target: str = option("Corpus to adapt to.")
    out: str = option("Folder for results.jsonl and config.json.", short="o")
    sources: tuple[str, ...] = option(
        "With --init=svm or joint: corpora, separated by commas, whose training parts it learns from as well.",
        (),
        common=True,
    )
    split: str = option(
        "random, as the paper, or speaker: no speaker in two parts.",
        "random",
        choices=("random", "speaker"),
        common=True,
    )
    split_seed: int = option("Seed of the target's train, validation and test parts.", 0)
    folds: int = option(
        "For corpora of few speakers: 0 is one split; K >= 2 with --split=speaker: K folds over speakers, each of them "
        "the test part once, and the results have a line per fold and seed. Where too few speakers are left for a "
        "validation part of their own, it shares those of the training part.",
        0,
        common=True,
    )
    shots: int | None = option(
        "Training utterances per emotion, 0 for what --init itself says of the target; or give --fraction.",
        None,
        common=True,
    )
    fraction: float | None = option(
        "Fraction of the training part, above 0 and at most 1; or give --shots.", None, common=True
    )
    seeds: int = option("Number of draws (seeds 0, 1, ...), each of its own utterances.", 5, common=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        of_sources = self.init in ("svm", "joint")
        require(not self.sources or of_sources, "sources", self.sources, "none without --init=svm or joint")
        require(bool(self.sources) or self.init != "joint", "sources", self.sources, "corpora with --init=joint")
        require(len(set(self.sources)) == len(self.sources), "sources", self.sources, "each corpus once")
        require(self.target not in self.sources, "sources", self.sources, f"none that is the target, {self.target}")
        require_folds(self.folds, self.split == "speaker")
        given = [flag for flag in ("shots", "fraction") if getattr(self, flag) is not None]
        require(len(given) == 1, "shots", given, "exactly one of --shots=K and --fraction=F")
        if self.shots is not None:
            require(self.shots >= 0, "shots", self.shots, "0 or more")
            if self.shots == 0:
                learned = self.init != "scratch" and (self.init != "svm" or bool(self.sources))
                require(learned, "init", self.init, "a trained run with --shots=0, or svm with --sources")
        else:
            require(0 < self.fraction <= 1, "fraction", self.fraction, "a number above 0 and at most 1")
        self._require_one_or_more("seeds")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrepareConfig(Labelling):
    """metaser prepare."""

    corpora: tuple[str, ...] = option(
        "Corpora to prepare, separated by commas; folder/NAME is a folder of your own, MANUAL_DIR/NAME/EMOTION/*.wav."
    )
    data_dir: str = option("Folder that the prepared corpora are written to.")
    manual_dir: str | None = option(
        "Folder with one folder per corpus (ravdess/, emodb/, urdu/ ...), each in its original layout or as its zip "
        "archive. Without it the corpora are downloaded into DATA_DIR/downloads, where their owners allow it.",
        None,
        common=True,
    )
    skip_bad: bool = option(
        "Leave out recordings that cannot be used, count and list them, instead of stopping.", False, common=True
    )
    drop_duplicates: bool = option(
        "Keep the first of several byte-identical recordings; the others are counted and listed.", False
    )
    language: str | None = option("For folder/NAME: English name of the language, for tables.", None, common=True)
    workers: int = option("Processes that extract features; 0 takes one per core.", 0)
    overwrite: bool = option("Prepare again what is already prepared.", False, common=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(bool(self.corpora), "corpora", self.corpora, "at least one corpus")
        own = any(name.startswith("folder/") for name in self.corpora)
        require(own or self.language is None, "language", self.language, "a folder/NAME among --corpora")
        for field in dataclasses.fields(Labelling):
            value = getattr(self, field.name)
            require(own or value == field.default, field.name, value, "a folder/NAME among --corpora")
        require(self.workers >= 0, "workers", self.workers, "0 (one per core) or a positive number")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CorporaConfig(Spec):
    """metaser corpora."""

    data_dir: str = option("Folder of prepared corpora (metaser prepare).", there="prepared corpora (metaser prepare)")
    corpora: tuple[str, ...] = option(
        "Corpora to show, separated by commas; without it all that are prepared.", (), common=True
    )
    format: str = option("markdown or csv.", "markdown", choices=("markdown", "csv"), common=True)
    split_seed: int = option("Seed of the train, validation and test parts whose sizes are shown.", 0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DemoConfig(Spec):
    """metaser demo."""

    out: str = option(
        "Folder for the recordings, the prepared corpora, the runs and the report.", "runs/demo", common=True, short="o"
    )
    shots: tuple[int, ...] = option("Clips per emotion to adapt with, separated by commas.", (1, 5, 20), common=True)
    seeds: int = option("Repetitions of each adaptation, each with its own draw of clips.", 3, common=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(all(shots >= 1 for shots in self.shots) and self.shots, "shots", self.shots, "numbers from 1 on")
        self._require_one_or_more("seeds")
