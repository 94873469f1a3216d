"""A study: what it compares, where it is, and how each of its methods is trained and adapted.

    study = open_study(config, command, corpora)
    at = places(study, study.spec.targets)                                 # what is left out is in study.left
    found = compute(study, [cell(study, place, "scratch", "all") for place in at])
    write(study, "mine", found, title, intro, sections)                    # the sections' tables: studies.tables

places and cell are in studies.places, compute and write in studies.driver. tests/studies/test_new_study.py is one.
"""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from metaser_jax.adaptation.classifiers import EGEMAPS, JOINT, SVM
from metaser_jax.adaptation.starts import SCRATCH
from metaser_jax.datasets.targets import Corpora
from metaser_jax.specs import LEARNER, FinetuneSpec, MetaTrainSpec, PretrainSpec, how_fields, presets
from metaser_jax.specs.algorithms import ALGORITHMS
from metaser_jax.specs.meta_training import unused_fields
from metaser_jax.specs.studies import FOMAML, StudyConfig, StudySpec
from metaser_jax.specs.training import SourcesSpec
from metaser_jax.studies.cells import Run, safe
from metaser_jax.training.meta_train import run_meta_training
from metaser_jax.training.pretrain import run_pretraining

METASER = "metaser"
BASELINES = ("transser", "multiser")
# Those that learn from sources first, and those that are no networks.
PRETRAINED = (METASER, *BASELINES)
CLASSIFIERS = (SVM, JOINT, EGEMAPS)
SpecT = TypeVar("SpecT", bound=StudySpec)


class Left(NamedTuple):
    """What is left out of a study.

    Attributes:
      what: a target, a source set, an amount ...
      short: why, for a cell of a table.
      why: a sentence, with what to do.
    """

    what: str
    short: str
    why: str


class Settings(NamedTuple):
    """How methods are trained, before the study's own changes: values of the fields of their specifications.

    Attributes:
      meta_train: of MetaTrainSpec. pretrain: of PretrainSpec, for TransSER and MultiSER.
      finetune: of FinetuneSpec, for MetaSER. baseline: the same for the other networks.
      of_method: method -> what is changed for it alone, of "learn" (the first two) and of "adapt" (the others).
      starts_from: the method whose run meta-training starts from; None: random parameters.
    """

    meta_train: Mapping[str, Any]
    pretrain: Mapping[str, Any]
    finetune: Mapping[str, Any]
    baseline: Mapping[str, Any]
    of_method: Mapping[str, Mapping[str, Mapping[str, Any]]] = {}
    starts_from: str | None = None

    def changes(self, method: str, what: str) -> Mapping[str, Any]:
        """Return what is changed for a method, of "learn" or of "adapt"."""
        return self.of_method.get(method, {}).get(what, {})


def settings_of(preset: str) -> Settings:
    """Return how a preset trains each method."""
    finetune = presets.FINETUNE
    # The paper adapts its baselines by another schedule than MetaSER.
    baseline = finetune.get(f"{preset}_baseline", finetune[preset])
    learn = dict(presets.META_TRAIN[preset])
    start = learn.pop("init", None)
    changes = presets.OF_METHOD.get(preset, {})
    return Settings(learn, presets.PRETRAIN[preset], finetune[preset], baseline, changes, start)


@dataclasses.dataclass(frozen=True)
class Study(Generic[SpecT]):
    """A study.

    Attributes:
      spec: what it compares, and how often.
      settings: how methods are trained.
      data_dir: folder of prepared corpora.
      out: the study's folder. runs: that of its pre-training runs.
      corpora: where prepared corpora come from.
      command: what the user ran.
      left: what is left out, of which `places` finds the most.
    """

    spec: SpecT
    settings: Settings
    data_dir: str
    out: Path
    runs: Path
    corpora: Corpora
    command: str
    left: list[Left] = dataclasses.field(default_factory=list)


def open_study(config: StudyConfig, command: str, corpora: Corpora) -> Study:
    """Return the study that a configuration names, whose specification the configuration is."""
    runs = Path(config.out, "runs") if config.runs is None else Path(config.runs)
    # Every run reads its sources; they are the same.
    corpora = corpora._replace(load=functools.cache(corpora.load))
    return Study(config, settings_of(config.preset), config.data_dir, Path(config.out), runs, corpora, command)


def meta_spec(study: Study, sources: tuple[str, ...], seed: int, **changes: Any) -> MetaTrainSpec:
    """Return a meta-training run of the study: its settings, its own changes, then these."""
    given = _given(study, episodes=study.spec.episodes, shots=study.spec.meta_shots)
    return MetaTrainSpec(**{**study.settings.meta_train, **given, **changes, "sources": sources, "seed": seed})


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
    given = _given(study, max_epochs=study.spec.pretrain_epochs) | {"method": method, "sources": sources, "seed": seed}
    return PretrainSpec(**{**study.settings.pretrain, **study.settings.changes(method, "learn"), **given})


def finetune_spec(study: Study, method: str, adapt: str | None = None) -> FinetuneSpec:
    """Return how a method is adapted."""
    preset = study.settings.baseline if method in (*BASELINES, SCRATCH) else study.settings.finetune
    if adapt == "head" and preset["optimizer"] == LEARNER:  # which adapts all layers
        preset = study.settings.baseline
    given = _given(study, max_epochs=study.spec.max_epochs, adapt=adapt)
    return FinetuneSpec(**{**preset, **study.settings.changes(method, "adapt"), **given})


def pretraining(study: Study, method: str, sources: tuple[str, ...]) -> tuple[Run, ...]:
    """Return the runs that a method's draws start from, one per pre-training seed; () where it has none."""
    if method in CLASSIFIERS or method == SCRATCH:
        return ()
    return tuple(_run_of(study, method, sources, seed) for seed in range(study.spec.pretrain_seeds))


def _run_of(study: Study, method: str, sources: tuple[str, ...], seed: int) -> Run:
    if method not in BASELINES:
        return meta_run(study, method_spec(study, method, sources, seed), method)
    spec = pretrain_spec(study, method, sources, seed)
    key = safe(f"{method}_{'+'.join(sources)}_s{seed}")

    def train() -> None:
        run_pretraining(spec, study.data_dir, str(study.runs / key), log=_quiet, load=study.corpora.load)

    return Run(key, train, settings(spec), spec)


def meta_run(study: Study, spec: MetaTrainSpec, variant: str = METASER) -> Run:
    """Return a meta-training as a run that cells need; variant is the first part of its folder's name."""
    key = safe(f"{variant}_{'+'.join(spec.sources)}_{spec.episodes}_s{spec.seed}")
    start = study.settings.starts_from
    first = None if start is None else _run_of(study, start, spec.sources, spec.seed)

    def train() -> None:
        if first is not None:
            first.train()  # where it has finished, nothing is done
        init = "" if first is None else str(study.runs / first.key)
        run_meta_training(spec, study.data_dir, str(study.runs / key), log=_quiet, load=study.corpora.load, init=init)

    identity = settings(spec) | ({} if first is None else {"starts_from": first.identity})
    return Run(key, train, identity, spec)


def settings(spec: SourcesSpec | FinetuneSpec) -> dict[str, Any]:
    """Return a specification without how it is computed."""
    return {name: value for name, value in dataclasses.asdict(spec).items() if name not in how_fields(type(spec))}


def _given(study: Study, **fields: Any) -> dict[str, Any]:
    """Return what the study itself says of a specification, of these fields and of its network."""
    fields |= {"hidden_dim": study.spec.hidden_dim, "emotions": study.spec.emotions}
    return {name: value for name, value in fields.items() if value is not None}


def _quiet(_: str) -> None:
    """Say nothing: the study's progress bar does."""
