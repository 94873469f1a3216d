"""A study's lines as tables for people."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from metaser_jax.adaptation.classifiers import SVM
from metaser_jax.report import style
from metaser_jax.report.content import Table, narrowed, taken
from metaser_jax.report.tables import ABSENT, SCORE_NAMES, best_in_rows, best_of
from metaser_jax.results.series import (
    Series,
    amount,
    amount_name,
    series_label,
    series_names,
    series_order,
)
from metaser_jax.studies.numbers import Line, series_of
from metaser_jax.studies.plan import Left

NONE = "-"
ALONE = "target alone"
# A longer table is shown on demand.
_FOLDED = 30


def scored(line: Mapping[str, Any], score: str = "macro_f1") -> str:
    """Return a score with its spread: "0.663 ± 0.089", or "0.663 (one draw)"."""
    value, deviation = line[score], line[f"{score}_deviation"]
    return f"{value:.3f} (one draw)" if deviation is None else f"{value:.3f} ± {deviation:.3f}"


def interval(ends: Sequence[float] | None, sign: str = "") -> str:
    """Return an interval: "0.610 to 0.716"; sign "+" shows the sign of both."""
    return NONE if ends is None else f"{ends[0]:{sign}.3f} to {ends[1]:{sign}.3f}"


def p_value(p: float | None) -> str:
    """Return a p value as text, "< 0.001" below that."""
    return NONE if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def data_name(line: Mapping[str, Any]) -> str:
    """Return the amount of data of a line in words."""
    return amount_name(*amount(line))


def place_name(line: Mapping[str, Any]) -> str:
    """Return target and split of a line: "urdu, random split"."""
    target, split = style.place(line)
    return f"{target}, {split or ABSENT} split"


def other_label(line: Mapping[str, Any]) -> str:
    """Return the other method of a comparison, whose sources are the first one's or none."""
    other = series_of(line, "other_")
    of_svm = f", {'with the sources' if other.sources else ALONE}"
    return series_label(other) + (of_svm if other.method == SVM else "")


def sources_name(sources: Iterable[str]) -> str:
    """Return a source set: "ravdess + emodb", or that there is none."""
    return " + ".join(sources) or ALONE


def by_sources(lines: Sequence[Line], sets: Sequence[tuple[str, ...]], left: Mapping[tuple[str, ...], str]) -> Table:
    """Return table 2 of one target, split and amount: a row for each method, a column for each source set.

    Args:
      lines: of that target, split and amount.
      sets: source sets, a column each; one for the target alone follows where a line has no sources.
      left: why a set is left out.
    """
    columns = [*sets, *([()] if any(not line["sources"] for line in lines) else [])]
    cells = {(series_of(line)._replace(sources=()), tuple(line["sources"])): line for line in lines}

    def cell(key: Series, sources: tuple[str, ...]) -> str:
        if sources in left:
            return left[sources]
        return scored(cells[key, sources]) if (key, sources) in cells else NONE

    body = [
        [series_label(key), *(cell(key, sources) for sources in columns)]
        for key in sorted({key for key, _ in cells}, key=series_order)
    ]
    best = best_of(header := ["method", *map(sources_name, columns)], body, header[1:])
    oracle = f"{lines[0]['speaker_oracle_macro_f1']:.3f}" if lines else ABSENT
    body.append(["speaker oracle (hears nothing)", *(left.get(sources, oracle) for sources in columns)])
    return Table(header, body, best=best)


def data_cell(line: Mapping[str, Any]) -> str:
    """Return the amount of data of a line, short: "5 shots", "fraction 0.5", "all"."""
    kind, value = amount(line)
    return data_name(line) if kind == "shots" else "all" if value == 1 else f"fraction {value:g}"


def by_amount(lines: Sequence[Line], name: str = "") -> Table:
    """Return the points of one picture's panel: a row for each amount, a column for each method."""
    cells = {(series_of(line), data_name(line)): line for line in lines}
    names = series_names(list({key for key, _ in cells}))
    body = []
    for data in dict.fromkeys(data_name(line) for line in lines):
        at = next(line for line in lines if data_name(line) == data)
        scores = [scored(cells[m, data]) if (m, data) in cells else NONE for m in names]
        body.append([data_cell(at), *scores, _oracle(at)])
    header = ["data", *names.values(), SCORE_NAMES["speaker_oracle_macro_f1"]]
    return narrowed(Table(header, body, best=best_in_rows(body, range(1, len(names) + 1))), name)


def all_scores(lines: Sequence[Line]) -> list[Table]:
    """Return, for each place, every setting with its intervals, and folded its other scores and what it took."""
    found = []
    for name, group in _by_place(lines).items():
        methods = _method_cells(group)
        first = {"data": data_cell, **methods}
        main: dict[str, Callable[[Line], str]] = {
            **first,
            "macro F1": scored,
            "interval over draws": lambda line: interval(line["draws"]),
            "interval over the test part": lambda line: interval(line["test"]),
            "resampled": lambda line: line["resampled"],
            SCORE_NAMES["speaker_oracle_macro_f1"]: _oracle,
            "draws": lambda line: str(len(line["seeds"])),
        }
        others = {
            **first,
            **{SCORE_NAMES[s]: lambda line, s=s: scored(line, s) for s in ("uar", "accuracy", "weighted_f1")},
            "starts from": lambda line: taken(line.get("start_size")),
            "seconds": lambda line: taken(line["seconds"]),
            "hardware": lambda line: taken(line.get("device")),
        }
        same = [data_cell(line) for line in group]
        for columns, title in ((main, name), (others, f"{name}: other scores, and what an adaptation takes")):
            body = [[cell(line) for cell in columns.values()] for line in group]
            scores = ["macro F1", *(SCORE_NAMES[s] for s in ("uar", "accuracy", "weighted_f1"))]
            one = Table(list(columns), body, best=best_of(list(columns), body, scores, same))
            found.append(narrowed(one, title)._replace(folded=columns is others or len(group) > _FOLDED))
    return found


def differences(lines: Sequence[Line], name: str = "") -> Table:
    """Return a row for each amount of data, a column for each other method.

    The lines are of one method at one target and split. A cell: the difference, its interval over draws, and * where
    Holm's p is below what the interval leaves out.
    """
    cells = {(data_cell(line), other_label(line)): line for line in lines}
    others = list(dict.fromkeys(other for _, other in cells))

    def cell(line: Line | None) -> str:
        if line is None:
            return NONE
        star = " *" if line["p_holm"] is not None and line["p_holm"] < 1 - line["confidence"] else ""
        return f"{line['difference']:+.3f} ({interval(line['difference_draws'], '+')}){star}"

    amounts = dict.fromkeys(data for data, _ in cells)
    body = [[data, *(cell(cells.get((data, other))) for other in others)] for data in amounts]
    return Table(["data", *others], body, name)


def comparisons(lines: Sequence[Line]) -> list[Table]:
    """Return, for each place, MetaSER minus each other method, on the same draws."""
    found = []
    for name, group in _by_place(lines).items():
        columns: dict[str, Callable[[Line], str]] = {
            "data": data_cell,
            **_method_cells(group),
            "minus": other_label,
            "difference": _difference,
            "interval over draws": lambda line: interval(line["difference_draws"], "+"),
            "p, paired t": lambda line: p_value(line["p_t"]),
            "p, Holm": lambda line: p_value(line["p_holm"]),
            "p, Wilcoxon": lambda line: p_value(line["p_wilcoxon"]),
            "interval over the test part": lambda line: interval(line["difference_test"], "+"),
            "resampled": lambda line: line["resampled"],
        }
        one = Table(list(columns), [[cell(line) for cell in columns.values()] for line in group])
        found.append(narrowed(one, name)._replace(folded=True))
    return found


def _by_place(lines: Sequence[Line]) -> dict[str, list[Line]]:
    """Return the lines of each target and split, and of each budget where there are budgets."""
    found: dict[str, list[Line]] = {}
    for line in lines:
        budget = f", equal {line['budget']}" if "budget" in line else ""
        found.setdefault(place_name(line) + budget, []).append(line)
    return found


def _method_cells(lines: Sequence[Line]) -> dict[str, Callable[[Line], str]]:
    """Return the column that names a method, and one of its sources where there are several sets of them."""
    keys = [series_of(line) for line in lines]
    if len({key.sources for key in keys if key.sources}) > 1:
        return {
            "method": lambda line: series_label(series_of(line)),
            "sources": lambda line: sources_name(line["sources"]),
        }
    names = series_names(keys)
    return {"method": lambda line: names[series_of(line)]}


def left_out(left: Iterable[Left]) -> tuple[str, ...]:
    """Return what is left out, and why, item by item."""
    return tuple(f"{one.what}: {one.why}" for one in left)


def _oracle(line: Line) -> str:
    value = line["speaker_oracle_macro_f1"]
    return ABSENT if value is None else f"{value:.3f}"


def _difference(line: Line) -> str:
    value, deviation = line["difference"], line["difference_deviation"]
    return f"{value:+.3f} (one draw)" if deviation is None else f"{value:+.3f} ± {deviation:.3f}"
