"""How a study trains each method: its settings and its own changes -> what its runs and adaptations are."""

import dataclasses
from typing import Any

from metaser_jax.adaptation.classifiers import EGEMAPS, JOINT, SVM
from metaser_jax.adaptation.starts import SCRATCH
from metaser_jax.specs import LEARNER, FinetuneSpec, MetaTrainSpec, PretrainSpec, how_fields
from metaser_jax.specs.algorithms import ALGORITHMS
from metaser_jax.specs.meta_training import unused_fields
from metaser_jax.specs.studies import FOMAML
from metaser_jax.specs.training import SourcesSpec
from metaser_jax.studies.cells import Run, safe
from metaser_jax.studies.study import Study
from metaser_jax.training.meta_train import run_meta_training
from metaser_jax.training.pretrain import run_pretraining

METASER = "metaser"
BASELINES = ("transser", "multiser")
# Those that learn from sources first.
PRETRAINED = (METASER, *BASELINES)
# Those that are no networks.
CLASSIFIERS = (SVM, JOINT, EGEMAPS)


def meta_spec(study: Study, sources: tuple[str, ...], seed: int, **changes: Any) -> MetaTrainSpec:
    """Return a meta-training run of the study: its settings, its own changes, then these."""
    own = study.spec
    given = {"episodes": own.episodes, "shots": own.meta_shots} | _of_network(study)
    return MetaTrainSpec(**{**study.settings.meta_train, **_chosen(given), **changes, "sources": sources, "seed": seed})


def algorithm_changes(plain: MetaTrainSpec, name: str, order: str = "second") -> dict[str, Any]:
    """Return what another algorithm changes in a meta-training: itself, and what it cannot do otherwise.

    Args:
      plain: the study's own.
      name: of ALGORITHMS. order: of ORDERS, for those that have one.
    """
    algorithm = ALGORITHMS[name]
    # What has no order does not look at it, and a run's is told apart by it.
    own_order = plain.order if plain.order != "annealed" else "second"
    changes = {"algorithm": name, "order": order if algorithm.has_order else own_order} | unused_fields(name)
    if algorithm.least_steps > plain.inner_steps:
        changes["inner_steps"] = algorithm.least_steps
    return changes


def method_spec(study: Study, method: str, sources: tuple[str, ...], seed: int) -> MetaTrainSpec:
    """Return a meta-training run of the study by a method: METASER, FOMAML or one of ALGORITHMS."""
    spec = meta_spec(study, sources, seed)
    if method == METASER:
        return spec
    name, order = ("maml", "first") if method == FOMAML else (method, "second")
    changes = algorithm_changes(spec, name, order) | dict(study.settings.changes(method, "learn"))
    return meta_spec(study, sources, seed, **changes)


def pretrain_spec(study: Study, method: str, sources: tuple[str, ...], seed: int) -> PretrainSpec:
    """Return a run of TransSER or MultiSER."""
    given = {"max_epochs": study.spec.pretrain_epochs} | _of_network(study)
    values = {**study.settings.pretrain, **study.settings.changes(method, "learn"), **_chosen(given)}
    return PretrainSpec(**{**values, "method": method, "sources": sources, "seed": seed})


def finetune_spec(study: Study, method: str, adapt: str | None = None) -> FinetuneSpec:
    """Return how a method is adapted."""
    preset = study.settings.baseline if method in (*BASELINES, SCRATCH) else study.settings.finetune
    if adapt == "head" and preset["optimizer"] == LEARNER:  # which adapts all layers
        preset = study.settings.baseline
    given = {"max_epochs": study.spec.max_epochs, "adapt": adapt} | _of_network(study)
    return FinetuneSpec(**{**preset, **study.settings.changes(method, "adapt"), **_chosen(given)})


def pretraining(study: Study, method: str, sources: tuple[str, ...]) -> tuple[Run, ...]:
    """Return the runs that a method's draws start from, one per pre-training seed; () where it has none."""
    if method in CLASSIFIERS or method == SCRATCH:
        return ()
    return tuple(_run(study, method, sources, seed) for seed in range(study.spec.pretrain_seeds))


def _run(study: Study, method: str, sources: tuple[str, ...], seed: int) -> Run:
    # An episode takes as long whatever the sources, an epoch does not.
    if method not in BASELINES:
        return meta_run(study, method_spec(study, method, sources, seed), method, method)
    spec = pretrain_spec(study, method, sources, seed)
    key = safe(f"{method}_{'+'.join(sources)}_s{seed}")
    kind = f"{method} of {'+'.join(sources)}"

    def train() -> None:
        folder = str(study.runs / key)
        run_pretraining(spec, study.data_dir, folder, log=_quiet, load=study.corpora.load)

    return Run(key, kind, train, settings(spec), spec)


def meta_run(study: Study, spec: MetaTrainSpec, kind: str, variant: str = METASER) -> Run:
    """Return a meta-training as a run that cells need; variant is the first part of its folder's name."""
    key = safe(f"{variant}_{'+'.join(spec.sources)}_{spec.episodes}_s{spec.seed}")
    start = study.settings.starts_from
    first = None if start is None else _run(study, start, spec.sources, spec.seed)

    def train() -> None:
        if first is not None:
            first.train()  # where it has finished, nothing is done
        init = "" if first is None else str(study.runs / first.key)
        folder = str(study.runs / key)
        run_meta_training(spec, study.data_dir, folder, log=_quiet, load=study.corpora.load, init=init)

    identity = settings(spec) | ({} if first is None else {"starts_from": first.identity})
    return Run(key, kind, train, identity, spec)


def init_of(study: Study, runs: tuple[Run, ...], method: str) -> list[str]:
    """Return what --init of metaser finetune would be, for each pre-training seed."""
    return [str(study.runs / run.key) for run in runs] or [method if method in CLASSIFIERS else SCRATCH]


def settings(spec: SourcesSpec | FinetuneSpec) -> dict[str, Any]:
    """Return a specification without how it is computed."""
    return {name: value for name, value in dataclasses.asdict(spec).items() if name not in how_fields(type(spec))}


def _of_network(study: Study) -> dict[str, Any]:
    return {"hidden_dim": study.spec.hidden_dim, "emotions": study.spec.emotions}


def _chosen(given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


def _quiet(_: str) -> None:
    """Say nothing: the study's progress bar does."""
