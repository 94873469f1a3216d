"""How methods and amounts of data are told apart, called and ordered, in tables and pictures alike."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from metaser_jax.results.rows import Row

# The order in tables, legends and in the choice of what a confusion matrix shows; other methods follow by name.
METHOD_NAMES = {
    "metaser": "MetaSER",
    "multiser": "MultiSER",
    "transser": "TransSER",
    "svm": "SVM",
    "scratch": "from scratch",
}
OTHER_METHOD_NAMES = {
    "anil": "ANIL",
    "meta_sgd": "MetaSER, learned rates",
    "layer_rates": "learned layer rates",
    "reptile": "Reptile",
}
ADAPT_NAMES = {"all": "all layers", "head": "head only"}


class Series(NamedTuple):
    """What is run: rows that differ only in target, split, amount of data and seed are one line of a plot."""

    method: str
    order: str | None
    adapt: str | None
    sources: tuple[str, ...]
    normalise: str | None


def series(row: Row) -> Series:
    normalise = None if row["normalise"] is None else str(row["normalise"])
    return Series(row["method"], row["order"], row["adapt"], tuple(row["sources"] or ()), normalise)


def series_order(key: Series) -> tuple:
    """Sort key: METHOD_NAMES' order, second order before first, all layers before the head."""
    methods = list(METHOD_NAMES)
    rank = methods.index(key.method) if key.method in methods else len(methods)
    order, adapt = (key.order != "second", key.order or ""), (key.adapt != "all", key.adapt or "")
    return rank, key.method, *order, *adapt, key.sources, key.normalise or ""


def method_name(key: Series) -> str:
    name = (METHOD_NAMES | OTHER_METHOD_NAMES).get(key.method, key.method)
    return name if key.order is None else f"{name} ({key.order} order)"


def series_names(keys: Sequence[Series]) -> dict[Series, str]:
    """Names for a legend: the method, and of the rest what is not the same for all."""
    several_adapt, several_sources, several_normalise = varying(keys)
    # Of a method that has learned from sources in one line and from none in another.
    with_sources, alone = ({key.method for key in keys if bool(key.sources) == any_} for any_ in (True, False))
    names = {}
    for key in sorted(set(keys), key=series_order):
        parts = [method_name(key)]
        if several_adapt and key.adapt:
            parts.append(ADAPT_NAMES.get(key.adapt, key.adapt))
        if several_sources and key.sources:
            parts.append("from " + " + ".join(key.sources))
        elif key.method in with_sources & alone:
            parts.append("with the sources" if key.sources else "target alone")
        if several_normalise and key.normalise:
            parts.append(f"normalise {key.normalise}")
        names[key] = ", ".join(parts)
    return names


def varying(keys: Iterable[Series]) -> tuple[bool, bool, bool]:
    """Whether adapt, sources, normalise differ among those that have them at all."""
    keys = list(keys)
    return tuple(len({getattr(k, f) for k in keys} - {None, ()}) > 1 for f in ("adapt", "sources", "normalise"))


def split_name(split: str | None, folds: int | None) -> str | None:
    """ "random", "speaker", "speaker, 3 folds"; None was not recorded."""
    return f"{split}, {folds} folds" if split and folds else split


def amount(row: Row) -> tuple[str, float]:
    """("shots", per class) or ("fraction", of the training part); a row with neither had the whole training part."""
    if row["shots"] is not None:
        return "shots", row["shots"]
    return "fraction", 1.0 if row["fraction"] is None else row["fraction"]


def amount_name(kind: str, value: float) -> str:
    if kind == "fraction":
        return "the whole training part" if value == 1 else f"fraction {value:g} of the training part"
    return f"{value:g} shot" if value == 1 else f"{value:g} shots"
