"""A study's summaries and comparisons as lines of JSON and CSV, and as tables for people.

Lines are flat and JSON-able. Scores are from 0 to 1, intervals [low, high], None what one draw cannot say.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from metaser_jax.adaptation.classifiers import SVM
from metaser_jax.report.content import ABSENT, Table, best_in_rows, best_of, narrowed, table_of
from metaser_jax.report.tables import ORACLE, SCORE_NAMES, taken
from metaser_jax.results.bootstrap import Bootstrap
from metaser_jax.results.rows import Series, series_label, series_names, series_order
from metaser_jax.results.significance import Interval, Seeds
from metaser_jax.results.summary import Comparison, Setting, Summary

Line = dict[str, Any]
NONE = "-"
ALONE = "target alone"
HEARS_NOTHING = "speaker oracle (hears nothing)"
OTHERS = ("uar", "accuracy", "weighted_f1")
# A longer table is shown on demand.
FOLDED = 30


def line_of(one: Summary, confidence: float) -> Line:
    """Return a summary as a line, which has the name that the study's rows give a method."""
    macro = one.macro_f1
    line = _place(one) | _method(one) | {"normalise": one.series.normalise}
    line |= {"validation": one.rows[0].get("validation")}
    line |= {"macro_f1": macro.mean, "macro_f1_deviation": macro.deviation, "draws": ends(macro)}
    line |= _of_test("test", one.test["macro_f1"])
    for score in OTHERS:
        over = getattr(one, score)
        line |= {score: over.mean, f"{score}_deviation": over.deviation}
    line["speaker_oracle_macro_f1"] = one.mean("speaker_oracle_macro_f1")
    n_test = sum(len(run.file) for run in next(iter(one.draws.values())))
    line |= {"n_train": one.mean("n_train"), "n_valid": one.mean("n_valid"), "n_test": n_test}
    line["seeds"] = sorted(set(one.seeds))
    line["split_digests"] = list(dict.fromkeys(str(row["split_digest"]) for row in one.rows))
    line["init_seeds"] = sorted({row["init_seed"] for row in one.rows if row.get("init_seed") is not None})
    line |= {"seconds": one.seconds, "start_size": one.start_size, "device": one.device}
    return line | {
        "confidence": confidence,
        "emotions": one.rows[0]["emotions"],
        "confusion": one.confusion.tolist(),
    }


def comparison_line(one: Comparison, confidence: float) -> Line:
    """Return a comparison as a line; the fields of the other method are called other_*."""
    over = one.draws.difference
    return (
        _place(one.reference)
        | _method(one.reference)
        | {"normalise": one.reference.series.normalise}
        | {f"other_{name}": value for name, value in _method(one.other).items()}
        | {"difference": over.mean, "difference_deviation": over.deviation, "difference_draws": ends(over)}
        | _of_test("difference_test", one.speakers)
        | {"n": over.n, "p_t": one.draws.p_t, "p_wilcoxon": one.draws.p_wilcoxon, "p_holm": one.p_holm}
        | {"confidence": confidence}
    )


def _place(one: Setting) -> Line:
    return {name: getattr(one, name) for name in ("target", "split", "folds", "shots", "fraction")}


def _method(one: Summary) -> Line:
    key = one.series
    known = {"method": one.rows[0]["method"], "algorithm": key.algorithm, "order": key.order, "adapt": key.adapt}
    return known | {"sources": list(key.sources)}


def _of_test(name: str, of: Bootstrap) -> Line:
    return {name: ends(of), "resampled": of.by, "resampled_units": of.units}


def ends(found: Seeds | Bootstrap) -> list[float] | None:
    """Return the ends of an interval, if there is one."""
    return None if found.interval is None else [found.interval.low, found.interval.high]


def interval_text(ends: Interval | Sequence[float] | None, sign: str = "") -> str:
    """Return an interval: "0.610 to 0.716"; sign "+" shows the sign of both."""
    return NONE if ends is None else f"{ends[0]:{sign}.3f} to {ends[1]:{sign}.3f}"


def p_value(p: float | None) -> str:
    """Return a p value as text, "< 0.001" below that."""
    return NONE if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def place_name(one: Setting) -> str:
    """Return target and split: "urdu, random split"."""
    target, split = one.place
    return f"{target}, {split or ABSENT} split"


def data_cell(one: Setting) -> str:
    """Return the amount of data, short: "5 shots", "fraction 0.5", "all"."""
    kind, value = one.amount
    return one.data if kind == "shots" else "all" if value == 1 else f"fraction {value:g}"


def oracle_cell(one: Summary) -> str:
    """Return the score of the speaker oracle."""
    value = one.mean("speaker_oracle_macro_f1")
    return ABSENT if value is None else f"{value:.3f}"


def other_label(other: Series) -> str:
    """Return the other method of a comparison, whose sources are the first one's or none."""
    of_svm = f", {'with the sources' if other.sources else ALONE}"
    return series_label(other) + (of_svm if other.method == SVM else "")


def sources_name(sources: Iterable[str]) -> str:
    """Return a source set: "ravdess + emodb", or that there is none."""
    return " + ".join(sources) or ALONE


def by_place(summaries: Iterable[Summary]) -> dict[str, list[Summary]]:
    """Return the summaries of each target and split, by its name."""
    found = defaultdict(list)
    for one in summaries:
        found[place_name(one)].append(one)
    return dict(found)


def by_sources(
    summaries: Sequence[Summary], sets: Sequence[tuple[str, ...]], left: Mapping[tuple[str, ...], str]
) -> Table:
    """Return table 2 of one target, split and amount: a row for each method, a column for each source set.

    Args:
      summaries: of that target, split and amount.
      sets: source sets, a column each; one for the target alone follows where a method has no sources.
      left: why a set is left out.
    """
    of = {(one.series._replace(sources=()), one.series.sources): str(one.macro_f1) for one in summaries}
    columns = [*sets, *([()] if any(not sources for _, sources in of) else [])]
    body = [
        [series_label(key), *(left.get(sources) or of.get((key, sources), NONE) for sources in columns)]
        for key in sorted({key for key, _ in of}, key=series_order)
    ]
    header = ["method", *map(sources_name, columns)]
    best = best_of(header, body, header[1:])
    oracle = oracle_cell(summaries[0]) if summaries else ABSENT
    body.append([HEARS_NOTHING, *(left.get(sources, oracle) for sources in columns)])
    return Table(header, body, best=best)


def by_amount(summaries: Sequence[Summary], name: str = "") -> Table:
    """Return the points of one picture's panel: a row for each amount, a column for each method."""
    of = {(one.series, one.data): one for one in summaries}
    names = series_names([key for key, _ in of])
    body = []
    for data in dict.fromkeys(one.data for one in summaries):
        at = next(one for one in summaries if one.data == data)
        scores = [str(of[key, data].macro_f1) if (key, data) in of else NONE for key in names]
        body.append([data_cell(at), *scores, oracle_cell(at)])
    best = best_in_rows(body, range(1, len(names) + 1))
    return narrowed(Table(["data", *names.values(), ORACLE], body, best=best), name)


def all_scores(summaries: Mapping[str, Sequence[Summary]]) -> list[Table]:
    """Return, for each place, every setting with its intervals, and folded its other scores and what it took."""
    found = []
    best = ["macro F1", *(SCORE_NAMES[score] for score in OTHERS)]
    for name, group in summaries.items():
        first: dict[str, Callable[[Summary], str]] = {"data": data_cell, **_method_cells(group)}
        main = first | {
            "macro F1": lambda one: str(one.macro_f1),
            "interval over draws": lambda one: interval_text(one.macro_f1.interval),
            "interval over the test part": lambda one: interval_text(one.test["macro_f1"].interval),
            "resampled": lambda one: one.test["macro_f1"].by,
            ORACLE: oracle_cell,
            "draws": lambda one: str(len(set(one.seeds))),
        }
        others = first | {SCORE_NAMES[score]: lambda one, score=score: str(getattr(one, score)) for score in OTHERS}
        for column, field in (("starts from", "start_size"), ("seconds", "seconds"), ("hardware", "device")):
            others[column] = lambda one, field=field: taken(getattr(one, field))
        same = [data_cell(one) for one in group]
        main, others = (table_of(columns, group, "", best, same) for columns in (main, others))
        found.append(narrowed(main, name)._replace(folded=len(group) > FOLDED))
        title = f"{name}: other scores, and what an adaptation takes"
        found.append(narrowed(others, title)._replace(folded=True))
    return found


def differences(comparisons: Sequence[Comparison], name: str = "") -> Table:
    """Return a row for each amount of data, a column for each other method.

    The comparisons are of one method at one target and split. A cell: the difference, its interval over draws, and *
    where Holm's p is below what the interval leaves out.
    """

    def cell(one: Comparison) -> str:
        over = one.draws.difference
        star = " *" if one.p_holm is not None and one.p_holm < 1 - one.speakers.interval.confidence else ""
        return f"{over.mean:+.3f} ({interval_text(over.interval, '+')}){star}"

    of = {(data_cell(one.reference), other_label(one.other.series)): cell(one) for one in comparisons}
    amounts, others = (list(dict.fromkeys(key[at] for key in of)) for at in (0, 1))
    body = [[data, *(of.get((data, other), NONE) for other in others)] for data in amounts]
    return Table(["data", *others], body, name)


def comparisons(of_place: Mapping[str, Sequence[Comparison]]) -> list[Table]:
    """Return, for each place, MetaSER minus each other method, on the same draws."""
    found = []
    for name, group in of_place.items():
        methods = _method_cells([one.reference for one in group])
        columns: dict[str, Callable[[Comparison], str]] = {
            "data": lambda one: data_cell(one.reference),
            **{name: lambda one, cell=cell: cell(one.reference) for name, cell in methods.items()},
            "minus": lambda one: other_label(one.other.series),
            "difference": lambda one: _difference(one.draws.difference),
            "interval over draws": lambda one: interval_text(one.draws.difference.interval, "+"),
            "p, paired t": lambda one: p_value(one.draws.p_t),
            "p, Holm": lambda one: p_value(one.p_holm),
            "p, Wilcoxon": lambda one: p_value(one.draws.p_wilcoxon),
            "interval over the test part": lambda one: interval_text(one.speakers.interval, "+"),
            "resampled": lambda one: one.speakers.by,
        }
        found.append(narrowed(table_of(columns, group), name)._replace(folded=True))
    return found


def _method_cells(group: Sequence[Summary]) -> dict[str, Callable[[Summary], str]]:
    """Return the column that names a method, and one of its sources where there are several sets of them."""
    keys = [one.series for one in group]
    if len({key.sources for key in keys if key.sources}) > 1:
        return {
            "method": lambda one: series_label(one.series),
            "sources": lambda one: sources_name(one.series.sources),
        }
    names = series_names(keys)
    return {"method": lambda one: names[one.series]}


def _difference(over: Seeds) -> str:
    return f"{over.mean:+.3f} (one draw)" if over.deviation is None else f"{over.mean:+.3f} ± {over.deviation:.3f}"
