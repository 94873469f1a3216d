"""Macro F1 against the amount of target data: one panel for each target and split, one line for each method.

The line is the mean over draws, the band the sample standard deviation or what the caller gives, the faint dots the
draws. Dashed grey: chance, a uniform guess. Dotted, where the split is random: the speaker oracle.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from metaser_jax.errors import InputError
from metaser_jax.report import style
from metaser_jax.results.draws import distinct, draw_scores
from metaser_jax.results.rows import Row
from metaser_jax.results.series import Series, amount, series, series_names
from metaser_jax.scores.significance import seed_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SIZE = {"alone": (6.8, 4.0), "height": 3.4, "frame": 1.6}
# More lines than that want larger panels, thinner lines, and the range of scores that they are in.
_CROWDED = 5
_X_LABELS = {
    "shots": "shots: training utterances per emotion",
    "fraction": "fraction of the target's training part",
}


class Band(NamedTuple):
    """What is shaded around a line.

    Attributes:
      name: for the title.
      of: rows of one point -> (low, high), None where they do not say.
      dots: whether what the mean is of is drawn too; for pictures of few lines.
    """

    name: str
    of: Callable[[Sequence[Row]], tuple[float, float] | None]
    dots: bool = True


def _deviation(rows: Sequence[Row]) -> tuple[float, float] | None:
    over = seed_interval(draw_scores(rows, "macro_f1"))
    return (over.mean - over.deviation, over.mean + over.deviation) if over.deviation else None


DEVIATION = Band("± sample standard deviation", _deviation)


def plot_adaptation(rows: Iterable[Row], path: str | Path) -> Path:
    """Write the picture as PNG, SVG or PDF, by the suffix of path, and return the path."""
    return style.save(adaptation_figure(rows), path)


def adaptation_figure(rows: Iterable[Row], band: Band = DEVIATION) -> Figure:
    """Return the picture, not yet written.

    Raises:
      InputError: no rows; rows that `summaries.distinct` refuses; no matplotlib.
    """
    rows = distinct(rows)
    if not rows:
        raise InputError("plot_adaptation: got no rows, expected results.")
    panels: dict[tuple, list[Row]] = defaultdict(list)
    for row in rows:
        panels[*style.place(row), amount(row)[0] == "fraction"].append(row)
    looks = style.looks(map(series, rows))
    merged = style.coinciding(_curves(rows, list(looks)))
    rows = [row for row in rows if series(row) not in merged]
    panels = {where: [row for row in of if series(row) not in merged] for where, of in panels.items()}
    # A line that stands for another has its own look still: nothing else in the picture is drawn so.
    names = series_names(list(looks))
    names = {key: style.merged_name(key, names, merged) for key in names if key not in merged}
    looks = {key: look for key, look in looks.items() if key not in merged}
    crowded = len(looks) > _CROWDED
    size = {"alone": (7.5, 5.2), "height": 5.0, "frame": 2.2, "width": 5.4} if crowded else _SIZE
    if crowded:
        looks = {key: look._replace(linewidth=1.5, markersize=4.5) for key, look in looks.items()}
    figure, grid = style.panel_grid(len(panels), "macro F1 on the test part", **size)
    split_in_title = len({style.place(row)[1] for row in rows}) > 1
    for axes, (_, panel) in zip(grid, sorted(panels.items()), strict=True):
        _draw_panel(axes, panel, looks, split_in_title, band)
    if crowded:
        _zoom(grid)
    figure.suptitle(style.titled(_title(panels, rows, band), figure.get_figwidth()), fontsize=style.LARGE)
    style.legend_below(figure, _handles(looks, names, rows))
    return figure


def _curves(rows: Sequence[Row], keys: Sequence[Series]) -> dict[Series, dict[tuple, float]]:
    """Return the mean of each series at each place and amount."""
    points: dict[Series, dict[tuple, list[Row]]] = {key: defaultdict(list) for key in keys}
    for row in rows:
        points[series(row)][*style.place(row), *amount(row)].append(row)
    return {
        key: {at: float(np.mean(np.array(draw_scores(group, "macro_f1"), float))) for at, group in of.items()}
        for key, of in points.items()
    }


def chance_macro_f1(confusion: Sequence[Sequence[int]]) -> float:
    """Return macro F1 of guessing each class equally often, hearing nothing: mean over classes of 2 p q / (p + q).

    p: the class's share of the test part, q = 1 / classes: precision is p and recall q.
    """
    share = np.sum(confusion, axis=1) / max(np.sum(confusion), 1)
    guess = 1 / len(share)
    return float(np.mean(2 * share * guess / (share + guess)))


def _draw_panel(axes: Axes, rows: list[Row], looks: dict[Series, style.Look], split_in_title: bool, band: Band) -> None:
    kind = amount(rows[0])[0]
    positions = sorted({amount(row)[1] for row in rows})
    here = [key for key in looks if any(series(row) == key for row in rows)]
    for index, key in enumerate(here):
        values = defaultdict(list)
        for row in rows:
            if series(row) == key:
                values[amount(row)[1]].append(row)
        # A single amount has no line: the methods then stand side by side, or they would hide each other.
        shift = index - (len(here) - 1) / 2 if len(positions) == 1 else 0
        _draw_series(axes, dict(sorted(values.items())), looks[key], shift, band)
    chance = np.mean([chance_macro_f1(row["confusion"]) for row in rows])
    axes.axhline(chance, color=style.GREY, linestyle="--", linewidth=1.2, zorder=1)
    oracle = _oracle(rows)
    if oracle:
        # Constant unless the oracle was trained on the drawn utterances alone.
        level = list(oracle.values())
        if len(oracle) == 1 or np.ptp(level) < 1e-6:
            axes.axhline(np.mean(level), color="black", linestyle=":", linewidth=1.6, zorder=1)
        else:
            axes.plot(list(oracle), level, color="black", linestyle=":", linewidth=1.6, zorder=1)
    _scale(axes, positions, kind)
    axes.set_xlabel(_X_LABELS[kind], fontsize=style.NORMAL)
    axes.set_title(style.plain(style.place_name(rows, with_split=split_in_title)), fontsize=style.NORMAL + 1)
    axes.set_ylim(0, 1)
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.8)
    axes.set_axisbelow(True)
    style.despine(axes)


def _draw_series(axes: Axes, rows: dict[float, list[Row]], look: style.Look, shift: float, band: Band) -> None:
    at = np.array(list(rows), float)
    if shift:
        at = at * 1.15**shift if amount(next(iter(rows.values()))[0])[0] == "shots" else at + 0.02 * shift
    scores = [draw_scores(group, "macro_f1") for group in rows.values()]
    mean = np.array([np.mean(group) for group in scores])
    around = [band.of(group) for group in rows.values()]
    for x, group in zip(at, scores, strict=True):
        if band.dots and len(group) > 1:
            axes.plot([x] * len(group), group, ".", color=look.color, alpha=0.35, markersize=5, zorder=2)
    # A point that has none is as narrow as its line.
    low, high = np.array([ends or (m, m) for ends, m in zip(around, mean, strict=True)]).T
    if len(at) > 1 and any(around):
        axes.fill_between(at, low, high, color=look.color, alpha=0.15 if band.dots else 0.1, linewidth=0, zorder=2)
    elif any(around):
        errors = [(mean - low).tolist(), (high - mean).tolist()]  # of arrays, matplotlib beside an older numpy warns
        axes.errorbar(at, mean, yerr=errors, color=look.color, capsize=4, linewidth=1.5, zorder=3)
    axes.plot(at, mean, zorder=4, **look._asdict())


def _zoom(grid: Sequence[Axes]) -> None:
    """Zoom all panels from the lowest to the highest line of any, to the next tenths: they share their scale."""
    values = np.concatenate([line.get_ydata() for axes in grid for line in axes.get_lines()])
    low, high = math.floor(10 * values.min() - 0.2) / 10, math.ceil(10 * values.max() + 0.2) / 10
    for axes in grid:
        axes.set_ylim(max(0, low), min(1, high))


def _oracle(rows: list[Row]) -> dict[float, float]:
    """Return the mean of the speaker oracle at each amount of data.

    With no speaker in two parts it has nothing to go by.
    """
    by_amount = defaultdict(list)
    for row in rows:
        if row["split"] == "random" and row["speaker_oracle_macro_f1"] is not None:
            by_amount[amount(row)[1]].append(row["speaker_oracle_macro_f1"])
    return {x: float(np.mean(v)) for x, v in sorted(by_amount.items())}


def _scale(axes: Axes, positions: list[float], kind: str) -> None:
    """Scale the axis: logarithmic for shots (linear below one), linear for fractions; ticks at the amounts."""
    first, last = positions[0], positions[-1]
    if kind == "fraction":
        margin = 0.05 * (last - first) or 0.1
        axes.set_xlim(first - margin, last + margin)
        place = np.array(positions)
    else:
        logarithmic = ("log", {}) if first > 0 else ("symlog", {"linthresh": 1})
        axes.set_xscale(logarithmic[0], **logarithmic[1])
        margin = 2.0 if first == last else 1.25
        axes.set_xlim(first / margin if first > 0 else -0.25, max(last, 1) * margin)
        # 0, 1 and 10 are equally far apart on the mixed scale.
        place = np.array([math.log10(x) + 1 if x >= 1 else x for x in positions])
    ticks: list[int] = []
    for index in range(len(positions) - 1, -1, -1):
        # From the largest down, each tick that keeps clear of the one before it.
        if not ticks or place[ticks[-1]] - place[index] >= 0.07 * np.ptp(place):
            ticks.append(index)
    axes.set_xticks([positions[i] for i in ticks], [f"{positions[i]:g}" for i in ticks])
    axes.minorticks_off()


def _title(panels: dict[tuple, list[Row]], rows: list[Row], band: Band) -> str:
    kinds = {amount(row)[0] for row in rows}
    data = " and ".join(name for name in ("shots", "fraction") if name in kinds)
    splits = sorted({split or "unrecorded" for _, split, _ in panels})
    draws = style.draws_name(rows)
    # A panel of a single amount has bars.
    single = [len({amount(row)[1] for row in panel}) == 1 for panel in panels.values()]
    around = "bar" if all(single) else "band or bar" if any(single) else "band"
    dots = ", dots: draws" if band.dots else ""
    spread = "" if draws == "one draw" else f"\n{around}: {band.name}{dots}"
    plural = "split" if len(splits) == 1 else "splits"
    sources = {key.sources for key in map(series, rows)} - {()}
    learned = f", learned from {' + '.join(sources.pop())}" if len(sources) == 1 else ""
    return style.plain(f"Macro F1 against {data}{learned}\n{' and '.join(splits)} {plural}, {draws}{spread}")


def _handles(looks: dict[Series, style.Look], names: dict[Series, str], rows: list[Row]) -> list:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], label=style.plain(names[key]), **look._asdict()) for key, look in looks.items()]
    handles.append(Line2D([], [], color=style.GREY, linestyle="--", linewidth=1.2, label="chance: uniform guess"))
    if _oracle(rows):
        handles.append(
            Line2D([], [], color="black", linestyle=":", linewidth=1.6, label="speaker oracle: hears nothing")
        )
    return handles
