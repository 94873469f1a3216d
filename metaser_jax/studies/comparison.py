"""What Table 2 and Figure 2 share: methods compared at places, from source sets; and what they write."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from metaser_jax.errors import InputError
from metaser_jax.results.rows import Row
from metaser_jax.results.run_dir import claim
from metaser_jax.specs.studies import ComparisonSpec
from metaser_jax.specs.training import SourcesSpec
from metaser_jax.studies import tables, writing
from metaser_jax.studies.cells import Cell, run_cells
from metaser_jax.studies.methods import PRETRAINED, SVM, pretraining
from metaser_jax.studies.numbers import Line, comparisons_of, lines_of
from metaser_jax.studies.plan import IS_SOURCE, Left, Place, cell, places, unprepared
from metaser_jax.studies.study import Study

Sources = tuple[str, ...]


class Compared(NamedTuple):
    """A finished comparison.

    Attributes:
      rows: of every adaptation.
      lines, comparisons: its numbers.
      left: what was left out.
      skipped: for (sources, target), why there is nothing, in a word.
      seconds: that its adaptations took, by method; pre-training apart.
      trained: what the runs are that its methods started from.
    """

    rows: list[Row]
    lines: list[Line]
    comparisons: list[Line]
    left: list[Left]
    skipped: dict[tuple[Sources, str], str]
    seconds: dict[str, float]
    trained: tuple[SourcesSpec, ...]


def compare_methods(
    study: Study[ComparisonSpec], identity: Mapping[str, Any], sets: Sequence[Sources], log: Callable[[str], None]
) -> Compared:
    """Compute what is missing of sets x targets x splits x methods.

    Args:
      study: what is compared, and where things are.
      identity: what says which study it is, JSON-able.
      sets: of sources.
      log: prints a line.

    Raises:
      InputError: nothing of it is possible; study.out holds another study; what the runs raise.
    """
    at, left = places(study, study.spec.targets)
    skipped = {}
    for one in left:
        skipped |= {(sources, one.what): one.short for sources in (*sets, ()) if one.what in study.spec.targets}
    prepared = []
    for sources in sets:
        missing = unprepared(study, sources, tables.sources_name(sources))
        if missing:
            left.append(missing)
            skipped |= {(sources, target): missing.short for target in study.spec.targets}
        else:
            prepared.append(sources)
    cells = []
    for sources in prepared:
        for place in at:
            if place.target in sources:
                skipped[sources, place.target] = IS_SOURCE
            else:
                cells += _cells_at(study, place, sources)
    for (sources, target), why in skipped.items():
        if why == IS_SOURCE:
            what = f"{tables.sources_name(sources)} -> {target}"
            left.append(Left(what, why, f"{target} is one of the sources: its test part was learned from."))
    if not cells:
        reasons = "\n".join(f"  {one.what}: {one.why}" for one in left)
        raise InputError(f"No source set can be used with any target:\n{reasons}")
    cells += [one for place in at for one in _cells_at(study, place, ())]
    claim(study.out, identity, free=writing.FREE)
    finished = run_cells(study.out, cells, log)
    runs = [run for one in finished for run in one.runs]
    seconds: dict[str, float] = {}
    for one, done in zip(cells, finished, strict=True):
        seconds[one.method] = seconds.get(one.method, 0) + done.seconds
    lines, comparisons = lines_of(runs, study.spec), comparisons_of(runs, study.spec)
    trained = {run.key: run.spec for one in cells for run in one.needs}
    return Compared([run.row for run in runs], lines, comparisons, left, skipped, seconds, tuple(trained.values()))


def _cells_at(study: Study[ComparisonSpec], place: Place, sources: Sources) -> list[Cell]:
    """Return the methods that learn from these sources, or with () those that need none."""
    found = []
    for method in study.spec.methods:
        if method == SVM:
            found.append(cell(study, place, SVM, None, sources, ()))
        elif (method in PRETRAINED) == bool(sources):
            runs = pretraining(study, method, sources)
            found += [cell(study, place, method, adapted, sources, runs) for adapted in study.spec.adapt]
    return found


def to_json(config: Mapping[str, Any], command: str, compared: Compared) -> dict[str, Any]:
    """Return what the study's JSON file holds."""
    return {
        "command": command,
        "config": dict(config),
        "lines": compared.lines,
        "comparisons": compared.comparisons,
        "left_out": [one._asdict() for one in compared.left],
        "seconds": compared.seconds,
    }
