"""A study: its specification, its places, and the runs and cells of its methods.

    study = open_study(config, command, corpora)
    at = study.places(study.spec.targets)                                  # what is left out is in study.left
    found = compute(study, [study.cell(place, "scratch", "all") for place in at])
    write(study, "mine", found, title, intro, sections)                    # the sections' tables: studies.tables

compute and write are in studies.driver. tests/studies/test_new_study.py is one.
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar, cast

import jax
import numpy as np

from metaser_jax import cli
from metaser_jax.adaptation.classifiers import EGEMAPS, JOINT, SVM, adapt_classifier, load_sources
from metaser_jax.adaptation.engine import adapt, draw
from metaser_jax.adaptation.starts import SCRATCH, Init, resolve
from metaser_jax.data.splits import Split, speaker_folds
from metaser_jax.data.target import Target
from metaser_jax.data.together import rules as together_rules
from metaser_jax.datasets.registry import check_name
from metaser_jax.datasets.targets import Corpora, Load, load_targets, load_together
from metaser_jax.errors import InputError
from metaser_jax.messages import logged_as
from metaser_jax.results.outcomes import Amount, Outcome
from metaser_jax.specs import LEARNER, FinetuneSpec, MetaTrainSpec, PretrainSpec, how_fields, presets
from metaser_jax.specs.algorithms import ALGORITHMS
from metaser_jax.specs.meta_training import unused_fields
from metaser_jax.specs.studies import FOMAML, StudyConfig, StudySpec
from metaser_jax.specs.training import SourcesSpec
from metaser_jax.studies.cells import Cell, Run, safe
from metaser_jax.training.finished import digest
from metaser_jax.training.meta_train import run_meta_training
from metaser_jax.training.pretrain import run_pretraining

METASER = "metaser"
BASELINES = ("transser", "multiser")
# Those that learn from sources first, and those that are no networks.
PRETRAINED = (METASER, *BASELINES)
CLASSIFIERS = (SVM, JOINT, EGEMAPS)
NOT_PREPARED = "not prepared"
# Of a benchmark's folds the one with most speakers has at most so many times those of the one with fewest.
EVEN = 1.25
SpecT = TypeVar("SpecT", bound=StudySpec)
Fit = Callable[..., list[Outcome]]
"""(spec, folds, amounts, seeds, sources, together=...) -> outcomes, as adapt_classifier's."""
_FITS: dict[str, Fit] = {name: functools.partial(adapt_classifier, name) for name in (SVM, JOINT)}


class Left(NamedTuple):
    """A part that is left out of a study.

    Attributes:
      what: a target, a source set, an amount ...
      short: why, for a cell of a table.
      why: a sentence, with what to do.
    """

    what: str
    short: str
    why: str


class Place(NamedTuple):
    """A place at which methods are compared: a target and a split of it.

    Attributes:
      target, split: names.
      folds: the target, not normalised, with its one split or each of its folds.
      amounts: those that every fold and every seed allows.
    """

    target: str
    split: str
    folds: tuple[Target, ...]
    amounts: tuple[Amount, ...]


@dataclasses.dataclass(frozen=True)
class Study(Generic[SpecT]):
    """A study.

    Attributes:
      spec: what it compares, and how often.
      preset: how methods are trained.
      data_dir: folder of prepared corpora.
      out: the study's folder. runs: that of its pre-training runs.
      corpora: where prepared corpora come from.
      command: what the user ran.
      left: what is left out, of which `places` finds the most.
      heard: what every network hears, in the place of what its preset says.
    """

    spec: SpecT
    preset: str
    data_dir: str
    out: Path
    runs: Path
    corpora: Corpora
    command: str
    left: list[Left] = dataclasses.field(default_factory=list)
    heard: dict[str, Any] = dataclasses.field(default_factory=dict)

    def changes(self, method: str, what: str) -> Mapping[str, Any]:
        """Return what the preset changes for one method alone, of "learn" (a run) or of "adapt"."""
        return presets.OF_METHOD.get(self.preset, {}).get(method, {}).get(what, {})

    def meta_spec(self, sources: tuple[str, ...], seed: int, **changes: Any) -> MetaTrainSpec:
        """Return a meta-training run of the study: its preset, its own changes, then these."""
        preset = {name: value for name, value in presets.META_TRAIN[self.preset].items() if name != "init"}
        given = self._given(episodes=self.spec.episodes, shots=self.spec.meta_shots)
        return MetaTrainSpec(**{**preset, **given, **changes, "sources": sources, "seed": seed})

    def method_spec(self, method: str, sources: tuple[str, ...], seed: int) -> MetaTrainSpec:
        """Return a meta-training run of the study by a method: METASER, FOMAML or one of ALGORITHMS."""
        spec = self.meta_spec(sources, seed)
        if method == METASER:
            return spec
        name, order = ("maml", "first") if method == FOMAML else (method, "second")
        changes = algorithm_changes(spec, name, order) | dict(self.changes(method, "learn"))
        return self.meta_spec(sources, seed, **changes)

    def pretrain_spec(self, method: str, sources: tuple[str, ...], seed: int) -> PretrainSpec:
        """Return a run of TransSER or MultiSER."""
        given = self._given(max_epochs=self.spec.pretrain_epochs) | {"method": method, "sources": sources, "seed": seed}
        return PretrainSpec(**{**presets.PRETRAIN[self.preset], **self.changes(method, "learn"), **given})

    def finetune_spec(self, method: str, adapt: str | None = None) -> FinetuneSpec:
        """Return how a method is adapted."""
        preset = presets.FINETUNE[self.preset]
        # A preset may have another schedule for the other networks; LEARNER adapts all layers.
        if method in (*BASELINES, SCRATCH) or (adapt == "head" and preset["optimizer"] == LEARNER):
            preset = presets.FINETUNE.get(f"{self.preset}_baseline", preset)
        given = self._given(max_epochs=self.spec.max_epochs, adapt=adapt)
        return FinetuneSpec(**{**preset, **self.changes(method, "adapt"), **given})

    def pretraining(self, method: str, sources: tuple[str, ...]) -> tuple[Run, ...]:
        """Return the runs that a network's draws start from, one per pre-training seed; () from scratch."""
        seeds = range(0 if method == SCRATCH else self.spec.pretrain_seeds)
        return tuple(self._run_of(method, sources, seed) for seed in seeds)

    def _run_of(self, method: str, sources: tuple[str, ...], seed: int) -> Run:
        if method not in BASELINES:
            return self.meta_run(self.method_spec(method, sources, seed), method)
        spec = self.pretrain_spec(method, sources, seed)
        key = safe(f"{method}_{'+'.join(sources)}_s{seed}")

        def train() -> None:
            with logged_as(""):  # the study's progress bar speaks
                run_pretraining(spec, self.data_dir, str(self.runs / key), load=self.corpora.load)

        return Run(key, train, settings(spec), spec)

    def meta_run(self, spec: MetaTrainSpec, variant: str = METASER) -> Run:
        """Return a meta-training as a run that cells need; variant is the first part of its folder's name."""
        key = safe(f"{variant}_{'+'.join(spec.sources)}_{spec.episodes}_s{spec.seed}")
        start = presets.META_TRAIN[self.preset].get("init")  # a method
        first = None if start is None else self._run_of(start, spec.sources, spec.seed)

        def train() -> None:
            if first is not None:
                first.train()  # where it has finished, nothing is done
            init = "" if first is None else str(self.runs / first.key)
            with logged_as(""):
                run_meta_training(spec, self.data_dir, str(self.runs / key), load=self.corpora.load, init=init)

        identity = settings(spec) | ({} if first is None else {"starts_from": first.identity})
        return Run(key, train, identity, spec)

    def _given(self, **fields: Any) -> dict[str, Any]:
        """Return what the study itself says of a specification, of these fields and of its network."""
        fields |= {"hidden_dim": self.spec.hidden_dim, "emotions": self.spec.emotions} | self.heard
        return {name: value for name, value in fields.items() if value is not None}

    def source(self, name: str) -> Target:
        """Return a source corpus, not normalised, all of it to be learned from."""
        return _source(self.corpora.load, name, self.data_dir, self.finetune_spec(SCRATCH).emotions)

    def even_folds(self, name: str) -> int:
        """Return how many folds a corpus's speakers allow: the study's number, or the most below it that are even.

        Raises:
          InputError: unknown name; an emotion that the corpus lacks.
        """
        corpus = self.source(name).corpus
        speakers = len(np.unique(corpus.speaker))
        for folds in range(min(self.spec.folds, speakers), 2, -1):
            if math.ceil(speakers / folds) <= EVEN * (speakers // folds):
                try:
                    speaker_folds(corpus, folds, self.spec.split_seed)
                except InputError:  # a fold without an emotion: fewer may do
                    continue
                return folds
        return 2

    def unprepared(self, names: Sequence[str], what: str) -> Left | None:
        """Return the corpora that are missing, as what is left out because of them; None if none is.

        Raises:
          InputError: unknown name.
        """
        missing = [name for name in names if not self.corpora.is_prepared(check_name(name), self.data_dir)]
        if not missing:
            return None
        listed, at = ", ".join(missing), self.data_dir
        command = f"{cli.program('prepare')} --corpora={','.join(missing)} --manual_dir=RECORDINGS --data_dir={at}"
        short = NOT_PREPARED if len(names) == 1 else f"{NOT_PREPARED}: {listed}"
        return Left(what, short, f"not prepared in {at}: {listed}. To prepare: {command}")

    def require_prepared(self, names: Sequence[str], flag: str = "sources") -> None:
        """Raise an InputError unless the corpora that a study cannot do without are prepared, and have its emotions."""
        if missing := self.unprepared(names, "+".join(names)):
            raise InputError(f"--{flag}={','.join(names)}: {missing.why}")
        load_together(names, self.data_dir, self.finetune_spec(SCRATCH).emotions, self.corpora.load)

    def places(self, targets: Sequence[str], folds_of: Callable[[str], int] | None = None) -> list[Place]:
        """Load the targets, each once, and find out which splits and amounts they allow; self.left gets the others.

        Args:
          targets: their names.
          folds_of: of a split by speaker, how many folds a target has; by default the study's number.

        Raises:
          InputError: no target, split and amount is possible; unknown names.
        """
        found = []
        for target in targets:
            if missing := self.unprepared([target], target):
                self.left.append(missing)
                continue
            for split in self.spec.splits:
                folds = folds_of(target) if folds_of else self.spec.folds
                found += self._places_of(target, split, folds if split == "speaker" else 0)
        if not found:
            raise InputError(f"No target can be adapted to:\n{self.reasons()}")
        return found

    def _places_of(self, target: str, split: str, n_folds: int) -> list[Place]:
        """Return the place of a target and a split, or none."""
        own: Any = self.spec
        emotions, validation = (getattr(self.finetune_spec(SCRATCH), name) for name in ("emotions", "validation"))
        of_split = {"split_kind": split, "split_seed": own.split_seed, "folds": n_folds}
        name, amounts = f"{target}, {split} split", []
        try:
            folds = load_targets(target, self.data_dir, emotions=emotions, **of_split, load=self.corpora.load)
        except InputError as error:
            self.left.append(Left(name, "no such split", str(error)))
            return []
        for amount in (*(Amount("shots", n) for n in own.shots), *(Amount("fraction", f) for f in own.fractions)):
            try:
                for ready, seed in itertools.product(folds, range(own.seeds)):
                    draw(ready, amount, validation, seed)
                amounts.append(amount)
            except InputError as error:
                self.left.append(Left(f"{name}, {amount.kind} {amount.value:g}", "no such draw", str(error)))
        return [Place(target, split, folds, tuple(amounts))] if amounts else []

    def reasons(self) -> str:
        """Return the parts that are left out and why, line by line."""
        return "\n".join(f"  {one.what}: {one.why}" for one in self.left)

    def cell(
        self,
        place: Place,
        method: str,
        adapted: str | None = None,
        sources: tuple[str, ...] = (),
        runs: tuple[Run, ...] = (),
        fit: Fit | None = None,
        start: str | None = None,
    ) -> Cell:
        """Return one method at one place, all amounts and draws of it.

        Args:
          adapted: which layers, None of what is no network.
          sources: corpora that the method has learned from, or that join the drawn clips; () is the target alone.
          runs: what it starts from, one per pre-training seed.
          fit: of what is no network, unless it is one of _FITS.
          start: what a network starts from instead of runs: a folder, or a start's name.
        """
        own: Any = self.spec
        spec = self.finetune_spec(method, adapted)
        fit = fit or _FITS.get(method)
        n_splits = len(place.folds)
        folds = n_splits if n_splits > 1 else 0
        # What metaser finetune's flags would say of the place; its amount is one of the study's, and is not looked at.
        at = {"target": place.target, "split": place.split, "split_seed": own.split_seed, "folds": folds}
        shots, fraction = (own.shots[0], None) if own.shots else (None, next(iter(own.fractions)))
        at |= {"shots": shots, "fraction": fraction}
        digests = [cast(Split, ready.split).digest for ready in place.folds]
        identity: dict[str, Any] = {
            "settings": settings(spec) | at | {"seeds": own.seeds, "sources": ()},
            "amounts": [list(amount) for amount in place.amounts],
            "sources": {name: self.source(name).digest for name in sources},
            "digests": [place.folds[0].digest, *digests],
            "runs": {run.key: run.identity for run in runs},
        }
        together = {"together": True} if getattr(own, "together", False) else {}
        identity |= together and {"together": together_rules()}
        if start is not None:
            init = resolve(start, spec, place.target)[1]
            identity["start"] = digest(init.params if init.meta is None else init.meta.params)

        def compute() -> tuple:
            if fit is not None:
                joined = [self.source(name) for name in sources]
                outcomes = fit(spec, place.folds, place.amounts, own.seeds, joined, **together)
            else:
                inits = [start] if start is not None else [str(self.runs / run.key) for run in runs] or [SCRATCH]
                resolved = [resolve(init, spec, place.target) for init in inits]
                starts = [_described(init, method) for _, init in resolved]
                with logged_as(""):
                    outcomes = adapt(resolved[0][0], starts, place.folds, place.amounts, own.seeds, **together)
            return place.folds[0].corpus, outcomes

        split = f"{folds}-fold{place.split}" if folds else place.split
        parts = [place.target, split, "+".join(sources) or "no-sources", method, adapted or ""]
        return Cell("_".join(safe(part) for part in parts if part), method, identity, compute, runs)


def open_study(config: StudyConfig, command: str, corpora: Corpora) -> Study:
    """Return the study that a configuration names, whose specification the configuration is."""
    runs = Path(config.out, "runs") if config.runs is None else Path(config.runs)
    # Every run reads its sources; they are the same.
    corpora = corpora._replace(load=functools.cache(corpora.load))
    return Study(config, config.preset, config.data_dir, Path(config.out), runs, corpora, command)


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


def settings(spec: SourcesSpec | FinetuneSpec) -> dict[str, Any]:
    """Return a specification without how it is computed."""
    return {name: value for name, value in dataclasses.asdict(spec).items() if name not in how_fields(type(spec))}


def _described(init: Init, method: str) -> Init:
    """Return a start whose rows say how many numbers it has: parameters, and whatever else was learned with them."""
    learned: Any = (init.params, init.rates) if init.meta is None else init.meta.params
    more: dict[str, Any] = {"start_size": sum(np.size(leaf) for leaf in jax.tree.leaves(learned))}
    # Whatever algorithm its settings have; the row says which it was.
    return init._replace(source=init.source | more | ({"method": METASER} if method == METASER else {}))


@functools.cache
def _source(load: Load, name: str, data_dir: str, emotions: tuple[str, ...]) -> Target:
    (target,) = load_sources([name], data_dir, emotions, load)
    return target
