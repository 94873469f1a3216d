"""What Table 2 and Figure 2 share: methods compared at places, from source sets; and what they write."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from metaser_jax.config import Figure2Config, Table2Config
from metaser_jax.errors import InputError
from metaser_jax.results.rows import Row
from metaser_jax.results.run_dir import claim
from metaser_jax.studies import tables, writing
from metaser_jax.studies.cells import Cell, run_cells
from metaser_jax.studies.methods import PRETRAINED, SVM, pretraining
from metaser_jax.studies.numbers import Line, comparisons_of, lines_of
from metaser_jax.studies.plan import IS_SOURCE, Left, Place, cell, places, unprepared

Sources = tuple[str, ...]


class Compared(NamedTuple):
    """A finished comparison.

    Attributes:
      rows: of every adaptation.
      lines, comparisons: its numbers.
      left: what was left out.
      skipped: for (sources, target), why there is nothing, in a word.
      seconds: that its adaptations took, by method; pre-training apart.
    """

    rows: list[Row]
    lines: list[Line]
    comparisons: list[Line]
    left: list[Left]
    skipped: dict[tuple[Sources, str], str]
    seconds: dict[str, float]


def compare_methods(
    study: Table2Config | Figure2Config, sets: Sequence[Sources], log: Callable[[str], None]
) -> Compared:
    """Computes what is missing of sets x targets x splits x methods.

    Raises:
      InputError: nothing of it is possible; study.out holds another study; what the runs raise.
    """
    at, left = places(study, study.targets)
    skipped = {}
    for one in left:
        skipped |= {(sources, one.what): one.short for sources in (*sets, ()) if one.what in study.targets}
    prepared = []
    for sources in sets:
        missing = unprepared(study, sources, tables.sources_name(sources))
        if missing:
            left.append(missing)
            skipped |= {(sources, target): missing.short for target in study.targets}
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
    claim(Path(study.out), dataclasses.asdict(study), free=writing.FREE)
    finished = run_cells(Path(study.out), cells, log)
    runs = [run for one in finished for run in one.runs]
    seconds: dict[str, float] = {}
    for one, done in zip(cells, finished, strict=True):
        seconds[one.method] = seconds.get(one.method, 0) + done.seconds
    return Compared(
        [run.row for run in runs], lines_of(runs, study), comparisons_of(runs, study), left, skipped, seconds
    )


def _cells_at(study: Table2Config | Figure2Config, place: Place, sources: Sources) -> list[Cell]:
    """The methods that learn from these sources, or with () those that need none."""
    found = []
    for method in study.methods:
        if method == SVM:
            found.append(cell(study, place, SVM, None, sources, ()))
        elif (method in PRETRAINED) == bool(sources):
            runs = pretraining(study, method, sources)
            found += [cell(study, place, method, adapted, sources, runs) for adapted in study.adapt]
    return found


def to_json(study: Table2Config | Figure2Config, command: str, compared: Compared) -> dict[str, Any]:
    """What the study's JSON file holds."""
    return {
        "command": command,
        "config": dataclasses.asdict(study),
        "lines": compared.lines,
        "comparisons": compared.comparisons,
        "left_out": [one._asdict() for one in compared.left],
        "seconds": compared.seconds,
    }
