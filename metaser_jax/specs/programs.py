"""Configurations of the programs that prepare, train, fine-tune and sweep: a specification and its places."""

import dataclasses
import itertools
import typing
from pathlib import Path
from typing import Any, NamedTuple

from metaser_jax.errors import InputError, check_choice
from metaser_jax.specs import FinetuneSpec, JobSpec, MetaTrainSpec, PretrainSpec
from metaser_jax.specs.base import Spec, how_fields, option, require
from metaser_jax.specs.labelling import Labelling
from metaser_jax.specs.meta_training import MetaLearningSpec
from metaser_jax.specs.network import EmbeddingsFile
from metaser_jax.specs.presets import META_TRAIN

_TRUTH = {"true": True, "false": False}


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobConfig(JobSpec, EmbeddingsFile):
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
class FinetuneConfig(FinetuneSpec, EmbeddingsFile):
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
    sources: tuple[str, ...] = option((), common=True, distinct=True, empty=True)
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
    together: str = option("auto", choices=("auto", "on", "off"), common=True)
    """Whether each result is followed by that of the test part's clips labelled together, by voices: auto: where what
    the sources say of the input is known (runs of this version, and classifiers with --sources, over the voice)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        of_sources = self.init in ("svm", "joint")
        self.require(not self.sources or of_sources, "sources", "none without --init=svm or joint")
        self.require(bool(self.sources) or self.init != "joint", "sources", "corpora with --init=joint")
        self.require(self.target not in self.sources, "sources", f"none that is the target, {self.target}")
        self.require_folds(self.folds, self.split == "speaker")
        one = (self.shots is None) != (self.fraction is None)
        self.require(one, "shots", "exactly one of --shots=K and --fraction=F")
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
    encoder: str = option("auto", choices=("auto", "on", "off"))
    """Whether what the speech encoder hears is kept, too, for --features=encoder: auto: where it was fetched (metaser
    fetch-encoder). It identifies people."""
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
            self.require(getattr(self, field.name) == field.default, field.name, "a folder/NAME among --corpora")


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
    shots: tuple[int, ...] = option((1, 5, 20), common=True, distinct=True, least=1)
    """Clips per emotion to adapt with, separated by commas."""
    seeds: int = option(3, common=True, least=1)
    """Repetitions of each adaptation, each with its own draw of clips."""


class Member(NamedTuple):
    """A run of a sweep.

    Attributes:
      name: of its folder: "meta_lr=0.002,seed=3".
      setting: the swept fields without the seed, which members of one setting share.
      config: the run's, as metaser meta-train would have it.
    """

    name: str
    setting: dict[str, Any]
    config: MetaTrainConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepConfig(MetaLearningSpec, JobConfig):
    """metaser sweep: a run of meta-training per seed and combination of --grid, and its adaptations."""

    TITLE = "The sweep"

    out: str = option(short="o")
    """Folder for the runs, results.jsonl, the tables and the report."""
    runs: str | None = option(None, common=True)
    """Folder of the runs, which sweeps may share; without it OUT/runs. A run that is there goes on."""
    init: str = option("", there="a run of metaser pretrain, or multiser", named=("multiser",))
    """As meta-train's: a run of metaser pretrain that every run starts from, or multiser."""
    seeds: int = option(5, common=True, least=1)
    """Runs of each setting, seeds 0, 1, ..."""
    grid: tuple[str, ...] = option((), repeated=True, common=True)
    """NAME=V1,V2,...: values of another flag of metaser meta-train, a number or a choice. Given several times: every
    combination."""
    target: str | None = option(None, common=True)
    """Corpus to adapt every run to; without it the runs are trained alone."""
    adapt_shots: tuple[int, ...] = option((5,), common=True, distinct=True, least=1)
    """With --target: its utterances per emotion, separated by commas."""
    split: str = option("random", choices=("random", "speaker"), common=True)
    """Of the target: random, as the paper, or speaker: no speaker in two parts."""
    folds: int = option(0)
    """Of the target, with --split=speaker: K folds over speakers; 0 is one split."""
    target_split_seed: int = option(0)
    """Seed of the target's train, validation and test parts."""
    draws: int = option(10, common=True, least=1)
    """Draws of the target's clips, seeds 0, 1, ...: draw i starts from the run of the i-th seed, and from the first
    again after the last."""
    adapt_preset: str = option("recommended", choices=META_TRAIN)
    """Settings of the adaptation: a preset of metaser finetune."""

    def __post_init__(self) -> None:
        # Not MetaLearningSpec's own checks: the grid may replace what they would refuse. Every member's see to it.
        Spec.__post_init__(self)
        one = self.cluster == "none" and not self.coordinator_address
        require(one, "num_processes", self.num_processes or self.cluster, "one process: a sweep uses its devices alone")
        self.require(self.target not in self.sources, "target", f"none of --sources={','.join(self.sources)}")
        self.require_folds(self.folds, self.split == "speaker")
        _ = self.grid_members

    @property
    def folder_of_runs(self) -> Path:
        """The folder of the runs."""
        return Path(self.out, "runs") if self.runs is None else Path(self.runs)

    @property
    def swept(self) -> dict[str, tuple[Any, ...]]:
        """The grid: values by the field's name.

        Raises:
          InputError: not NAME=V1,V2; a name that is no field, or one that cannot be swept; a value of a wrong type; a
            name or a value given twice.
        """
        found: dict[str, tuple[Any, ...]] = {}
        for text in self.grid:
            name, equals, values = text.partition("=")
            require(bool(equals and values), "grid", text, "NAME=V1,V2,...")
            require(name != "seed", "grid", text, "other fields: --seeds=N are the seeds 0, 1, ..., N - 1")
            field = _SWEEPABLE[check_choice(f"--grid={text}", name, _SWEEPABLE)]
            require(name not in found, "grid", text, f"{name} once, with all its values: {name}=V1,V2,...")
            found[name] = tuple(_value(text, field, value) for value in values.split(","))
            require(len(set(found[name])) == len(found[name]), "grid", text, "each value once")
        return found

    @property
    def settings(self) -> tuple[dict[str, Any], ...]:
        """Every combination of the grid; one that is empty if there is no grid."""
        swept = self.swept
        return tuple(dict(zip(swept, values, strict=True)) for values in itertools.product(*swept.values()))

    @property
    def grid_members(self) -> tuple[Member, ...]:
        """The runs, setting by setting.

        Raises:
          InputError: of `swept`; a combination that metaser meta-train would refuse.
        """
        return tuple(self._member(setting, seed) for setting in self.settings for seed in range(self.seeds))

    def _member(self, setting: dict[str, Any], seed: int) -> Member:
        name = ",".join(f"{key}={_text(value)}" for key, value in (setting | {"seed": seed}).items())
        own = setting | {"seed": seed, "run_dir": str(self.folder_of_runs / name)}
        try:
            config = MetaTrainConfig.of(self, **own)
        except InputError as error:
            if not setting:
                raise
            raise InputError(f"--grid, the run {name}: {error}") from error
        return Member(name, setting, config)


def _sweepable() -> dict[str, dataclasses.Field]:
    hints = typing.get_type_hints(MetaLearningSpec)
    fields = {f.name: f for f in dataclasses.fields(MetaLearningSpec) if f.name not in how_fields(MetaLearningSpec)}
    return {n: f for n, f in fields.items() if f.metadata["choices"] or hints[n] in (int, float, bool)}


_SWEEPABLE = _sweepable()


def _value(text: str, field: dataclasses.Field, value: str) -> Any:
    if field.metadata["choices"]:
        return check_choice(f"--grid={text}", value, field.metadata["choices"])
    kind = typing.get_type_hints(MetaLearningSpec)[field.name]
    try:
        return _TRUTH[value.lower()] if kind is bool else kind(value)
    except (KeyError, ValueError):
        expected = {bool: "true or false", int: "whole numbers", float: "numbers"}[kind]
        raise InputError(f"--grid={text}: got {value!r}, expected {expected} separated by commas.") from None


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
