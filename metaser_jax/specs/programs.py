"""Configurations of the programs that prepare, train and fine-tune: a specification and where things are."""

import dataclasses

from metaser_jax.specs import FinetuneSpec, JobSpec, MetaTrainSpec, PretrainSpec, Spec, option
from metaser_jax.specs.labelling import Labelling


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobConfig(JobSpec):
    """Trains on prepared corpora, in one process or several."""

    data_dir: str = option(there="prepared corpora (metaser prepare)")
    """Folder of prepared corpora (metaser prepare); every process reads its own."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingConfig(JobConfig):
    """A run in a directory of its own."""

    run_dir: str = option()
    """Folder for the checkpoints, config.json and metrics.jsonl; process 0 writes it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MetaTrainConfig(MetaTrainSpec, TrainingConfig):
    """metaser meta-train."""

    TITLE = "Meta-learning"

    init: str = option("", common=True, there="a run of metaser pretrain, or multiser", named=("multiser",))
    """Folder of a finished run of metaser pretrain whose parameters meta-training starts from, of the same network and
    input, with sources among --sources; multiser: such a run, trained first in RUN_DIR_multiser by pretrain's preset
    recommended; empty: random ones, by the seed."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PretrainConfig(PretrainSpec, TrainingConfig):
    """metaser pretrain."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FinetuneConfig(FinetuneSpec):
    """metaser finetune. The network and its input are those of --init, unless that is scratch."""

    TITLE = "The target"

    data_dir: str = option(there="prepared corpora (metaser prepare)")
    """Folder of prepared corpora (metaser prepare)."""
    init: str = option(
        there="a run (metaser meta-train or pretrain), scratch, svm or joint", named=("scratch", "svm", "joint")
    )
    """Run directory to start from (metaser meta-train or pretrain), or scratch; or no network, for which flags about
    networks and their training are errors: svm, a support vector machine on statistics of the same input, or joint,
    logistic regression on them, trained on all --sources and the drawn clips together."""
    target: str = option()
    """Corpus to adapt to."""
    out: str = option(short="o")
    """Folder for results.jsonl and config.json."""
    sources: tuple[str, ...] = option((), common=True)
    """With --init=svm or joint: corpora, separated by commas, whose training parts it learns from as well."""
    split: str = option("random", choices=("random", "speaker"), common=True)
    """random, as the paper, or speaker: no speaker in two parts."""
    split_seed: int = option(0)
    """Seed of the target's train, validation and test parts."""
    folds: int = option(0, common=True)
    """For corpora of few speakers: 0 is one split; K >= 2 with --split=speaker: K folds over speakers, each of them the
    test part once, and the results have a line per fold and seed. Where too few speakers are left for a validation part
    of their own, it shares those of the training part."""
    shots: int | None = option(None, common=True, least=0)
    """Training utterances per emotion, 0 for what --init itself says of the target; or give --fraction."""
    fraction: float | None = option(None, common=True, above=0)
    """Fraction of the training part, above 0 and at most 1; or give --shots."""
    seeds: int = option(5, common=True, least=1)
    """Number of draws (seeds 0, 1, ...), each of its own utterances."""

    def __post_init__(self) -> None:
        super().__post_init__()
        of_sources = self.init in ("svm", "joint")
        self.require(not self.sources or of_sources, "sources", "none without --init=svm or joint")
        self.require(bool(self.sources) or self.init != "joint", "sources", "corpora with --init=joint")
        self.require(len(set(self.sources)) == len(self.sources), "sources", "each corpus once")
        self.require(self.target not in self.sources, "sources", f"none that is the target, {self.target}")
        self.require_folds(self.folds, self.split == "speaker")
        self.require(
            (self.shots is None) != (self.fraction is None), "shots", "exactly one of --shots=K and --fraction=F"
        )
        if self.shots == 0:
            learned = self.init != "scratch" and (self.init != "svm" or bool(self.sources))
            self.require(learned, "init", "a trained run with --shots=0, or svm with --sources")
        self.require(self.fraction is None or self.fraction <= 1, "fraction", "a number above 0 and at most 1")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrepareConfig(Labelling):
    """metaser prepare."""

    corpora: tuple[str, ...] = option()
    """Corpora to prepare, separated by commas; folder/NAME is a folder of your own, MANUAL_DIR/NAME/EMOTION/*.wav."""
    data_dir: str = option()
    """Folder that the prepared corpora are written to."""
    manual_dir: str | None = option(None, common=True)
    """Folder with one folder per corpus (ravdess/, emodb/, urdu/ ...), each in its original layout or as its zip
    archive. Without it the corpora are downloaded into DATA_DIR/downloads, where their owners allow it."""
    skip_bad: bool = option(False, common=True)
    """Leave out recordings that cannot be used, count and list them, instead of stopping."""
    drop_duplicates: bool = option(False)
    """Keep the first of several byte-identical recordings; the others are counted and listed."""
    language: str | None = option(None, common=True)
    """For folder/NAME: English name of the language, for tables."""
    workers: int = option(0, least=0)
    """Processes that extract features; 0 takes one per core."""
    overwrite: bool = option(False, common=True)
    """Prepare again what is already prepared."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(bool(self.corpora), "corpora", "at least one corpus")
        if any(name.startswith("folder/") for name in self.corpora):
            return
        self.require(self.language is None, "language", "a folder/NAME among --corpora")
        for field in dataclasses.fields(Labelling):
            is_default = getattr(self, field.name) == field.default
            self.require(is_default, field.name, "a folder/NAME among --corpora")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CorporaConfig(Spec):
    """metaser corpora."""

    data_dir: str = option(there="prepared corpora (metaser prepare)")
    """Folder of prepared corpora (metaser prepare)."""
    corpora: tuple[str, ...] = option((), common=True)
    """Corpora to show, separated by commas; without it all that are prepared."""
    format: str = option("markdown", choices=("markdown", "csv"), common=True)
    """markdown or csv."""
    split_seed: int = option(0)
    """Seed of the train, validation and test parts whose sizes are shown."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DemoConfig(Spec):
    """metaser demo."""

    out: str = option("runs/demo", common=True, short="o")
    """Folder for the recordings, the prepared corpora, the runs and the report."""
    shots: tuple[int, ...] = option((1, 5, 20), common=True)
    """Clips per emotion to adapt with, separated by commas."""
    seeds: int = option(3, common=True, least=1)
    """Repetitions of each adaptation, each with its own draw of clips."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(bool(self.shots) and min(self.shots) >= 1, "shots", "numbers from 1 on")
