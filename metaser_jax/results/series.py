"""Names and order of methods and amounts of data, in tables and pictures alike.

A method that was meta-trained is called by the algorithm that ran (ALGORITHMS), which its rows say.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from metaser_jax.results.rows import Row
from metaser_jax.specs.algorithms import ALGORITHMS, ORDERS, method_of, methods

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
ADAPT_NAMES = {"all": "all layers", "head": "head only"}


class Series(NamedTuple):
    """Series of runs: rows that differ only in target, split, amount of data and seed are one line of a plot.

    Attributes:
      method: of a meta-learner what its own runs have, whatever a study calls it: the same algorithm is one series.
      algorithm: of ALGORITHMS, of a method that was meta-trained; None of the others.
    """

    method: str
    order: str | None
    adapt: str | None
    sources: tuple[str, ...]
    normalise: str | None
    algorithm: str | None = None


def series(row: Row) -> Series:
    """Return what a completed row is of."""
    normalise = None if row["normalise"] is None else str(row["normalise"])
    algorithm = algorithm_of(row)
    method = method_of(algorithm) if algorithm in ALGORITHMS else row["method"]
    return Series(method, row["order"], row["adapt"], tuple(row["sources"] or ()), normalise, algorithm)


def algorithm_of(row: Mapping[str, Any]) -> str | None:
    """Return the algorithm of a row; of one from before it was recorded by its method, unless that is metaser."""
    method = row["method"]
    return row.get("algorithm") or (methods().get(method) if method != "metaser" else None)


def series_order(key: Series) -> tuple:
    """Return a sort key: by method, second order before first, all layers before the head."""
    names, algorithms = list(METHOD_NAMES), list(ALGORITHMS)
    if key.algorithm in algorithms:
        rank = (0, algorithms.index(key.algorithm))
    else:
        rank = (1, names.index(key.method) if key.method in names else len(names))
    order = (ORDERS.index(key.order) if key.order in ORDERS else len(ORDERS), key.order or "")
    return *rank, key.method, *order, key.adapt != "all", key.adapt or "", key.sources, key.normalise or ""


def method_name(key: Series) -> str:
    """Return what people call a method: of a meta-learner "MAML, second order", "FOMAML", "Meta-SGD"."""
    if key.algorithm in ALGORITHMS:
        return ALGORITHMS[key.algorithm].label(key.order)
    name = METHOD_NAMES.get(key.method, key.method)
    return f"{name} ({key.order} order)" if key.order else name


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


def amount_name(kind: str, value: float) -> str:
    """Return the amount in words: "5 shots", "fraction 0.5 of the training part"."""
    if kind == "fraction":
        return "the whole training part" if value == 1 else f"fraction {value:g} of the training part"
    return f"{value:g} shot" if value == 1 else f"{value:g} shots"
