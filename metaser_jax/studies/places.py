"""Where the methods of a study are compared: what the prepared corpora allow, what is left out and why, and cells."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import jax
import numpy as np

from metaser_jax import cli
from metaser_jax.adaptation.classifiers import JOINT, SVM, adapt_classifier, load_sources
from metaser_jax.adaptation.engine import adapt, draw
from metaser_jax.adaptation.starts import SCRATCH, Init, resolve
from metaser_jax.data.splits import Split, speaker_folds
from metaser_jax.data.target import Target
from metaser_jax.datasets.registry import check_name
from metaser_jax.datasets.targets import Load, load_targets, load_together
from metaser_jax.errors import InputError
from metaser_jax.results.outcomes import Amount, Outcome
from metaser_jax.specs import FinetuneSpec
from metaser_jax.studies.cells import Cell, Run, safe
from metaser_jax.studies.study import METASER, Left, Study, finetune_spec, settings
from metaser_jax.training.finished import digest

NOT_PREPARED = "not prepared"
# Of a benchmark's folds the one with most speakers has at most so many times those of the one with fewest.
EVEN = 1.25

Fit = Callable[[FinetuneSpec, Sequence[Target], Sequence[Amount], int, Sequence[Target]], list[Outcome]]
"""(spec, folds, amounts, seeds, sources) -> outcomes, as adapt_classifier's."""
_FITS: dict[str, Fit] = {name: functools.partial(adapt_classifier, name) for name in (SVM, JOINT)}


class Place(NamedTuple):
    """Where methods are compared: a target and a split of it.

    Attributes:
      target, split: names.
      folds: the target, not normalised, with its one split or each of its folds.
      amounts: those that every fold and every seed allows.
    """

    target: str
    split: str
    folds: tuple[Target, ...]
    amounts: tuple[Amount, ...]


def unprepared(study: Study, names: Sequence[str], what: str) -> Left | None:
    """Return the corpora that are missing, as what is left out because of them; None if none is.

    Raises:
      InputError: unknown name.
    """
    missing = [name for name in names if not study.corpora.is_prepared(check_name(name), study.data_dir)]
    if not missing:
        return None
    listed = ", ".join(missing)
    command = f"{cli.program('prepare')} --corpora={','.join(missing)} --manual_dir=RECORDINGS"
    why = f"not prepared in {study.data_dir}: {listed}. To prepare: {command} --data_dir={study.data_dir}"
    return Left(what, NOT_PREPARED if len(names) == 1 else f"{NOT_PREPARED}: {listed}", why)


def require_prepared(study: Study, names: Sequence[str], flag: str = "sources") -> None:
    """Raise an InputError unless the corpora that a study cannot do without are prepared, and have its emotions."""
    missing = unprepared(study, names, "+".join(names))
    if missing:
        raise InputError(f"--{flag}={','.join(names)}: {missing.why}")
    load_together(names, study.data_dir, finetune_spec(study, SCRATCH).emotions, study.corpora.load)


def even_folds(study: Study, name: str) -> int:
    """Return how many folds a corpus's speakers allow: the study's number, or the most below it that are even.

    Raises:
      InputError: unknown name; an emotion that the corpus lacks.
    """
    corpus = source(study, name).corpus
    speakers = len(np.unique(corpus.speaker))
    for folds in range(min(study.spec.folds, speakers), 2, -1):
        if math.ceil(speakers / folds) <= EVEN * (speakers // folds):
            try:
                speaker_folds(corpus, folds, study.spec.split_seed)
            except InputError:  # a fold without an emotion: fewer may do
                continue
            return folds
    return 2


def places(study: Study, targets: Sequence[str], folds_of: Callable[[str], int] | None = None) -> list[Place]:
    """Load the targets, each once, and find out which splits and amounts they allow; study.left gets the others.

    Args:
      study: the study.
      targets: their names.
      folds_of: of a split by speaker, how many folds a target has; by default the study's number.

    Raises:
      InputError: no target, split and amount is possible; unknown names.
    """
    found = []
    for target in targets:
        missing = unprepared(study, [target], target)
        if missing:
            study.left.append(missing)
            continue
        for split in study.spec.splits:
            folds = folds_of(target) if folds_of else study.spec.folds
            found += _places_of(study, target, split, folds if split == "speaker" else 0)
    if not found:
        raise InputError(f"No target can be adapted to:\n{reasons(study)}")
    return found


def reasons(study: Study) -> str:
    """Return what is left out and why, line by line."""
    return "\n".join(f"  {one.what}: {one.why}" for one in study.left)


def _places_of(study: Study, target: str, split: str, n_folds: int) -> list[Place]:
    """Return the place of a target and a split, or none."""
    own, spec = study.spec, finetune_spec(study, SCRATCH)
    of_split = {"split_kind": split, "split_seed": own.split_seed, "folds": n_folds}
    name = f"{target}, {split} split"
    try:
        folds = load_targets(target, study.data_dir, emotions=spec.emotions, **of_split, load=study.corpora.load)
    except InputError as error:
        study.left.append(Left(name, "no such split", str(error)))
        return []
    amounts = []
    for amount in (*(Amount("shots", n) for n in own.shots), *(Amount("fraction", f) for f in own.fractions)):
        try:
            for ready in folds:
                for seed in range(own.seeds):
                    draw(ready, amount, spec.validation, seed)
            amounts.append(amount)
        except InputError as error:
            study.left.append(Left(f"{name}, {amount.kind} {amount.value:g}", "no such draw", str(error)))
    return [Place(target, split, folds, tuple(amounts))] if amounts else []


def cell(
    study: Study,
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
      sources: what the method has learned from, or of what is no network what joins the drawn clips; () is the target
        alone.
      runs: what it starts from, one per pre-training seed.
      fit: of what is no network, unless it is one of _FITS.
      start: what a network starts from instead of runs: a folder, or a start's name.
    """
    spec, own = finetune_spec(study, method, adapted), study.spec
    fit = fit or _FITS.get(method)
    n_splits = len(place.folds)
    folds = n_splits if n_splits > 1 else 0
    # What metaser finetune's flags would say of the place; its amount is one of the study's, and is not looked at.
    at = {"target": place.target, "split": place.split, "split_seed": own.split_seed, "folds": folds}
    at |= {"shots": own.shots[0] if own.shots else None, "fraction": None if own.shots else next(iter(own.fractions))}
    digests = [cast(Split, ready.split).digest for ready in place.folds]
    identity: dict[str, Any] = {
        "settings": settings(spec) | at | {"seeds": own.seeds, "sources": ()},
        "amounts": [list(amount) for amount in place.amounts],
        "sources": {name: source(study, name).digest for name in sources},
        "digests": [place.folds[0].digest, *digests],
        "runs": {run.key: run.identity for run in runs},
    }
    if start is not None:
        init = resolve(start, spec, place.target)[1]
        identity["start"] = digest(init.params if init.meta is None else init.meta.params)

    def compute() -> tuple:
        if fit is not None:
            joined = [source(study, name) for name in sources]
            outcomes = fit(spec, place.folds, place.amounts, own.seeds, joined)
        else:
            inits = [start] if start is not None else [str(study.runs / run.key) for run in runs] or [SCRATCH]
            resolved = [resolve(init, spec, place.target) for init in inits]
            starts = [_described(init, method) for _, init in resolved]
            outcomes = adapt(resolved[0][0], starts, place.folds, place.amounts, own.seeds)
        return place.folds[0].corpus, outcomes

    split = f"{folds}-fold{place.split}" if folds else place.split
    parts = [place.target, split, "+".join(sources) or "no-sources", method, adapted or ""]
    return Cell("_".join(safe(part) for part in parts if part), method, identity, compute, runs)


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


def source(study: Study, name: str) -> Target:
    """Return a source corpus, not normalised, all of it to be learned from."""
    return _source(study.corpora.load, name, study.data_dir, finetune_spec(study, SCRATCH).emotions)
