"""The report of the benchmark: scores over corpora, differences, curves, confusion, and what a method costs."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from metaser_jax.report import style
from metaser_jax.report.confusion import counts_figure
from metaser_jax.report.content import Block, Section, Table, table_of
from metaser_jax.report.page import picture
from metaser_jax.results import over_corpora
from metaser_jax.results.over_corpora import Cells, Difference, Measured, Point
from metaser_jax.results.rows import Series, amount_name, method_name, series, series_names, series_order
from metaser_jax.specs.studies import UnseenSpec
from metaser_jax.studies import sections, tables
from metaser_jax.studies.driver import Found
from metaser_jax.studies.study import Study
from metaser_jax.studies.tables import ends

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Unseen languages: each corpus in turn, from all others"
TITLE_OF_START = "Unseen languages: each corpus, from one start"
OWN = "its own zero shots"
_ABOUT = (
    "Macro F1 on the test part's speakers, mean ± sample standard deviation over draws; a draw's score is its mean "
    "over the folds. The interval over corpora (Student's t of the corpora's means) says what another language would "
    "give, as far as so few corpora can; the deviation over draws is of the mean over corpora, and says what other "
    "clips of the same languages would give."
)
_ABOUT_OWN = (
    "Macro F1 minus the method's own without any clip, draw by draw. The last column: in how many of the draws of all "
    "corpora the clips did harm."
)
_ABOUT_OTHER = (
    "Macro F1 minus its, draw by draw on the same clips, mean over corpora, and on how many corpora it is above."
)


class Benchmark(NamedTuple):
    """What was measured.

    Attributes:
      study: the study.
      points: of every method.
      metaser: name of the preset's meta-learner.
      candidates: preset -> the points of its meta-learner.
      found: the cells of every method.
    """

    study: Study[UnseenSpec]
    points: Mapping[Point, Cells]
    metaser: str
    candidates: Mapping[str, Mapping[Point, Cells]]
    found: Found

    @property
    def names(self) -> dict[Series, str]:
        """What people call the methods, in their order."""
        return series_names([point.method for point in self.points])

    @property
    def corpora(self) -> list[str]:
        """The corpora, as the results have them."""
        return list(dict.fromkeys(name for cells in self.points.values() for name in cells))

    @property
    def shots(self) -> list[int]:
        """Numbers of shots, ascending."""
        return sorted({point.shots for point in self.points})

    @property
    def recommended(self) -> Series:
        """The preset's meta-learner, or where it was not compared the first method."""
        return min(self.names, key=lambda key: (method_name(key) != self.metaser, series_order(key)))

    @property
    def reference(self) -> Series | None:
        """MultiSER, every layer adapted, if it was compared."""
        return next((key for key in self.names if (key.method, key.adapt) == ("multiser", "all")), None)

    def at(self, method: Series | None, shots: int) -> Cells | None:
        """Return a point, if there is one."""
        return None if method is None else self.points.get(Point(method, shots))

    def measure(self, cells: Cells) -> Measured:
        """Return a point's scores with both spreads."""
        return over_corpora.measure(cells, self.study.spec.confidence)

    def sorted(self) -> list[Point]:
        """Return the points by shots, then by method."""
        return sorted(self.points, key=lambda point: (point.shots, series_order(point.method)))

    def pairs(self) -> list[tuple[Point, str, Difference]]:
        """Return each point with what it is compared with: MultiSER's, then its method's without shots."""
        found = []
        of_reference = self.names[self.reference] if self.reference else ""
        for name, other in ((of_reference, self.reference), (OWN, None)):
            for point in self.sorted():
                cells = self.points[point]
                theirs = self.at(point.method, 0) if name == OWN else self.at(other, point.shots)
                if theirs is not None and theirs is not cells:
                    found.append((point, name, over_corpora.subtract(cells, theirs, self.study.spec.confidence)))
        return found

    def below(self) -> dict[Point, float]:
        """Return of each point with shots the share of draws in which the clips did harm."""
        zeros = {point: self.at(point.method, 0) for point in self.sorted() if point.shots}
        return {
            point: over_corpora.share_below(self.points[point], zero)
            for point, zero in zeros.items()
            if zero is not None
        }

    @property
    def choice(self) -> dict[str, str]:
        """Corpus -> the candidate that is best on the others."""
        return over_corpora.best_elsewhere(self.candidates) if self.candidates else {}

    def nested(self) -> dict[int, Cells]:
        """Return by shots, on each corpus, the candidate that is best on the others."""
        of = {name: {point.shots: cells for point, cells in points.items()} for name, points in self.candidates.items()}
        choice = self.choice
        shots = sorted(next(iter(of.values()), {}))
        return {n: {corpus: of[name][n][corpus] for corpus, name in choice.items()} for n in shots}


def intro(benchmark: Benchmark) -> str:
    """Return what was done, in two paragraphs."""
    start = benchmark.study.spec.start
    if start is not None:
        return (
            f"MetaSER starts from {start}, which has learned from none of these corpora. Every method was given some "
            "clips of a corpus's training speakers, and was scored on all clips of its test speakers; with folds, each "
            "speaker is tested once. Draw by draw, all methods had the same clips."
        )
    compared = any(method_name(key) == benchmark.metaser for key in benchmark.names)
    recommended = f"The recommended meta-learner is {benchmark.metaser}. " if compared else ""
    return (
        "Each corpus in turn is a language that nobody has learned from: every method learned from all others, was "
        "given some clips of its training speakers, and was scored on all clips of its test speakers; with folds, each "
        "speaker is tested once. Draw by draw, all methods had the same clips.\n\n"
        f"{recommended}Joint training, eGeMAPS and the support vector machine "
        "with the sources need all recordings of the sources when they adapt; the networks need their parameters alone."
    )


def numbers(benchmark: Benchmark) -> dict[str, Any]:
    """Return the numbers over corpora, JSON-able."""

    def known(point: Point) -> dict[str, Any]:
        key = point.method
        known = {"name": benchmark.names[key], "method": key.method, "algorithm": key.algorithm, "order": key.order}
        return known | {"adapt": key.adapt, "with_sources": bool(key.sources), "shots": point.shots}

    def measured(cells: Cells) -> dict[str, Any]:
        of = benchmark.measure(cells)
        each = {name: {"mean": one.mean, "deviation": one.deviation} for name, one in of.each.items()}
        over = {"over_corpora": ends(of.corpora), "over_draws": ends(of.draws)}
        return {"corpora": each, "macro_f1": of.corpora.mean, **over, "deviation_over_draws": of.draws.deviation}

    def difference(of: Difference) -> dict[str, Any]:
        over = {"over_corpora": ends(of.corpora.difference), "over_draws": ends(of.draws.difference)}
        return {"difference": of.corpora.difference.mean, "corpora": of.each, "p_corpora": of.corpora.p_t, **over}

    scores = [{"shots": shots} | measured(cells) for shots, cells in benchmark.nested().items()]
    return {
        "over_corpora": [known(point) | measured(benchmark.points[point]) for point in benchmark.sorted()],
        "differences": [known(point) | {"minus": name} | difference(of) for point, name, of in benchmark.pairs()],
        "below": [known(point) | {"below_zero_shots": share} for point, share in benchmark.below().items()],
        "nested": {"choice": benchmark.choice, "scores": scores},
    }


def sections_of(benchmark: Benchmark) -> tuple[Section, ...]:
    """Return everything between the introduction and what was run; saves the pictures."""
    study = benchmark.study
    caption = "Mean over corpora of macro F1 against shots."
    curve = picture(study.out, "unseen.png", caption, curves(benchmark), svg=True)
    methods = ["svm" if method == "svm_sources" else method for method in study.spec.methods]
    return (
        Section("Scores", (_ABOUT, *(_scores(benchmark, shots) for shots in benchmark.shots))),
        Section("Macro F1 against shots", (curve,)),
        *_difference_sections(benchmark),
        *_candidate_section(benchmark),
        Section("Confusion", (_confusion(benchmark),)),
        Section("What a method takes", _costs(benchmark)),
        *sections.detail_sections(study, methods, {"": benchmark.found}),
    )


def curves(benchmark: Benchmark) -> Figure:
    """Return each method's mean over corpora against shots; bands, over corpora, of two of them."""
    figure, (axes,) = style.panel_grid(1, "macro F1, mean over corpora", alone=(9.5, 5.2), height=5.2, frame=2.2)
    names, looks = benchmark.names, style.looks(benchmark.names)
    over = {
        method: {
            at: benchmark.measure(cells).corpora
            for at, shots in enumerate(benchmark.shots)
            if (cells := benchmark.at(method, shots))
        }
        for method in looks
    }
    means = {method: {at: one.mean for at, one in points.items()} for method, points in over.items()}
    merged = style.coinciding(means)
    banded = [method for method in (benchmark.recommended, benchmark.reference) if method]
    handles = []
    for method, look in looks.items():
        if method in merged:
            continue
        name, points = style.plain(style.merged_name(method, names, merged)), over[method]
        look = look._replace(linewidth=1.6, markersize=5)
        handles += axes.plot(list(points), list(means[method].values()), label=name, zorder=3, **look._asdict())
        if method in banded and all(one.interval for one in points.values()):
            low, high, _ = zip(*(one.interval for one in points.values()), strict=True)
            axes.fill_between(list(points), low, high, color=look.color, alpha=0.12, linewidth=0)
    axes.set_xticks(range(len(benchmark.shots)), [str(shots) for shots in benchmark.shots])
    axes.set_xlabel("shots: clips per emotion of the unseen language", fontsize=style.NORMAL)
    style.plain_axes(axes)
    of = " and ".join(names[method] for method in banded)
    bands = f"bands: {benchmark.study.spec.confidence:.0%} intervals over corpora, of {of}"
    style.set_title(figure, f"Unseen languages: {', '.join(benchmark.corpora)}, each from the others\n{bands}")
    style.legend_below(figure, handles)
    return figure


def _scores(benchmark: Benchmark, shots: int) -> Table:
    cells = {name: benchmark.at(method, shots) for method, name in benchmark.names.items()}
    if benchmark.candidates:
        cells["chosen on the other corpora"] = benchmark.nested().get(shots)
    of = {name: at and benchmark.measure(at) for name, at in cells.items()}

    def shown(text):
        return lambda name: "not defined" if of[name] is None else text(of[name])

    def over_draws(one: Measured) -> str:
        return tables.NONE if one.draws.deviation is None else f"{one.draws.deviation:.3f}"

    columns: dict[str, Callable[[str], str]] = {"method": str}
    for corpus in benchmark.corpora:
        columns[corpus] = shown(lambda one, corpus=corpus: str(one.each.get(corpus, tables.NONE)))
    columns["mean"] = shown(lambda one: f"{one.corpora.mean:.3f}")
    columns["interval over corpora"] = shown(lambda one: tables.interval_text(one.corpora.interval))
    columns["± over draws"] = shown(over_draws)
    return table_of(columns, of, amount_name("shots", shots), [*benchmark.corpora, "mean"])


def _difference_sections(benchmark: Benchmark) -> list[Section]:
    groups: dict[str, list[tuple[Point, Difference]]] = defaultdict(list)
    for point, minus, of in benchmark.pairs():
        groups[minus].append((point, of))
    below = benchmark.below()
    columns = {
        "method": lambda pair: benchmark.names[pair[0].method],
        "shots": lambda pair: str(pair[0].shots),
        "difference": lambda pair: f"{pair[1].corpora.difference.mean:+.3f}",
        "interval over corpora": lambda pair: tables.interval_text(pair[1].corpora.difference.interval, "+"),
        "over draws": lambda pair: tables.interval_text(pair[1].draws.difference.interval, "+"),
        "p over corpora": lambda pair: tables.p_value(pair[1].corpora.p_t),
        "above on": lambda pair: f"{sum(n > 0 for n in pair[1].each.values())} of {len(pair[1].each)}",
    }
    own = columns | {"below": lambda pair: f"{below[pair[0]]:.0%}"}
    return [
        Section(
            f"Minus {name}",
            (_ABOUT_OWN, table_of(own, pairs)) if name == OWN else (_ABOUT_OTHER, table_of(columns, pairs)),
        )
        for name, pairs in groups.items()
    ]


def _candidate_section(benchmark: Benchmark) -> list[Section]:
    if not benchmark.candidates:
        return []
    choice = benchmark.choice

    def mean(name: str, shots: int) -> str:
        (of,) = [cells for point, cells in benchmark.candidates[name].items() if point.shots == shots]
        return f"{benchmark.measure(of).corpora.mean:.3f}"

    columns: dict[str, Callable[[str], str]] = {"preset": str}
    for shots in benchmark.shots:
        columns[amount_name("shots", shots)] = functools.partial(mean, shots=shots)
    columns["chosen for"] = lambda name: ", ".join(corpus for corpus, one in choice.items() if one == name) or "none"
    text = (
        "Mean over corpora of each preset's meta-learner. For each corpus the one is chosen that is best on the other "
        "corpora, mean over shots; what that scores is the last row of every table of scores."
    )
    return [Section("Which settings", (text, table_of(columns, benchmark.candidates)))]


def _confusion(benchmark: Benchmark) -> Block:
    method = benchmark.recommended
    emotions = benchmark.found.rows[0]["emotions"]
    panels = []
    for shots in benchmark.shots:
        if cells := benchmark.at(method, shots):
            counts = np.sum([one.confusion for one in cells.values()], axis=0)
            panels.append((amount_name("shots", shots), counts, emotions))
    caption = f"{benchmark.names[method]}: all corpora, draws and folds together."
    return picture(benchmark.study.out, "confusion_matrix.png", caption, counts_figure(panels))


def _costs(benchmark: Benchmark) -> tuple[Block, ...]:
    sizes: dict[Series, int] = defaultdict(int)
    seconds: dict[Series, float] = defaultdict(float)
    numbers: dict[Series, int] = defaultdict(int)
    devices = set()
    for cell in benchmark.found.finished:
        row = cell.runs[0].row
        method = over_corpora.method_of(series(row))
        sizes[method] = max(sizes[method], row.get("start_size") or 0)
        seconds[method] += cell.seconds
        numbers[method] += len(cell.runs)
        devices |= {row.get("device") or ""}
    columns = {
        "method": lambda method: benchmark.names[method],
        "numbers that travel": lambda method: f"{sizes[method]:,}",
        "per adaptation": lambda method: f"{seconds[method] / numbers[method]:.3f} s",
        "all": lambda method: f"{seconds[method]:.0f} s",
    }
    text = (
        "Numbers that somebody needs who adapts, besides the clips: a network's parameters and learned rates, or the "
        "features of all sources; of several corpora the most. Seconds of adapting and scoring, compilation included; "
        "learning from sources is not in them."
    )
    known = " and ".join(sorted(devices - {""}))
    on = f"Hardware: {known}." if known else "The hardware was not recorded."
    return text, table_of(columns, benchmark.names), on
