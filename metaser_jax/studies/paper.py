"""The paper's Table 2 and Figure 2: macro F1 by source set, target, method, and against the amount of target data.

Chopra et al., ICASSP 2021. NOTE: the paper's methods differ in what they adapt (MetaSER every layer, TransSER and
MultiSER the dense layers); here each network does both. Figure 2 has the paper's fractions, and shots beside them.
"""

from collections import defaultdict
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from metaser_jax.datasets.targets import ON_DISK, Corpora
from metaser_jax.errors import InputError
from metaser_jax.report.content import Content, Section, narrowed, run_section, table_of
from metaser_jax.report.page import picture
from metaser_jax.report.plots import Band, adaptation_figure
from metaser_jax.report.text_page import markdown_page
from metaser_jax.results.rows import Series, method_name, series_label
from metaser_jax.results.run_dir import write_text
from metaser_jax.results.significance import Crossover, crossovers
from metaser_jax.results.summary import Summary
from metaser_jax.specs.studies import ComparisonSpec, Figure2Config, Table2Config
from metaser_jax.studies import TEXTS, tables
from metaser_jax.studies.cells import Cell
from metaser_jax.studies.driver import Found, compute, is_metaser, lines_of, write
from metaser_jax.studies.study import METASER, PRETRAINED, SVM, Left, Place, Study, open_study

TABLE = "Table 2: from which sources, to which targets, by which method"
FIGURE = "Figure 2: macro F1 against the amount of target data"
_TEXTS = TEXTS["comparison"]
KINDS = {"fraction": ("fractions", "the fraction of the training part"), "shots": ("shots", "clips per emotion")}
IS_SOURCE = "is a source"
Sources = tuple[str, ...]


def run_table2(config: Table2Config, command: str, *, corpora: Corpora = ON_DISK) -> Path:
    """Compute what is missing of the matrix and write table2.md, .csv, .json, report.html and report.md.

    Args:
      command: what the user ran, for the report.
      corpora: where prepared corpora come from.

    Returns:
      Path of report.html.

    Raises:
      InputError: nothing of the matrix is possible; config.out holds another study; what the runs raise.
    """
    study = open_study(config, command, corpora)
    spec = study.spec
    found, skipped = compare_methods(study, spec.sets)
    title = f"{TABLE}: {' and '.join(spec.targets)}"
    main = _table_sections(study, found, skipped)
    metaser = tables.metaser_is(found.trained)
    intro = _TEXTS["intro"].format(sources="the sources of a column", alone=" in the last column", metaser=metaser)
    beside = (*tables.left_section(study), *tables.split_sections(spec, found), run_section(command))
    write_text(study.out / "table2.md", markdown_page(Content(title, intro, (*main, *beside))))
    # Without numbers, so that the CSV names what is left out, too.
    left = [{"target": t, "sources": list(s), "left_out": why} for (s, t), why in skipped.items() if s]
    return _write(study, "table2", title, intro, main, found, {}, left)


def compare_methods(
    study: Study[ComparisonSpec], sets: Sequence[Sources]
) -> tuple[Found, dict[tuple[Sources, str], str]]:
    """Compute what is missing of sets x targets x splits x methods.

    Args:
      study: what is compared, and where things are.
      sets: of sources.

    Returns:
      What was found; for (sources, target), why there is nothing, in a word.

    Raises:
      InputError: nothing of it is possible; study.out holds another study; what the runs raise.
    """
    at = study.places(study.spec.targets)
    skipped = {(s, one.what): one.short for one in study.left if one.what in study.spec.targets for s in (*sets, ())}
    cells = []
    for sources in sets:
        name = tables.sources_name(sources)
        missing = study.unprepared(sources, name)
        if missing:
            study.left.append(missing)
            skipped |= {(sources, target): missing.short for target in study.spec.targets}
        for place in () if missing else at:
            if place.target not in sources:
                cells += _cells_at(study, place, sources)
            elif (sources, place.target) not in skipped:
                skipped[sources, place.target] = IS_SOURCE
                why = f"{place.target} is one of the sources: its test part was learned from."
                study.left.append(Left(f"{name} -> {place.target}", IS_SOURCE, why))
    if not cells:
        raise InputError(f"No source set can be used with any target:\n{study.reasons()}")
    cells += [one for place in at for one in _cells_at(study, place, ())]
    return compute(study, cells), skipped


def _cells_at(study: Study[ComparisonSpec], place: Place, sources: Sources) -> list[Cell]:
    """Return the methods that learn from these sources, or with () those that need none."""
    found = []
    for method in study.spec.methods:
        if method == SVM:
            found.append(study.cell(place, SVM, None, sources))
        elif (method in PRETRAINED) == bool(sources):
            runs = study.pretraining(method, sources)
            found += [study.cell(place, method, adapted, sources, runs) for adapted in study.spec.adapt]
    return found


def _write(
    study: Study[ComparisonSpec],
    name: str,
    title: str,
    intro: str,
    own: tuple[Section, ...],
    found: Found,
    numbers: dict[str, Any],
    left: Sequence[tables.Line] = (),
) -> Path:
    """Write the study with its own sections first, its own numbers besides, and lines on the parts left out."""
    lines, comparisons = lines_of(study, found)
    compared = tables.comparison_section({"": found}, study.spec.confidence)
    closing = tables.closing_sections(study, study.spec.methods, {"": found})
    numbers = {"lines": lines, "comparisons": comparisons, "seconds": found.seconds, **numbers}
    shown = (*own, *compared, *closing, tables.times_section(found.seconds))
    return write(study, name, title, intro, shown, numbers, [*lines, *left])


def _table_sections(
    study: Study[Table2Config], found: Found, skipped: dict[tuple[Sources, str], str]
) -> tuple[Section, ...]:
    """Return a table for each target, split and amount; a target of which there is nothing has a sentence."""
    spec, shown = study.spec, []
    for (place, data), group in groupby(found.summaries, lambda one: (tables.place_name(one), one.data)):
        summaries = list(group)
        target, n_folds = summaries[0].target, summaries[0].folds
        left = {sources: why for (sources, of), why in skipped.items() if of == target}
        folds = f", each the mean of {n_folds} folds" if n_folds else ""
        text = f"Macro F1, mean ± sample standard deviation over {spec.seeds} draws{folds}."
        shown.append(Section(f"{place}: {data}", (text, tables.by_sources(summaries, spec.sets, left))))
    for target in spec.targets:
        if target not in {one.target for one in found.summaries}:
            why = " ".join(one.why for one in study.left if one.what.split(",")[0] == target)
            shown.append(Section(f"{target}: {skipped.get(((), target), 'left out')}", (why,)))
    return tuple(shown)


def run_figure2(config: Figure2Config, command: str, *, corpora: Corpora = ON_DISK) -> Path:
    """Compute what is missing and write figure2_{fractions,shots}.{png,svg,pdf}, figure2.{json,csv} and the report.

    Args:
      command: what the user ran, for the report.
      corpora: where prepared corpora come from.

    Returns:
      Path of report.html.

    Raises:
      InputError: a source is not prepared, or no target is; config.out holds another study; what the runs raise.
    """
    study = open_study(config, command, corpora)
    spec = study.spec
    study.require_prepared(spec.sources)
    found, _ = compare_methods(study, [spec.sources])
    # The summaries' own intervals.
    name = f"{spec.confidence:.0%} interval for the mean over draws"
    band = Band(name, lambda one: one.macro_f1.interval and one.macro_f1.interval[:2], dots=False)
    pictures = []
    for kind, (name, against) in KINDS.items():
        if of_kind := [one for one in found.summaries if one.amount[0] == kind]:
            caption, figure = f"Macro F1 on the test part against {against}.", adaptation_figure(of_kind, band)
            pictures.append(picture(study.out, f"figure2_{name}.png", caption, figure, svg=True))
    points: dict[str, list[Summary]] = defaultdict(list)
    for one in found.summaries:
        points[f"{tables.place_name(one)}, along {one.amount[0]}"].append(one)
    shown = (*pictures, *(tables.by_amount(of, name) for name, of in points.items()))
    crossings = crossings_of(found.summaries)
    main = (Section("Macro F1 against the amount of target data", shown), *_crossover_section(crossings))
    metaser = tables.metaser_is(found.trained)
    intro = _TEXTS["intro"].format(sources=" and ".join(spec.sources), alone="", metaser=metaser)
    title = f"{FIGURE}: {' and '.join(spec.targets)}, learned from {' + '.join(spec.sources)}"
    return _write(study, "figure2", title, intro, main, found, {"crossovers": [one.line() for one in crossings]})


class Crossing(NamedTuple):
    """Two curves at one target and split.

    Attributes:
      one, other: a point of MetaSER's curve, and of the other method's.
      along: "fraction" or "shots".
      met: where they meet ("a" is MetaSER); empty where one is above the other all along.
      above: then which is, "metaser" or "other".
    """

    one: Summary
    other: Summary
    along: str
    met: list[Crossover]
    above: str | None

    def line(self) -> dict[str, Any]:
        """Return it JSON-able."""
        one, other = self.one.series, self.other.series
        line = {"target": self.one.target, "split": self.one.split, "folds": self.one.folds, "along": self.along}
        line |= {"method": METASER, "algorithm": one.algorithm, "order": one.order, "adapt": one.adapt}
        line |= {"sources": list(one.sources), "normalise": one.normalise}
        line |= {f"other_{name}": value for name, value in other._asdict().items() if name != "normalise"}
        line["other_sources"] = list(other.sources)
        return line | {"crossovers": [met._asdict() for met in self.met], "above": self.above}

    def text(self) -> str:
        """Return where the curves meet in words."""
        name = method_name(self.one.series)
        if not self.met:
            return f"{name if self.above == METASER else 'the other'} is above all along"
        ahead = {"a": f"{name} is above after it", "b": "the other is above after it", None: "they touch"}
        where = [f"at {m.x:.3g}" if m.x == m.until else f"from {m.x:.3g} to {m.until:.3g}" for m in self.met]
        parts = zip(where, self.met, strict=True)
        return "; ".join(f"{place} (macro F1 {met.y:.3f}): {ahead[met.ahead]}" for place, met in parts)


def crossings_of(summaries: Sequence[Summary]) -> list[Crossing]:
    """Return where MetaSER's mean meets each other method's, at each target, split and kind of amount."""
    curves: dict[tuple, dict[Series, dict[float, Summary]]] = defaultdict(lambda: defaultdict(dict))
    for one in summaries:
        kind, value = one.amount
        curves[*one.place, kind][one.series][value] = one
    found = []
    for (*_, along), methods in curves.items():
        for key in filter(is_metaser, methods):
            for other in [key for key in methods if not is_metaser(key)]:
                x = sorted(methods[key].keys() & methods[other].keys())
                if len(x) < 2:
                    continue
                ours, theirs = ([methods[of][value].macro_f1.mean for value in x] for of in (key, other))
                met = crossovers(x, ours, theirs)
                above = (METASER if sum(ours) > sum(theirs) else "other") if not met else None
                found.append(Crossing(methods[key][x[0]], methods[other][x[0]], along, met, above))
    return found


def _crossover_section(crossings: Sequence[Crossing]) -> tuple[Section, ...]:
    if not crossings:  # without MetaSER, or of single amounts
        return ()
    columns = {
        "target": lambda at: at.one.target,
        "split": lambda at: tables.place_name(at.one).removeprefix(f"{at.one.target}, "),
        "method": lambda at: series_label(at.one.series),
        "against": lambda at: tables.other_label(at.other.series),
        "along": lambda at: at.along,
        "what": Crossing.text,
    }
    table = table_of(columns, crossings)._replace(folded=len(crossings) > tables.FOLDED)
    return (Section("Crossover points", (_TEXTS["crossovers"], narrowed(table, "Where curves meet"))),)
