"""The report of the ablation: score against training time, and the table beside it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from metaser_jax.report import style
from metaser_jax.report.content import Section, Table, best_of
from metaser_jax.report.page import picture
from metaser_jax.results.rows import method_name
from metaser_jax.results.summary import Summary
from metaser_jax.specs import INNER
from metaser_jax.specs.algorithms import ALGORITHMS
from metaser_jax.specs.studies import OrderConfig, variants
from metaser_jax.studies import sections, tables
from metaser_jax.studies.driver import Found
from metaser_jax.studies.study import METASER, Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from metaser_jax.studies.ablation_order import Timed

Measures = Mapping[tuple[str, str], Mapping[str, Any]]
"""(budget, variant) -> what its training took: the fields of a line."""
TITLE = "Which meta-gradient: second order MAML against cheaper and other meta-learners"
_BUDGETS = {"episodes": "equal episodes", "time": "equal time"}


class Point(NamedTuple):
    """A variant with an amount of data. Attributes: its summary, its name, the budget, and what training took."""

    one: Summary
    name: str
    budget: str
    took: Mapping[str, Any]

    def place(self) -> str:
        """Return target and split."""
        return tables.place_name(self.one)


def variant_of(one: Summary) -> str:
    """Return the variant of a summary: an order of MAML, or another algorithm."""
    return str(one.series.order if one.series.algorithm == "maml" else one.series.algorithm)


def intro(study: Study[OrderConfig], episodes: int) -> str:
    """Return what was done, in two paragraphs."""
    return (
        f"Each variant was meta-trained on {' and '.join(study.spec.sources)} for {episodes} episodes, and then anew "
        "for as many episodes as fit into the time of second order's (equal time). From both it was fine-tuned on "
        "the target's clips, all in the same way and with the same clips draw by draw, and scored on the whole test "
        "part.\n\n"
        "Inner and outer learning rates are the preset's for all of them: another rate may suit another variant "
        f"better. {_on_learned_rates(study)}"
    )


def _on_learned_rates(study: Study[OrderConfig]) -> str:
    """Return whether fine-tuning takes over what rates were learned."""
    if study.settings.finetune["optimizer"] != INNER:
        return "Learned inner rates stay behind, since fine-tuning has an optimizer of its own."
    compared = [ALGORITHMS[variant] for variant in study.spec.variants if variant in ALGORITHMS]
    learned = [one.label("second") for one in compared if one.learned_rates == "parameter"]
    after = f", from {' and '.join(learned)} with the rates that were learned" if learned else ""
    return (
        f"Fine-tuning is SGD with the preset's rate{after}; rates per layer and step stay behind, since fine-tuning "
        "has other steps."
    )


def sections_of(
    study: Study[OrderConfig], found: Mapping[str, Found], measures: Measures, measured: Timed | None
) -> tuple[Section, ...]:
    """Return everything between the introduction and what was run; saves the pictures.

    Args:
      study: the study.
      found: of each budget, "episodes" first.
      measures: what training took.
      measured: how long episodes take; None: of a study from before that was measured.
    """
    points = [
        Point(one, method_name(one.series), budget, measures[budget, variant_of(one)])
        for budget, of in found.items()
        for one in of.summaries
    ]
    caption = "Macro F1 on the test part against the seconds of meta-training, without compilation."
    figure = time_figure(points, study.spec.confidence)
    shown = picture(study.out, "ablation_order.png", caption, figure, svg=True)
    tabled = [
        Section(place, (table_of(list(group)),))
        for place, group in groupby(sorted(points, key=Point.place), Point.place)
    ]
    budgets = {f", equal {budget}": of for budget, of in found.items()}
    heading = "MAML, second order, against each other variant"
    return (
        Section("Score against training time", (shown, _costs(measured))),
        *tabled,
        *sections.comparison_section(budgets, study.spec.confidence, heading),
        *sections.closing_sections(study, (METASER,), budgets),
    )


_AS_RUN = (
    "Seconds per episode are the median over a run's intervals, without compilation and validation, and depend on "
    "what else the machine did."
)
_MEMORY = (
    "Memory is XLA's temporary memory for the program of an interval of episodes, on each "
    "device; parameters and corpora come on top, the same for all."
)


def _costs(measured: Timed | None) -> str:
    """Return how time was measured, and memory."""
    if measured is None:
        return f"{_AS_RUN} {_MEMORY}"
    fewest = min(measured.episodes.values())
    return (
        "Equal time was measured apart from the runs, without compilation and validation: in each of "
        f"{len(measured.rounds)} rounds the variants were trained one after the other, {fewest} episodes or more of "
        "each, and each round's seconds per episode were divided by second order's of that round, so that what else "
        "the machine did meets all of them. The ratio is the median over rounds, with the lowest and the highest; "
        f"seconds are second order's median times it. {_MEMORY}"
    )


def table_of(points: Sequence[Point]) -> Table:
    """Return a row for each variant and budget, a column of scores for each amount of data; points are of one place."""
    oracles = {point.one.data: tables.oracle_cell(point.one) for point in reversed(points)}
    amounts = list(dict.fromkeys(point.one.data for point in points))
    # Of a study from before they were measured, there are no ratios.
    ratio = any(point.took["of_second_order"] for point in points)
    costs = [
        "episodes",
        "s per episode",
        *(["of second order's"] if ratio else []),
        "training",
        "compilation",
        "memory",
    ]
    header = ["variant", "budget", *costs, *amounts]
    rows: dict[tuple[str, str], list[str]] = {}
    for point in sorted(points, key=lambda point: (_rank(point), _BUDGETS[point.budget])):
        took = point.took
        memory = "not known" if took["temp_bytes"] is None else f"{took['temp_bytes'] / 2**20:.1f} MiB"
        cost = [str(took["episodes"]), f"{took['seconds_per_episode']:.3f}", *([_ratio(took)] if ratio else [])]
        cost += [f"{took['training_seconds']:.0f} s", f"{took['compile_seconds']:.1f} s", memory]
        new = [point.name, _BUDGETS[point.budget], *cost, *([tables.NONE] * len(amounts))]
        row = rows.setdefault((point.name, point.budget), new)
        row[len(header) - len(amounts) + amounts.index(point.one.data)] = str(point.one.macro_f1)
    body = list(rows.values())
    best = best_of(header, body, amounts, [row[1] for row in body])
    empty = [""] * (len(header) - 1 - len(amounts))
    body.append([tables.HEARS_NOTHING, *empty, *(oracles[data] for data in amounts)])
    return Table(header, body, best=best)


def _rank(point: Point) -> int:
    return variants().index(variant_of(point.one))


def _ratio(took: Mapping[str, Any]) -> str:
    """Return a variant's time per episode as a share of second order's, with the lowest and highest of the rounds."""
    if took["of_second_order"] is None:
        return tables.NONE
    low, high = took["of_second_order_range"]
    return f"{took['of_second_order']:.2f} ({low:.2f} to {high:.2f})"


def time_figure(points: Sequence[Point], confidence: float) -> Figure:
    """Return panels of target, split and amount.

    Filled at equal episodes, open at equal time, bars: interval over draws.
    """
    from matplotlib.lines import Line2D

    panels: dict[tuple[str, str], list[Point]] = defaultdict(list)
    for point in points:
        panels[point.place(), point.one.data].append(point)
    figure, grid = style.panel_grid(len(panels), "macro F1 on the test part", alone=(6.8, 4.0), height=3.4, frame=1.6)
    # A run that was meta-trained is drawn as in every other picture.
    looks = style.looks(point.one.series for point in points)
    colours = {point.name: looks[point.one.series].color for point in sorted(points, key=_rank)}
    for axes, ((place, data), panel) in zip(grid, panels.items(), strict=True):
        for name, colour in colours.items():
            of_variant = [point for point in panel if point.name == name]
            at = [point.took["training_seconds"] for point in of_variant]
            scores = [point.one.macro_f1.mean for point in of_variant]
            axes.plot(at, scores, color=colour, linewidth=1, zorder=2)
            # Where both are one run, the filled one is on top.
            for x, score, point in reversed(list(zip(at, scores, of_variant, strict=True))):
                low, high = (point.one.macro_f1.interval or (score, score))[:2]
                look = {"color": colour, "capsize": 3, "zorder": 3}
                look["markerfacecolor"] = colour if point.budget == "episodes" else "white"
                axes.errorbar([x], [score], yerr=[[score - low], [high - score]], fmt="o", **look)
        axes.set_title(style.plain(f"{place}\n{data}"), fontsize=style.NORMAL)
        axes.set_xlabel("seconds of meta-training", fontsize=style.NORMAL)
        style.plain_axes(axes)
    # One scale for all panels.
    limits = np.array([[*axes.get_xlim(), *axes.get_ylim()] for axes in grid])
    for axes in grid:
        axes.set_xlim(0, limits[:, 1].max())
        axes.set_ylim(limits[:, 2].min(), limits[:, 3].max())
    handles = [Line2D([], [], color=colour, marker="o", label=name) for name, colour in colours.items()]
    for name, face in (("equal episodes", style.GREY), ("equal time", "white")):
        handles.append(Line2D([], [], color=style.GREY, marker="o", markerfacecolor=face, linestyle="", label=name))
    learned = " + ".join(points[0].one.series.sources)
    title = f"Score against training time, meta-trained on {learned}\nbar: {confidence:.0%} interval over draws"
    style.set_title(figure, title)
    style.legend_below(figure, handles)
    return figure
