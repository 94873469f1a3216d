"""The report of the benchmark: scores over corpora, differences, curves, confusion, and what a method costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from metaser_jax.report import style
from metaser_jax.report.confusion import counts_figure
from metaser_jax.report.content import Block, Section, Table
from metaser_jax.report.page import picture
from metaser_jax.report.tables import best_of
from metaser_jax.results.draws import setting
from metaser_jax.results.over_corpora import (
    Cells,
    Difference,
    Measured,
    Point,
    best_elsewhere,
    confusion,
    measure,
    method_of,
    share_below,
    subtract,
)
from metaser_jax.results.rows import Row
from metaser_jax.results.series import Series, amount_name, method_name, series_names, series_order
from metaser_jax.scores.significance import Seeds
from metaser_jax.specs.studies import UnseenSpec
from metaser_jax.specs.training import SourcesSpec
from metaser_jax.studies import tables, writing
from metaser_jax.studies.cells import Finished
from metaser_jax.studies.numbers import Line
from metaser_jax.studies.plan import Left
from metaser_jax.studies.study import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Unseen languages: each corpus in turn, from all others"
TITLE_OF_START = "Unseen languages: each corpus, from one start"
_ABOUT = (
    "Macro F1 on the test part's speakers, mean ± sample standard deviation over draws; a draw's score is its mean "
    "over the folds. The interval over corpora (Student's t of the corpora's means) says what another language would "
    "give, as far as so few corpora can; the deviation over draws is of the mean over corpora, and says what other "
    "clips of the same languages would give."
)


class Found(NamedTuple):
    """What was measured.

    Attributes:
      points: of every method.
      metaser: name of the preset's meta-learner.
      candidates: preset -> the points of its meta-learner.
      done: the finished cells, for their seconds.
    """

    points: Mapping[Point, Cells]
    metaser: str
    candidates: Mapping[str, Mapping[Point, Cells]]
    done: Mapping[str, Finished]

    @property
    def names(self) -> dict[Series, str]:
        """What people call the methods, in their order."""
        return series_names([point.method for point in self.points])

    @property
    def shots(self) -> list[int]:
        """Numbers of shots, ascending."""
        return sorted({point.shots for point in self.points})

    @property
    def recommended(self) -> Series:
        """The preset's meta-learner, or where it was not compared the first method."""
        methods = sorted(self.names, key=lambda key: (method_name(key) != self.metaser, series_order(key)))
        return methods[0]

    @property
    def reference(self) -> Series | None:
        """MultiSER, every layer adapted, if it was compared."""
        return next((key for key in self.names if (key.method, key.adapt) == ("multiser", "all")), None)

    def at(self, method: Series | None, shots: int) -> Cells | None:
        """Return a point, if there is one."""
        return None if method is None else self.points.get(Point(method, shots))

    @property
    def nested(self) -> dict[str, str]:
        """Corpus -> the candidate that is best on the others."""
        return best_elsewhere(self.candidates) if self.candidates else {}


def intro(found: Found, start: str | None = None) -> str:
    """Return what was done, in two paragraphs; start: what the meta-learner starts from instead of all others."""
    if start is not None:
        return (
            f"MetaSER starts from {start}, which has learned from none of these corpora. Every method was given some "
            "clips of a corpus's training speakers, and was scored on all clips of its test speakers; with folds, each "
            "speaker is tested once. Draw by draw, all methods had the same clips."
        )
    return (
        "Each corpus in turn is a language that nobody has learned from: every method learned from all others, was "
        "given some clips of its training speakers, and was scored on all clips of its test speakers; with folds, each "
        "speaker is tested once. Draw by draw, all methods had the same clips.\n\n"
        f"{_recommended(found)}Joint training, eGeMAPS and the support vector machine "
        "with the sources need all recordings of the sources when they adapt; the networks need their parameters alone."
    )


def numbers(found: Found, confidence: float) -> dict[str, Any]:
    """Return the numbers over corpora, JSON-able."""
    measured = [
        _known(found, point) | _measured(measure(cells, confidence)) for point, cells in _sorted(found.points).items()
    ]
    differences = [
        _known(found, point) | {"minus": name} | _difference(other) for point, name, other in _pairs(found, confidence)
    ]
    below = [_known(found, point) | {"below_zero_shots": share} for point, share in _below(found)]
    nested = {
        "choice": found.nested,
        "scores": [{"shots": shots} | _measured(measure(cells, confidence)) for shots, cells in _nested(found).items()],
    }
    return {"over_corpora": measured, "differences": differences, "below": below, "nested": nested}


def sections(
    study: Study[UnseenSpec],
    found: Found,
    trained: Sequence[SourcesSpec],
    rows: Sequence[Row],
    lines: Sequence[Line],
    left: Sequence[Left],
) -> tuple[Section, ...]:
    """Return everything between the introduction and what was run; saves the pictures.

    Args:
      study: the study.
      found: its numbers.
      trained: what the runs are that methods started from.
      rows: of every adaptation. lines: of every setting.
      left: what was left out.
    """
    out, confidence = study.out, study.spec.confidence
    figure = curves(found, confidence)
    style.save(figure, out / "unseen.svg")
    curve = picture(out, "unseen.png", "Mean over corpora of macro F1 against shots.", figure)
    return (
        Section("Scores", (_ABOUT, *(block for shots in found.shots for block in _scores(found, shots, confidence)))),
        Section("Macro F1 against shots", (curve,)),
        *_difference_sections(found, confidence),
        *_candidate_section(found, confidence),
        Section("Confusion", (_confusion(study, found, rows),)),
        Section("What a method takes", _costs(found)),
        *writing.detail_sections(study, _described(study), trained, rows, lines, (), left),
    )


def curves(found: Found, confidence: float) -> Figure:
    """Return each method's mean over corpora against shots; bands, over corpora, of two of them."""
    figure, (axes,) = style.panel_grid(1, "macro F1, mean over corpora", alone=(9.5, 5.2), height=5.2, frame=2.2)
    names, looks = found.names, style.looks(found.names)
    means = {
        method: {s: measure(cells).corpora.mean for s in found.shots if (cells := found.at(method, s))}
        for method in looks
    }
    merged = style.coinciding(means)
    banded = [method for method in (found.recommended, found.reference) if method]
    handles = []
    for method, look in looks.items():
        if method in merged:
            continue
        name = style.merged_name(method, names, merged)
        measured = {
            at: measure(cells, confidence).corpora for at, s in enumerate(found.shots) if (cells := found.at(method, s))
        }
        at = list(measured)
        look = look._replace(linewidth=1.6, markersize=5)
        handles += axes.plot(at, list(means[method].values()), label=style.plain(name), zorder=3, **look._asdict())
        if method in banded and all(of.interval for of in measured.values()):
            low, high = ([getattr(of.interval, end) for of in measured.values()] for end in ("low", "high"))
            axes.fill_between(at, low, high, color=look.color, alpha=0.12, linewidth=0)
    axes.set_xticks(range(len(found.shots)), [str(shots) for shots in found.shots])
    axes.set_xlabel("shots: clips per emotion of the unseen language", fontsize=style.NORMAL)
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.8)
    axes.set_axisbelow(True)
    style.despine(axes)
    corpora = ", ".join(dict.fromkeys(name for cells in found.points.values() for name in cells))
    of = " and ".join(names[method] for method in banded)
    title = (
        f"Unseen languages: {corpora}, each from the others\nbands: {confidence:.0%} intervals over corpora, of {of}"
    )
    figure.suptitle(style.plain(style.titled(title, figure.get_figwidth())), fontsize=style.LARGE)
    style.legend_below(figure, handles)
    return figure


def _recommended(found: Found) -> str:
    compared = any(method_name(key) == found.metaser for key in found.names)
    return f"The recommended meta-learner is {found.metaser}. " if compared else ""


def _scores(found: Found, shots: int, confidence: float) -> list[Block]:
    corpora = list(dict.fromkeys(name for cells in found.points.values() for name in cells))
    header = ["method", *corpora, "mean", "interval over corpora", "± over draws"]

    def row(name: str, cells: Cells | None) -> list[str]:
        if cells is None:
            return [name, *["not defined"] * (len(header) - 1)]
        of = measure(cells, confidence)
        over = tables.NONE if of.draws.deviation is None else f"{of.draws.deviation:.3f}"
        each = [str(of.each[corpus]) if corpus in of.each else tables.NONE for corpus in corpora]
        return [name, *each, f"{of.corpora.mean:.3f}", tables.interval(_ends(of.corpora)), over]

    body = [row(name, found.at(method, shots)) for method, name in found.names.items()]
    if found.candidates:
        body.append(row("chosen on the other corpora", _nested(found).get(shots)))
    scores = [*corpora, "mean"]
    return [Table(header, body, amount_name("shots", shots), best_of(header, body, scores))]


def _difference_sections(found: Found, confidence: float) -> list[Section]:
    groups: dict[str, list[list[str]]] = {}
    below = dict(_below(found))
    for point, minus, of in _pairs(found, confidence):
        ahead = sum(value > 0 for value in of.each.values())
        line = [found.names[point.method], str(point.shots), f"{of.corpora.difference.mean:+.3f}"]
        line += [tables.interval(_ends(one.difference), "+") for one in (of.corpora, of.draws)]
        line += [tables.p_value(of.corpora.p_t), f"{ahead} of {len(of.each)}"]
        if minus == OWN:
            line.append(f"{below[point]:.0%}")
        groups.setdefault(minus, []).append(line)
    header = ["method", "shots", "difference", "interval over corpora", "over draws", "p over corpora", "above on"]
    about = {
        OWN: "Macro F1 minus the method's own without any clip, draw by draw. The last column: in how many of the "
        "draws of all corpora the clips did harm.",
    }
    other = (
        "Macro F1 minus its, draw by draw on the same clips, mean over corpora, and on how many corpora it is above."
    )
    return [
        Section(f"Minus {name}", (about.get(name, other), Table([*header, *["below"] * (name == OWN)], body)))
        for name, body in groups.items()
    ]


OWN = "its own zero shots"


def _pairs(found: Found, confidence: float) -> list[tuple[Point, str, Difference]]:
    """Return each point with what it is compared with: MultiSER's, and its method's without shots."""
    pairs = []
    for point, cells in _sorted(found.points).items():
        for name, other in ((_name(found, found.reference), found.reference), (OWN, point.method)):
            theirs = found.at(other, point.shots if name != OWN else 0)
            if theirs is not None and theirs is not cells:
                pairs.append((point, name, subtract(cells, theirs, confidence)))
    return sorted(pairs, key=lambda pair: pair[1] == OWN)


def _below(found: Found) -> list[tuple[Point, float]]:
    zeros = {point: found.at(point.method, 0) for point in _sorted(found.points) if point.shots}
    return [(point, share_below(found.points[point], zero)) for point, zero in zeros.items() if zero is not None]


def _nested(found: Found) -> dict[int, Cells]:
    """Return by shots, on each corpus, the candidate that is best on the others."""
    of_candidate = {
        name: {point.shots: cells for point, cells in points.items()} for name, points in found.candidates.items()
    }
    shots = next(iter(of_candidate.values()), {})
    return {n: {corpus: of_candidate[name][n][corpus] for corpus, name in found.nested.items()} for n in sorted(shots)}


def _candidate_section(found: Found, confidence: float) -> list[Section]:
    if not found.candidates:
        return []
    header = ["preset", *(amount_name("shots", shots) for shots in found.shots), "chosen for"]
    body = []
    for name, points in found.candidates.items():
        of = {point.shots: measure(cells, confidence).corpora.mean for point, cells in points.items()}
        chosen = ", ".join(corpus for corpus, one in found.nested.items() if one == name) or "none"
        body.append([name, *(f"{of[shots]:.3f}" for shots in found.shots), chosen])
    text = (
        "Mean over corpora of each preset's meta-learner. For each corpus the one is chosen that is best on the other "
        "corpora, mean over shots; what that scores is the last row of every table of scores."
    )
    return [Section("Which settings", (text, Table(header, body)))]


def _confusion(study: Study[UnseenSpec], found: Found, rows: Sequence[Row]) -> Block:
    method = found.recommended
    counts = {
        amount_name("shots", shots): confusion(cells) for shots in found.shots if (cells := found.at(method, shots))
    }
    name = found.names[method]
    figure = counts_figure(counts, rows[0]["emotions"])
    return picture(study.out, "confusion_matrix.png", f"{name}: all corpora, draws and folds together.", figure)


def _costs(found: Found) -> tuple[Block, ...]:
    sizes: dict[Series, int] = {}
    seconds: dict[Series, list[float]] = {}
    for cell in found.done.values():
        row = cell.runs[0].row
        method = method_of(setting(row).series)
        sizes[method] = max(sizes.get(method, 0), row.get("start_size") or 0)
        total = seconds.setdefault(method, [0.0, 0])
        total[0] += cell.seconds
        total[1] += len(cell.runs)
    body = [
        [name, f"{sizes[method]:,}", f"{seconds[method][0] / seconds[method][1]:.3f} s", f"{seconds[method][0]:.0f} s"]
        for method, name in found.names.items()
    ]
    text = (
        "Numbers that somebody needs who adapts, besides the clips: a network's parameters and learned rates, or the "
        "features of all sources; of several corpora the most. Seconds of adapting and scoring, compilation included; "
        "learning from sources is not in them."
    )
    devices = sorted({cell.runs[0].row.get("device") or "" for cell in found.done.values()} - {""})
    on = f"Hardware: {' and '.join(devices)}." if devices else "The hardware was not recorded."
    return text, Table(["method", "numbers that travel", "per adaptation", "all"], body), on


def _described(study: Study[UnseenSpec]) -> list[str]:
    return ["svm" if method == "svm_sources" else method for method in study.spec.methods]


def _sorted(points: Mapping[Point, Cells]) -> dict[Point, Cells]:
    return dict(sorted(points.items(), key=lambda item: (item[0].shots, series_order(item[0].method))))


def _name(found: Found, method: Series | None) -> str:
    return "" if method is None else found.names[method]


def _known(found: Found, point: Point) -> Line:
    key = point.method
    known = {"name": found.names[key], "method": key.method, "algorithm": key.algorithm, "order": key.order}
    return known | {"adapt": key.adapt, "with_sources": bool(key.sources), "shots": point.shots}


def _measured(of: Measured) -> Line:
    each = {name: {"mean": one.mean, "deviation": one.deviation} for name, one in of.each.items()}
    return {"corpora": each, "macro_f1": of.corpora.mean, "over_corpora": _ends(of.corpora)} | {
        "over_draws": _ends(of.draws),
        "deviation_over_draws": of.draws.deviation,
    }


def _difference(of: Difference) -> Line:
    over = {"over_corpora": _ends(of.corpora.difference), "over_draws": _ends(of.draws.difference)}
    return {"difference": of.corpora.difference.mean, "corpora": of.each, "p_corpora": of.corpora.p_t} | over


def _ends(of: Seeds) -> list[float] | None:
    return None if of.interval is None else [of.interval.low, of.interval.high]
