"""A sweep of meta-training over seeds and settings."""

import dataclasses
import itertools
import typing
from pathlib import Path
from typing import Any, NamedTuple

from metaser_jax.errors import InputError, check_choice
from metaser_jax.specs import MetaLearningSpec, Spec, how_fields, option, require
from metaser_jax.specs.programs import JobConfig, MetaTrainConfig

_TRUTH = {"true": True, "false": False}


class Member(NamedTuple):
    """One run of a sweep.

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
    adapt_shots: tuple[int, ...] = option((5,), common=True, distinct=True)
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
    adapt_preset: str = option("recommended", choices=("paper", "lstm", "recommended"))
    """Settings of the adaptation: a preset of metaser finetune."""

    def __post_init__(self) -> None:
        # Not MetaLearningSpec's own checks: the grid may replace what they would refuse. Every member's see to it.
        Spec.__post_init__(self)
        one = self.cluster == "none" and not self.coordinator_address
        require(one, "num_processes", self.num_processes or self.cluster, "one process: a sweep uses its devices alone")
        self.require(self.target not in self.sources, "target", f"none of --sources={','.join(self.sources)}")
        self.require(min(self.adapt_shots) >= 1, "adapt_shots", "numbers from 1 on")
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
        fields = {field.name for of in (MetaLearningSpec, JobConfig) for field in dataclasses.fields(of)}
        common = {name: getattr(self, name) for name in fields}
        name = ",".join(f"{key}={_text(value)}" for key, value in (setting | {"seed": seed}).items())
        try:
            config = MetaTrainConfig(
                **common | setting, seed=seed, init=self.init, run_dir=str(self.folder_of_runs / name)
            )
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
