"""The report of the ablation: score against training time, and the table beside it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from metaser_jax.report import style
from metaser_jax.report.content import Section, Table
from metaser_jax.report.page import picture
from metaser_jax.report.tables import best_of
from metaser_jax.results.rows import Row
from metaser_jax.specs import INNER, MetaTrainSpec
from metaser_jax.specs.algorithms import ALGORITHMS
from metaser_jax.specs.studies import OrderSpec, variants
from metaser_jax.studies import tables, writing
from metaser_jax.studies.equal_time import Timed
from metaser_jax.studies.methods import METASER
from metaser_jax.studies.numbers import Line, series_of
from metaser_jax.studies.plan import Left
from metaser_jax.studies.study import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Which meta-gradient: second order MAML against cheaper and other meta-learners"
_BUDGETS = {"episodes": "equal episodes", "time": "equal time"}


def variant_name(variant: str) -> str:
    """Return the label of a variant: an order of MAML, or another algorithm."""
    return ALGORITHMS[variant].label("second") if variant in ALGORITHMS else ALGORITHMS["maml"].label(variant)


def intro(study: Study[OrderSpec], episodes: int) -> str:
    """Return what was done, in two paragraphs."""
    return (
        f"Each variant was meta-trained on {' and '.join(study.spec.sources)} for {episodes} episodes, and then anew "
        "for as many episodes as fit into the time of second order's (equal time). From both it was fine-tuned on "
        "the target's clips, all in the same way and with the same clips draw by draw, and scored on the whole test "
        "part.\n\n"
        "Inner and outer learning rates are the preset's for all of them: another rate may suit another variant "
        f"better. {_on_learned_rates(study)}"
    )


def _on_learned_rates(study: Study[OrderSpec]) -> str:
    """Return whether fine-tuning takes over what rates were learned."""
    if study.settings.finetune["optimizer"] != INNER:
        return "Learned inner rates stay behind, since fine-tuning has an optimizer of its own."
    learned = [v for v in study.spec.variants if v in ALGORITHMS and ALGORITHMS[v].learned_rates == "parameter"]
    after = f", from {' and '.join(map(variant_name, learned))} with the rates that were learned" if learned else ""
    return (
        f"Fine-tuning is SGD with the preset's rate{after}; rates per layer and step stay behind, since fine-tuning "
        "has other steps."
    )


def sections(
    study: Study[OrderSpec],
    trained: Sequence[MetaTrainSpec],
    lines: Sequence[Line],
    comparisons: Sequence[Line],
    rows: Sequence[Row],
    left: Sequence[Left],
    measured: Timed | None,
) -> tuple[Section, ...]:
    """Return everything between the introduction and what was run; saves the pictures.

    Args:
      study: the study.
      trained: what the runs at equal episodes are.
      lines, comparisons: its numbers.
      rows: those of equal episodes.
      left: what was left out.
      measured: how long episodes take; None: of a study from before that was measured.
    """
    out = study.out
    figure = time_figure(lines, study.spec.confidence)
    style.save(figure, out / "ablation_order.svg")
    caption = "Macro F1 on the test part against the seconds of meta-training, without compilation."
    shown = picture(out, "ablation_order.png", caption, figure)
    tabled = [
        Section(place, (table_of(list(group)),)) for place, group in groupby(sorted_by_place(lines), tables.place_name)
    ]
    return (
        Section("Score against training time", (shown, _costs(measured))),
        *tabled,
        *writing.comparison_section(comparisons, "MAML, second order, against each other variant"),
        *writing.closing_sections(study, (METASER,), trained, rows, lines, comparisons, left),
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


def sorted_by_place(lines: Sequence[Line]) -> list[Line]:
    """Return the lines sorted by target and split."""
    return sorted(lines, key=tables.place_name)


def table_of(lines: Sequence[Line]) -> Table:
    """Return a row for each variant and budget, a column of scores for each amount of data; lines are of one place."""
    amounts = list(dict.fromkeys(tables.data_name(line) for line in lines))
    # Of a study from before they were measured, there are no ratios.
    ratio = ["of second order's"] if any(line["of_second_order"] for line in lines) else []
    costs = ["episodes", "s per episode", *ratio, "training", "compilation", "memory"]
    header = ["variant", "budget", *costs, *amounts]
    groups: dict[tuple[str, str], dict[str, Line]] = {}
    for line in lines:
        groups.setdefault((line["variant"], line["budget"]), {})[tables.data_name(line)] = line
    body = []
    for (variant, budget), by_amount in groups.items():
        one = next(iter(by_amount.values()))
        memory = "not known" if one["temp_bytes"] is None else f"{one['temp_bytes'] / 2**20:.1f} MiB"
        cost = [str(one["episodes"]), f"{one['seconds_per_episode']:.3f}", *[_ratio(one) for _ in ratio]]
        cost.append(f"{one['training_seconds']:.0f} s")
        cost += [f"{one['compile_seconds']:.1f} s", memory]
        scores = [tables.scored(by_amount[data]) if data in by_amount else tables.NONE for data in amounts]
        body.append([variant_name(variant), _BUDGETS[budget], *cost, *scores])
    names = [variant_name(variant) for variant in variants()]
    body.sort(key=lambda row: (names.index(row[0]), row[1]))
    oracles = [next(line["speaker_oracle_macro_f1"] for line in lines if tables.data_name(line) == d) for d in amounts]
    empty = [""] * (len(header) - 1 - len(amounts))
    best = best_of(header, body, amounts, [line[1] for line in body])
    body.append(["speaker oracle (hears nothing)", *empty, *(f"{oracle:.3f}" for oracle in oracles)])
    return Table(header, body, best=best)


def _ratio(line: Line) -> str:
    """Return a variant's time per episode as a share of second order's, with the lowest and highest of the rounds."""
    if line["of_second_order"] is None:
        return tables.NONE
    low, high = line["of_second_order_range"]
    return f"{line['of_second_order']:.2f} ({low:.2f} to {high:.2f})"


def time_figure(lines: Sequence[Line], confidence: float) -> Figure:
    """Return panels of target, split and amount.

    Filled at equal episodes, open at equal time, bars: interval over draws.
    """
    from matplotlib.lines import Line2D

    panels: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        panels.setdefault((tables.place_name(line), tables.data_name(line)), []).append(line)
    figure, grid = style.panel_grid(len(panels), "macro F1 on the test part", alone=(6.8, 4.0), height=3.4, frame=1.6)
    # A run that was meta-trained is drawn as in every other picture.
    looks = style.looks(map(series_of, lines))
    colours = {line["variant"]: looks[series_of(line)].color for line in lines}
    for axes, ((place, data), panel) in zip(grid, panels.items(), strict=True):
        for variant in colours:
            points = [line for line in panel if line["variant"] == variant]
            at, scores = ([line[name] for line in points] for name in ("training_seconds", "macro_f1"))
            axes.plot(at, scores, color=colours[variant], linewidth=1, zorder=2)
            # Where both are one run, the filled one is on top.
            for line in sorted(points, key=lambda line: line["budget"] == "episodes"):
                score, x = line["macro_f1"], line["training_seconds"]
                low, high = line["draws"] or (score, score)
                filled = colours[variant] if line["budget"] == "episodes" else "white"
                look = {"color": colours[variant], "markerfacecolor": filled, "capsize": 3, "zorder": 3}
                axes.errorbar([x], [score], yerr=[[score - low], [high - score]], fmt="o", **look)
        axes.set_title(style.plain(f"{place}\n{data}"), fontsize=style.NORMAL)
        axes.set_xlabel("seconds of meta-training", fontsize=style.NORMAL)
        axes.grid(axis="y", color="#E5E5E5", linewidth=0.8)
        axes.set_axisbelow(True)
        style.despine(axes)
    # One scale for all panels.
    ends = np.array([[*axes.get_xlim(), *axes.get_ylim()] for axes in grid])
    for axes in grid:
        axes.set_xlim(0, ends[:, 1].max())
        axes.set_ylim(ends[:, 2].min(), ends[:, 3].max())
    handles = [
        Line2D([], [], color=colours[variant], marker="o", label=variant_name(variant))
        for variant in variants()
        if variant in colours
    ]
    for name, face in (("equal episodes", style.GREY), ("equal time", "white")):
        handles.append(Line2D([], [], color=style.GREY, marker="o", markerfacecolor=face, linestyle="", label=name))
    learned = " + ".join(lines[0]["sources"])
    title = f"Score against training time, meta-trained on {learned}\nbar: {confidence:.0%} interval over draws"
    figure.suptitle(style.plain(style.titled(title, figure.get_figwidth())), fontsize=style.LARGE)
    style.legend_below(figure, handles)
    return figure
