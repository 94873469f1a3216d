"""Result rows, the lines of results.jsonl and metrics.jsonl, and the series that they make in tables and pictures.

A method that was meta-trained is called by the algorithm that ran (ALGORITHMS), which its rows say.
"""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from metaser_jax.emotions import FOUR_EMOTIONS
from metaser_jax.errors import InputError
from metaser_jax.results.run_dir import counted, json_lines
from metaser_jax.specs.algorithms import ALGORITHMS, ORDERS, method_of, methods

Row = dict[str, Any]

REQUIRED = ("method", "target", "seed", "macro_f1", "confusion")
SCORES = ("macro_f1", "uar", "accuracy", "weighted_f1", "speaker_oracle_macro_f1")
# Older files lack some of these; null then means "was not recorded".
OPTIONAL = (
    *("order", "sources", "language", "split", "split_digest", "fold", "folds", "shots", "fraction", "adapt"),
    *("normalise", "emotions", "n_train", "n_valid", "n_test", "seconds", *SCORES),
)
# The most that a number may be.
_RANGES = dict.fromkeys(SCORES, 1) | {"shots": math.inf, "fraction": 1}


def read_results(path: str | Path) -> list[Row]:
    """Read the lines of results.jsonl, each checked and completed (see `complete`).

    Raises:
      InputError: no such file; no rows; a line that is not a JSON object or lacks a field. Names the file and the line.
    """
    rows = [complete(row, where) for where, row in json_lines(path)]
    if not rows:
        raise InputError(f"{path}: got no rows, expected one result on each line. Run the evaluation first.")
    return rows


def read_metrics(path: str | Path) -> list[Row]:
    """Read the lines of metrics.jsonl; a value that is null was not recorded.

    Raises:
      InputError: no such file; a line without episode, or total_epoch if the first has it. Names the file and the line.
    """
    lines = list(json_lines(path))
    return counted(lines, step_of(lines[0][1])) if lines else []


def step_of(row: Row) -> str:
    """Return what a line of metrics.jsonl counts: "total_epoch" in pre-training, "episode" in meta-training."""
    return "total_epoch" if "total_epoch" in row else "episode"


def complete(row: Row, where: str) -> Row:
    """Return a copy of the row with every field that was not recorded as None, and with emotions named.

    Args:
      row: one result; scores in [0, 1], confusion [classes][classes] counts, rows true, columns predicted.
      where: how messages call it.

    Raises:
      InputError: a required field is missing, or a field is not what it should be.
    """
    for field in REQUIRED:
        if row.get(field) is None:
            raise InputError(f"{where}: {field} is missing, expected each row to have {', '.join(REQUIRED)}.")
    row = dict.fromkeys(OPTIONAL) | row
    for field, upper in _RANGES.items():
        if row[field] is not None and not _is_number(row[field], upper):
            raise InputError(f"{where}: {field}: got {row[field]!r}, expected a number from 0 to {upper}, or null.")
    if type(row["seed"]) is not int:
        raise InputError(f"{where}: seed: got {row['seed']!r}, expected a whole number.")
    fold, folds = row["fold"], row["folds"]
    if (fold, folds) != (None, None) and not (type(fold) is type(folds) is int and 0 <= fold < folds):
        raise InputError(f"{where}: fold: got {fold!r} of folds {folds!r}, expected a number from 0 to folds - 1.")
    confusion, emotions = row["confusion"], row["emotions"]
    square = isinstance(confusion, list) and all(isinstance(r, list) and len(r) == len(confusion) for r in confusion)
    if not square or not confusion or not all(_is_number(c) for r in confusion for c in r):
        raise InputError(f"{where}: confusion: got {str(confusion)[:80]}, expected a square list of lists of counts.")
    if emotions is None and len(confusion) == len(FOUR_EMOTIONS):
        row["emotions"] = list(FOUR_EMOTIONS)
    elif not isinstance(emotions, list) or len(emotions) != len(confusion):
        raise InputError(f"{where}: emotions: got {emotions!r}, expected {len(confusion)} names, as confusion has.")
    return row


def completed(rows: Iterable[Row]) -> list[Row]:
    """Return `complete` for rows that did not come from a file."""
    return [complete(row, f"row {number}") for number, row in enumerate(rows, 1)]


def _is_number(value: Any, most: float = math.inf) -> bool:
    # NaN fails the comparison.
    return not isinstance(value, bool) and isinstance(value, int | float) and 0 <= value <= most


# The order in tables, legends and in the choice of what a confusion matrix shows: meta-learners come first.
METHOD_NAMES = {
    # Of rows from before they said the algorithm; a study then called every one of its meta-learners so.
    "metaser": "MetaSER",
    "multiser": "MultiSER",
    "transser": "TransSER",
    "joint": "joint training",
    "egemaps": "eGeMAPS, joint training",
    "svm": "SVM",
    "scratch": "from scratch",
}
TOGETHER = ", clips together"
ADAPT_NAMES = {"all": "all layers", "head": "head only"}


class Series(NamedTuple):
    """Series of runs: rows that differ only in target, split, amount of data and seed are one line of a plot.

    Attributes:
      method: of a meta-learner what its own runs have, whatever a study calls it: the same algorithm is one series.
      algorithm: of ALGORITHMS, of a method that was meta-trained; None of the others.
      together: whether clips of a voice were labelled together (data/together.py).
    """

    method: str
    order: str | None
    adapt: str | None
    sources: tuple[str, ...]
    normalise: str | None
    algorithm: str | None = None
    together: bool = False


def series(row: Row) -> Series:
    """Return what a completed row is of."""
    normalise = None if row["normalise"] is None else str(row["normalise"])
    method = row["method"]
    # A row from before the algorithm was recorded says it by its method, unless that is metaser.
    algorithm = row.get("algorithm") or (methods().get(method) if method != "metaser" else None)
    method = method_of(algorithm) if algorithm in ALGORITHMS else method
    together = bool(row.get("together"))
    return Series(method, row["order"], row["adapt"], tuple(row["sources"] or ()), normalise, algorithm, together)


def series_order(key: Series) -> tuple:
    """Return a sort key: by method, second order before first, all layers before the head."""
    names, algorithms = list(METHOD_NAMES), list(ALGORITHMS)
    if key.algorithm in algorithms:
        rank = (0, algorithms.index(key.algorithm))
    else:
        rank = (1, names.index(key.method) if key.method in names else len(names))
    order = (ORDERS.index(key.order) if key.order in ORDERS else len(ORDERS), key.order or "")
    layers = key.adapt != "all", key.adapt or ""
    return *rank, key.method, *order, *layers, key.sources, key.normalise or "", key.together


def method_name(key: Series) -> str:
    """Return what people call a method: of a meta-learner "MAML, second order", "FOMAML", "Meta-SGD"."""
    if key.algorithm in ALGORITHMS:
        name = ALGORITHMS[key.algorithm].label(key.order)
    else:
        name = METHOD_NAMES.get(key.method, key.method)
        name = f"{name} ({key.order} order)" if key.order else name
    return f"{name}{TOGETHER}" if key.together else name


def series_label(key: Series) -> str:
    """Return method and adapted layers: "Meta-SGD, all layers"."""
    return ", ".join(filter(None, (method_name(key), ADAPT_NAMES.get(key.adapt, key.adapt))))


def series_names(keys: Sequence[Series]) -> dict[Series, str]:
    """Return names for a legend: the method, and of the rest what is not the same for all."""
    several_adapt, several_sources, several_normalise = varying(keys)
    # Of a method that has learned from sources in one line and from none in another.
    with_sources, alone = ({key.method for key in keys if bool(key.sources) == any_} for any_ in (True, False))
    names = {}
    for key in sorted(set(keys), key=series_order):
        name = series_label(key) if several_adapt else method_name(key)
        if several_sources and key.sources:
            name += f", from {' + '.join(key.sources)}"
        elif key.method in with_sources & alone:
            name += ", with the sources" if key.sources else ", target alone"
        if several_normalise and key.normalise:
            name += f", normalise {key.normalise}"
        names[key] = name
    return names


def varying(keys: Iterable[Series]) -> tuple[bool, bool, bool]:
    """Return whether adapt, sources, normalise differ among those that have them at all."""
    keys = list(keys)
    adapt, sources, normalise = (
        len({getattr(key, field) for key in keys} - {None, ()}) > 1 for field in ("adapt", "sources", "normalise")
    )
    return adapt, sources, normalise


def split_name(split: str | None, folds: int | None) -> str | None:
    """Return "random", "speaker", "speaker, 3 folds"; None was not recorded."""
    return f"{split}, {folds} folds" if split and folds else split
