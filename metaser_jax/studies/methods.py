"""How a study trains each method: presets and overrides -> the configurations of its runs and adaptations."""

import dataclasses
from pathlib import Path
from typing import Any

from metaser_jax.adaptation.starts import SCRATCH
from metaser_jax.adaptation.svm import SVM
from metaser_jax.config import FinetuneConfig, MetaTrainConfig, PretrainConfig, StudyConfig, presets
from metaser_jax.specs import FinetuneSpec, how_fields
from metaser_jax.studies.cells import Run, safe
from metaser_jax.training.meta_train import meta_train
from metaser_jax.training.pretrain import pretrain
from metaser_jax.training.sources import FREE

METASER = "metaser"
BASELINES = ("transser", "multiser")
# Those that learn from sources first.
PRETRAINED = (METASER, *BASELINES)
_PLACES = ("data_dir", *FREE, "init", "out", *how_fields(FinetuneSpec))


def folder_of_runs(study: StudyConfig) -> Path:
    return Path(study.out, "runs") if study.runs is None else Path(study.runs)


def meta_config(
    study: StudyConfig, sources: tuple[str, ...], seed: int, variant: str = "metaser", **changes: Any
) -> MetaTrainConfig:
    """A meta-training run of the study: the preset, the study's overrides, then changes."""
    values = meta_values(study) | changes
    values |= {"data_dir": study.data_dir, "sources": sources, "seed": seed}
    folder = _folder(study, f"{variant}_{'+'.join(sources)}_{values['episodes']}_s{seed}")
    return MetaTrainConfig(**values, run_dir=folder)


def pretrain_config(study: StudyConfig, method: str, sources: tuple[str, ...], seed: int) -> PretrainConfig:
    """A run of TransSER or MultiSER."""
    values = pretrain_values(study) | {"method": method, "sources": sources, "seed": seed}
    folder = _folder(study, f"{method}_{'+'.join(sources)}_s{seed}")
    return PretrainConfig(**values, data_dir=study.data_dir, run_dir=folder)


def meta_values(study: StudyConfig) -> dict[str, Any]:
    """The preset of meta-training, and the study's overrides."""
    given = {"hidden_dim": study.hidden_dim, "episodes": study.episodes, "shots": study.meta_shots}
    return presets.META_TRAIN[study.preset] | _chosen(given)


def pretrain_values(study: StudyConfig) -> dict[str, Any]:
    """The same of TransSER and MultiSER."""
    given = {"hidden_dim": study.hidden_dim, "max_epochs": study.pretrain_epochs}
    return presets.PRETRAIN[study.preset] | _chosen(given)


def _folder(study: StudyConfig, name: str) -> str:
    return str(folder_of_runs(study) / safe(name))


def finetune_config(
    study: StudyConfig, method: str, init: str, target: str, split: str, adapt: str | None
) -> FinetuneConfig:
    """An adaptation of the study. Its amount is one of the study's, and is not looked at."""
    amount = {"shots": study.shots[0]} if study.shots else {"fraction": study.fractions[0]}
    values = finetune_values(study, method) | _chosen({"adapt": adapt}) | amount
    values |= {"init": init, "target": target, "split": split, "split_seed": study.split_seed, "seeds": study.seeds}
    folds = study.folds if split == "speaker" else 0
    return FinetuneConfig(**values, folds=folds, data_dir=study.data_dir, out=study.out)


def finetune_values(study: StudyConfig, method: str) -> dict[str, Any]:
    """The same of a method's adaptation."""
    # The paper adapts its baselines by another schedule than MetaSER.
    baseline = f"{study.preset}_baseline"
    preset = baseline if method in (*BASELINES, SCRATCH) and baseline in presets.FINETUNE else study.preset
    return presets.FINETUNE[preset] | _chosen({"hidden_dim": study.hidden_dim, "max_epochs": study.max_epochs})


def pretraining(study: StudyConfig, method: str, sources: tuple[str, ...]) -> tuple[Run, ...]:
    """The runs that a method's draws start from, one per pre-training seed; none of scratch and svm."""
    if method not in PRETRAINED:
        return ()
    return tuple(_run(study, method, sources, seed) for seed in range(study.pretrain_seeds))


def _run(study: StudyConfig, method: str, sources: tuple[str, ...], seed: int) -> Run:
    # An episode takes as long whatever the sources, an epoch does not.
    if method == "metaser":
        return meta_run(meta_config(study, sources, seed), method)
    config = pretrain_config(study, method, sources, seed)
    name = Path(config.run_dir).name
    kind = f"{method} of {'+'.join(sources)}"
    return Run(name, kind, lambda: pretrain(config, log=_quiet), settings(config))


def meta_run(config: MetaTrainConfig, kind: str) -> Run:
    """Meta-training as a run that cells need."""
    return Run(Path(config.run_dir).name, kind, lambda: meta_train(config, log=_quiet), settings(config))


def init_of(study: StudyConfig, runs: tuple[Run, ...], method: str) -> list[str]:
    """What --init of finetune.py would be, for each pre-training seed."""
    return [str(folder_of_runs(study) / run.key) for run in runs] or [SVM if method == SVM else SCRATCH]


def settings(config: Any) -> dict[str, Any]:
    """A configuration without where things are and how they are computed."""
    return {name: value for name, value in dataclasses.asdict(config).items() if name not in _PLACES}


def _chosen(given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


def _quiet(_: str) -> None:
    """The study's progress bar says what is being done."""
