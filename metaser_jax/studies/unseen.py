"""The benchmark: each corpus in turn is the unseen language, all others the sources; by every method, draw by draw.

Folds over the unseen language's speakers; as many of its clips as --shots says, the same for all methods. What another
language would give is told by intervals over corpora.
"""

from __future__ import annotations

import dataclasses
import functools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from metaser_jax.adaptation import egemaps
from metaser_jax.adaptation.classifiers import EGEMAPS, SVM, adapt_classifier
from metaser_jax.adaptation.starts import SCRATCH
from metaser_jax.data.embeddings import read_embeddings, with_embeddings
from metaser_jax.datasets.targets import ON_DISK, Corpora
from metaser_jax.errors import InputError
from metaser_jax.report import style
from metaser_jax.report.content import Block, Section, Table, best_of, table_of
from metaser_jax.report.page import picture
from metaser_jax.report.plots import counts_figure
from metaser_jax.results import over_corpora
from metaser_jax.results.over_corpora import Cells, Difference, Measured, Point, by_point
from metaser_jax.results.rows import TOGETHER, Series, method_name, series, series_names, series_order
from metaser_jax.results.run_dir import RESULTS, claim, to_lines, write_text
from metaser_jax.results.summary import Summary, amount_name, summarise
from metaser_jax.specs import FrontEnd
from metaser_jax.specs.studies import UnseenConfig, UnseenSpec
from metaser_jax.studies import TEXTS, driver, tables
from metaser_jax.studies.cells import Cell, Finished, run_cells
from metaser_jax.studies.study import BASELINES, CLASSIFIERS, METASER, Fit, Left, Place, Study, open_study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "unseen"
SVM_SOURCES = "svm_sources"
# Folder of what openSMILE hears.
FUNCTIONALS = "functionals"
# A study that is there may get other methods: each cell says what it is of.
FREE = (*driver.FREE, "embeddings", "embeddings_name", "methods", "adapt", "manual_dir", "candidates")
TITLE = "Unseen languages: each corpus in turn, from all others"
TITLE_OF_START = "Unseen languages: each corpus, from one start"
OWN, ALONE = "its own zero shots", "the same method, clips one by one"
_TEXTS = TEXTS[NAME]


def run_unseen(config: UnseenConfig, command: str, *, corpora: Corpora = ON_DISK) -> Path:
    """Compute what is missing and write unseen.{json,csv,png,svg,pdf}, results.jsonl and the report.

    Args:
      command: what the user ran, for the report.
      corpora: where prepared corpora come from.

    Returns:
      Path of report.html.

    Raises:
      InputError: a corpus is not prepared, or none can be divided by its speakers; openSMILE is wanted and not there;
        config.out holds another study; what the runs raise.
    """
    heard = {}
    if config.embeddings is not None:
        d = read_embeddings(config.embeddings).vector.shape[1]
        heard = {"features": "embeddings", "embedding_dim": d, "embeddings_name": config.embeddings_name}
        corpora = corpora._replace(load=with_embeddings(corpora.load, config.embeddings, FrontEnd(**heard)))
    study = dataclasses.replace(open_study(config, command, corpora), heard=heard)
    spec = study.spec
    study.require_prepared(spec.corpora, "corpora")
    if EGEMAPS in spec.methods:
        egemaps.opensmile()  # before anything is computed
    at = _of_same_amounts(study, study.places(spec.corpora, study.even_folds))
    fits: dict[str, Fit] = {}
    if EGEMAPS in spec.methods:
        claim(study.out, dataclasses.asdict(config), free=FREE)  # before what is heard is kept there
        known = egemaps.find_in(config.manual_dir, study.data_dir), egemaps.extract_all
        folder, targets = study.out / FUNCTIONALS, [study.source(name) for name in spec.corpora]
        heard = {t.corpus.name: egemaps.read_functionals(t.corpus, t.digest, folder, *known) for t in targets}
        seen = {t.corpus.name: egemaps.by_speaker(heard[t.corpus.name], t.corpus.speaker) for t in targets}
        fits[EGEMAPS] = functools.partial(adapt_classifier, EGEMAPS, features=lambda t, *_: seen[t.corpus.name])

    found = driver.compute(study, [one for place in at for one in _cells_at(study, place, fits)], None, FREE)
    candidates = {}
    for name in config.candidates:
        finished = run_cells(study.out, _candidate(study, config.preset, name, at))
        points = _points(study, summarise(run for one in finished for run in one.runs))
        candidates[name] = {(point.shots, point.method.together): cells for point, cells in points.items()}
    recommended = tables.trained_name(study.method_spec(METASER, spec.corpora, 0))
    benchmark = Benchmark(study, _points(study, found.summaries), recommended, candidates, found)
    write_text(study.out / RESULTS, to_lines(found.rows))
    lines, _ = driver.lines_of(study, found)
    if spec.start is None:
        title, compared = TITLE, any(method_name(key) == recommended for key in benchmark.names)
        said = f"The recommended meta-learner is {recommended}. " if compared else ""
        intro = _TEXTS["from_others"].format(recommended=said)
    else:
        title, intro = TITLE_OF_START, _TEXTS["from_start"].format(start=spec.start)
    of_benchmark = {"lines": lines, **numbers(benchmark)}
    return driver.write(study, NAME, title, intro, sections_of(benchmark), of_benchmark, lines)


def _points(study: Study[UnseenSpec], summaries: Iterable[Summary]) -> Mapping[Point, Cells]:
    """Return the summaries of each method and number of shots, by corpus, in the order of --corpora."""
    return by_point(sorted(summaries, key=lambda one: study.spec.corpora.index(one.target)))


def _of_same_amounts(study: Study, at: Sequence[Place]) -> list[Place]:
    """Return the places with the amounts that all of them allow, since means are over all corpora."""
    amounts = [amount for amount in at[0].amounts if all(amount in place.amounts for place in at)]
    if not amounts:
        raise InputError("--shots: no number is allowed by every corpus. Give fewer shots, or leave a corpus out.")
    for gone in dict.fromkeys(amount for place in at for amount in place.amounts if amount not in amounts):
        why = "Not every corpus has so many clips to draw."
        study.left.append(Left(f"shots {gone.value:g}", "not for all", why))
    return [place._replace(amounts=tuple(amounts)) for place in at]


def _others(study: Study[UnseenSpec], place: Place) -> tuple[str, ...]:
    return tuple(name for name in study.spec.corpora if name != place.target)


def _cells_at(study: Study[UnseenSpec], place: Place, fits: Mapping[str, Fit]) -> Iterator[Cell]:
    """Yield a cell for each method, and of the baselines for each part that they adapt."""
    others = _others(study, place)
    # Without clips there is nothing to learn from.
    with_clips = place._replace(amounts=tuple(amount for amount in place.amounts if amount.value))
    for method in _methods(study, others):
        layers = study.finetune_spec(method).adapt
        if method in (SVM, SCRATCH):
            if with_clips.amounts:
                yield study.cell(with_clips, method, layers if method == SCRATCH else None)
        elif study.spec.start is not None:
            yield study.cell(place, method, layers, start=study.spec.start)
        elif method == SVM_SOURCES:
            yield study.cell(place, SVM, None, others)
        elif method in CLASSIFIERS:
            yield study.cell(place, method, None, others, (), fits.get(method))
        else:
            runs = study.pretraining(method, others)
            for adapted in study.spec.adapt if method in BASELINES else (layers,):
                yield study.cell(place, method, adapted, others, runs)


def _methods(study: Study[UnseenSpec], sources: tuple[str, ...]) -> list[str]:
    """Return the methods, without an algorithm that is the preset's own, where that is compared, too."""
    methods, fitted = study.spec.methods, (*BASELINES, *CLASSIFIERS, SVM_SOURCES, SCRATCH)
    if METASER not in methods or study.spec.start is not None:
        return list(methods)
    own = tables.trained_name(study.method_spec(METASER, sources, 0))
    names = {m: tables.trained_name(study.method_spec(m, sources, 0)) for m in methods if m not in (METASER, *fitted)}
    return [method for method in methods if names.get(method) != own]


def _candidate(study: Study[UnseenSpec], preset: str, name: str, at: Sequence[Place]) -> list[Cell]:
    """Return the cells of the method metaser by another preset."""
    if name == preset:
        method, variant = METASER, METASER
    else:
        method = variant = f"{METASER}-{name}"
        study = dataclasses.replace(study, preset=name)
    found = []
    for place in at:
        others = _others(study, place)
        specs = [study.method_spec(METASER, others, seed) for seed in range(study.spec.pretrain_seeds)]
        runs = tuple(study.meta_run(spec, variant) for spec in specs)
        found.append(study.cell(place, method, study.finetune_spec(METASER).adapt, others, runs))
    return found


class Benchmark(NamedTuple):
    """Results of the benchmark.

    Attributes:
      study: the study.
      points: of every method.
      metaser: name of the preset's meta-learner.
      candidates: preset -> (shots, whether clips are labelled together) -> the point of its meta-learner.
      found: the cells of every method.
    """

    study: Study[UnseenSpec]
    points: Mapping[Point, Cells]
    metaser: str
    candidates: Mapping[str, Mapping[tuple[int, bool], Cells]]
    found: driver.Found

    @property
    def names(self) -> dict[Series, str]:
        """Names of the methods, in their order."""
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
        """MultiSER, every layer adapted, clips one by one, if it was compared."""
        alone = (key for key in self.names if not key.together)
        return next((key for key in alone if (key.method, key.adapt) == ("multiser", "all")), None)

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
        """Return each point with what it is compared with.

        That is MultiSER's, clips together where the point's are; its method's one by one; its method's without shots.
        """
        pairs: list[tuple[Point, str, Cells | None]] = []
        if reference := self.reference:
            for point in self.sorted():
                other = reference._replace(together=point.method.together)
                pairs.append((point, self.names.get(other, ""), self.at(other, point.shots)))
        together = [point for point in self.sorted() if point.method.together]
        pairs += [(point, ALONE, self.at(point.method._replace(together=False), point.shots)) for point in together]
        pairs += [(point, OWN, self.at(point.method, 0)) for point in self.sorted()]
        return [
            (point, name, over_corpora.subtract(self.points[point], other, self.study.spec.confidence))
            for point, name, other in pairs
            if other is not None and other is not self.points[point]
        ]

    def below(self) -> dict[Point, float]:
        """Return of each point with shots the share of draws in which the clips did harm."""
        with_zero = ((point, self.at(point.method, 0)) for point in self.sorted() if point.shots)
        return {point: over_corpora.share_below(self.points[point], zero) for point, zero in with_zero if zero}

    @property
    def choice(self) -> dict[str, str]:
        """Corpus -> the candidate that is best on the others."""
        return over_corpora.best_elsewhere(self.candidates) if self.candidates else {}

    def nested(self) -> dict[tuple[int, bool], Cells]:
        """Return by shots, and whether clips are labelled together, on each corpus what is best on the others."""
        points = sorted(next(iter(self.candidates.values()), {}))
        best = self.choice.items()
        return {at: {corpus: self.candidates[name][at][corpus] for corpus, name in best} for at in points}


def numbers(benchmark: Benchmark) -> dict[str, Any]:
    """Return the numbers over corpora, JSON-able."""

    def known(point: Point) -> dict[str, Any]:
        key = point.method
        known = {"name": benchmark.names[key], "method": key.method, "algorithm": key.algorithm, "order": key.order}
        known |= {"adapt": key.adapt, "with_sources": bool(key.sources), "together": key.together}
        return known | {"shots": point.shots}

    def measured(cells: Cells) -> dict[str, Any]:
        of = benchmark.measure(cells)
        each = {name: {"mean": one.mean, "deviation": one.deviation} for name, one in of.each.items()}
        over = {"over_corpora": tables.ends(of.corpora), "over_draws": tables.ends(of.draws)}
        return {"corpora": each, "macro_f1": of.corpora.mean, **over, "deviation_over_draws": of.draws.deviation}

    def difference(of: Difference) -> dict[str, Any]:
        over = {"over_corpora": tables.ends(of.corpora.difference), "over_draws": tables.ends(of.draws.difference)}
        return {"difference": of.corpora.difference.mean, "corpora": of.each, "p_corpora": of.corpora.p_t, **over}

    nested = benchmark.nested().items()
    scores = [{"shots": shots, "together": together} | measured(cells) for (shots, together), cells in nested]
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
        Section("Scores", (_TEXTS["about"], *(_scores(benchmark, shots) for shots in benchmark.shots))),
        Section("Macro F1 against shots", (curve,)),
        *_difference_sections(benchmark),
        *_candidate_section(benchmark),
        Section("Confusion", (_confusion(benchmark),)),
        Section("What a method takes", _costs(benchmark)),
        *tables.detail_sections(study, methods, {"": benchmark.found}),
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
    banded = [method for method in dict.fromkeys((benchmark.recommended, benchmark.reference)) if method]
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
    points = {name: benchmark.at(method, shots) for method, name in benchmark.names.items()}
    for (at, together), chosen in benchmark.nested().items():
        if at == shots:
            points[f"chosen on the other corpora{TOGETHER if together else ''}"] = chosen

    def cells(point: Cells | None) -> list[str]:
        if point is None:
            return ["not defined"] * (len(header) - 1)
        of = benchmark.measure(point)
        each = (str(of.each.get(corpus, tables.NONE)) for corpus in benchmark.corpora)
        deviation = tables.NONE if of.draws.deviation is None else f"{of.draws.deviation:.3f}"
        return [*each, f"{of.corpora.mean:.3f}", tables.interval_text(of.corpora.interval), deviation]

    header = ["method", *benchmark.corpora, "mean", "interval over corpora", "± over draws"]
    body = [[name, *cells(point)] for name, point in points.items()]
    return Table(header, body, amount_name("shots", shots), best_of(header, body, [*benchmark.corpora, "mean"]))


def _difference_sections(benchmark: Benchmark) -> list[Section]:
    below, pairs = benchmark.below(), benchmark.pairs()
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
    sections = []
    for name in dict.fromkeys(minus for _, minus, _ in pairs):
        text, shown = ("minus_own", own) if name == OWN else ("minus_other", columns)
        group = [(point, of) for point, minus, of in pairs if minus == name]
        sections.append(Section(f"Minus {name}", (_TEXTS[text], table_of(shown, group))))
    return sections


def _candidate_section(benchmark: Benchmark) -> list[Section]:
    if not benchmark.candidates:
        return []

    def mean(name: str, at: tuple[int, bool]) -> str:
        return f"{benchmark.measure(benchmark.candidates[name][at]).corpora.mean:.3f}"

    columns: dict[str, Callable[[str], str]] = {"preset": str}
    for shots, together in benchmark.nested():
        name = f"{amount_name('shots', shots)}{TOGETHER if together else ''}"
        columns[name] = functools.partial(mean, at=(shots, together))
    choice = benchmark.choice.items()
    columns["chosen for"] = lambda name: ", ".join(corpus for corpus, one in choice if one == name) or "none"
    return [Section("Which settings", (_TEXTS["candidates"], table_of(columns, benchmark.candidates)))]


def _confusion(benchmark: Benchmark) -> Block:
    method = benchmark.recommended
    emotions = benchmark.found.rows[0]["emotions"]
    panels = [
        (amount_name("shots", shots), np.sum([one.confusion for one in cells.values()], axis=0), emotions)
        for shots in benchmark.shots
        if (cells := benchmark.at(method, shots))
    ]
    caption = f"{benchmark.names[method]}: all corpora, draws and folds together."
    return picture(benchmark.study.out, "confusion_matrix.png", caption, counts_figure(panels))


def _costs(benchmark: Benchmark) -> tuple[Block, ...]:
    cells: dict[Series, list[Finished]] = defaultdict(list)
    for cell in benchmark.found.finished:
        cells[over_corpora.method_of(series(cell.runs[0].row))].append(cell)
    seconds = {method: sum(cell.seconds for cell in of) for method, of in cells.items()}
    # What is labelled together is in the cell of the same method one by one.
    runs = {
        method: sum(not run.row.get("together") for cell in of for run in cell.runs) for method, of in cells.items()
    }
    columns: dict[str, Callable[[Series], str]] = {
        "method": lambda method: benchmark.names[method],
        "numbers that travel": lambda m: f"{max(cell.runs[0].row.get('start_size') or 0 for cell in cells[m]):,}",
        "per adaptation": lambda method: f"{seconds[method] / runs[method]:.3f} s",
        "all": lambda method: f"{seconds[method]:.0f} s",
    }
    known = " and ".join(sorted({row["device"] for row in benchmark.found.rows if row.get("device")}))
    on = f"Hardware: {known}." if known else "The hardware was not recorded."
    return _TEXTS["costs"], table_of(columns, [method for method in benchmark.names if method in cells]), on
