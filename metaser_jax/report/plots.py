"""Pictures of results: macro F1 against the amount of data, confusion matrices, and losses of training."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from metaser_jax.errors import InputError
from metaser_jax.report import style
from metaser_jax.results.rows import Row, Series, series_label, series_names, series_order, step_of
from metaser_jax.results.summary import Summary, summarise

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

_SIZE = {"alone": (6.8, 4.0), "height": 3.4, "frame": 1.6}
# More lines than that want larger panels, thinner lines, and the range of scores that they are in.
_CROWDED = 5
_CROWDED_SIZE = {"alone": (7.5, 5.2), "height": 5.0, "frame": 2.2, "width": 5.4}
_X_LABELS = {"shots": "shots: training utterances per emotion", "fraction": "fraction of the target's training part"}
_CHANCE = {"color": style.GREY, "linestyle": "--", "linewidth": 1.2}
_ORACLE = {"color": "black", "linestyle": ":", "linewidth": 1.6}
# field -> name, colour, line, width. Single episodes are noisy: thin. query_loss_after stands in for query_loss_mean.
_LOSSES = {
    "support_loss": ("support, before adaptation", "#E69F00", "-", 1.0),
    "query_loss_before": ("query, before adaptation", "#56B4E9", "-", 1.0),
    "query_loss_after": ("query, after adaptation", "#0072B2", "-", 1.0),
    "query_loss_mean": ("query, after adaptation (mean)", "#0072B2", "-", 2.0),
    "valid_query_loss": ("validation query, after adaptation", "#D55E00", (0, (6, 2)), 2.0),
    "train_loss": ("training, during the epoch", "#0072B2", "-", 2.0),
    "valid_loss": ("validation, after the epoch", "#D55E00", (0, (6, 2)), 2.0),
}
# What a line counts -> its axis, and what the picture is of.
_STEPS = {
    "episode": ("episode", "Meta-training. Thin lines: single episodes; thick: means"),
    "total_epoch": ("epoch, over all stages", "Pre-training"),
}


class Band(NamedTuple):
    """The shaded band around a line.

    Attributes:
      name: for the title.
      of: a point -> (low, high), None where it does not say.
      dots: whether single draws are drawn too; for pictures of few lines.
    """

    name: str
    of: Callable[[Summary], tuple[float, float] | None]
    dots: bool = True


def _deviation(point: Summary) -> tuple[float, float] | None:
    over = point.macro_f1
    return (over.mean - over.deviation, over.mean + over.deviation) if over.deviation else None


DEVIATION = Band("± sample standard deviation", _deviation)


def plot_adaptation(rows: Iterable[Row], path: str | Path) -> Path:
    """Write the picture as PNG, SVG or PDF, by the suffix of path, and return the path."""
    return style.save(adaptation_figure(summarise(rows)), path)


def adaptation_figure(summaries: Sequence[Summary], band: Band = DEVIATION) -> Figure:
    """Return macro F1 against the amount of target data: a panel per target and split, a line per method.

    The line is the mean over draws, the faint dots the draws. Dashed grey: chance, a uniform guess. Dotted, where the
    split is random: the speaker oracle.

    Raises:
      InputError: no summaries; no matplotlib.
    """
    if not summaries:
        raise InputError("plot_adaptation: got no rows, expected results.")
    looks = style.looks(one.series for one in summaries)
    means = {key: {(*s.place, *s.amount): s.macro_f1.mean for s in summaries if s.series == key} for key in looks}
    # A line that stands for another has its own look still: nothing else in the picture is drawn so.
    merged = style.coinciding(means)
    names = series_names(list(looks))
    names = {key: style.merged_name(key, names, merged) for key in names if key not in merged}
    looks = {key: look for key, look in looks.items() if key not in merged}
    panels: dict[tuple, list[Summary]] = defaultdict(list)
    for one in summaries:
        if one.series in looks:
            panels[*one.place, one.amount[0] == "fraction"].append(one)
    crowded = len(looks) > _CROWDED
    if crowded:
        looks = {key: look._replace(linewidth=1.5, markersize=4.5) for key, look in looks.items()}
    figure, grid = style.panel_grid(len(panels), "macro F1 on the test part", **(_CROWDED_SIZE if crowded else _SIZE))
    split_in_title = len({split for _, split, _ in panels}) > 1
    for axes, (_, panel) in zip(grid, sorted(panels.items()), strict=True):
        _draw_panel(axes, panel, looks, split_in_title, band)
    if crowded:
        _zoom(grid)
    style.set_title(figure, _title(panels, band))
    style.legend_below(figure, _handles(looks, names, panels))
    return figure


def chance_macro_f1(confusion: Sequence[Sequence[int]]) -> float:
    """Return macro F1 of guessing each class equally often, hearing nothing: mean over classes of 2 p q / (p + q).

    p: the class's share of the test part, q = 1 / classes: precision is p and recall q.
    """
    share = np.sum(confusion, axis=1) / max(np.sum(confusion), 1)
    guess = 1 / len(share)
    return float(np.mean(2 * share * guess / (share + guess)))


def _draw_panel(
    axes: Axes, panel: list[Summary], looks: dict[Series, style.Look], split_in_title: bool, band: Band
) -> None:
    kind = panel[0].amount[0]
    positions = sorted({point.amount[1] for point in panel})
    here = [key for key in looks if any(point.series == key for point in panel)]
    for index, key in enumerate(here):
        points = sorted((one for one in panel if one.series == key), key=lambda one: one.amount)
        at = np.array([one.amount[1] for one in points], float)
        # A single amount has no line: the methods then stand side by side, or they would hide each other.
        shift = index - (len(here) - 1) / 2 if len(positions) == 1 else 0
        at = at * 1.15**shift if kind == "shots" else at + 0.02 * shift
        _draw_series(axes, at, points, looks[key], band)
    chance = np.mean([chance_macro_f1(row["confusion"]) for point in panel for row in point.rows])
    axes.axhline(chance, zorder=1, **_CHANCE)
    oracle = _oracle(panel)
    # Constant unless the oracle was trained on the drawn utterances alone.
    if oracle and (len(oracle) == 1 or np.ptp(list(oracle.values())) < 1e-6):
        axes.axhline(float(np.mean(list(oracle.values()))), zorder=1, **_ORACLE)
    elif oracle:
        axes.plot(list(oracle), list(oracle.values()), zorder=1, **_ORACLE)
    _scale(axes, positions, kind)
    axes.set_xlabel(_X_LABELS[kind], fontsize=style.NORMAL)
    axes.set_title(style.plain(style.place_name(panel[0], with_split=split_in_title)), fontsize=style.NORMAL + 1)
    axes.set_ylim(0, 1)
    style.plain_axes(axes)


def _draw_series(axes: Axes, at: np.ndarray, points: list[Summary], look: style.Look, band: Band) -> None:
    mean = np.array([point.macro_f1.mean for point in points])
    around = [band.of(point) for point in points]
    for x, point in zip(at, points, strict=True):
        if band.dots and point.macro_f1.n > 1:
            scores = point.per_draw("macro_f1")
            axes.plot([x] * len(scores), scores, ".", color=look.color, alpha=0.35, markersize=5, zorder=2)
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


def _oracle(points: Iterable[Summary]) -> dict[float, float]:
    """Return the mean of the speaker oracle at each amount of data.

    With no speaker in two parts it has nothing to go by.
    """
    by_amount = defaultdict(list)
    for point in points:
        if point.split == "random":
            scores = [row["speaker_oracle_macro_f1"] for row in point.rows]
            by_amount[point.amount[1]] += [score for score in scores if score is not None]
    return {x: float(np.mean(scores)) for x, scores in sorted(by_amount.items()) if scores}


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


def _title(panels: dict[tuple, list[Summary]], band: Band) -> str:
    points = [point for panel in panels.values() for point in panel]
    data = " and ".join(sorted({point.amount[0] for point in points}, reverse=True))
    splits = sorted({split or "unrecorded" for _, split, _ in panels})
    draws = style.draws_name(points)
    # A panel of a single amount has bars.
    single = [len({point.amount[1] for point in panel}) == 1 for panel in panels.values()]
    around = "bar" if all(single) else "band or bar" if any(single) else "band"
    dots = ", dots: draws" if band.dots else ""
    spread = "" if draws == "one draw" else f"\n{around}: {band.name}{dots}"
    plural = "split" if len(splits) == 1 else "splits"
    sources = {point.series.sources for point in points} - {()}
    learned = f", learned from {' + '.join(sources.pop())}" if len(sources) == 1 else ""
    return f"Macro F1 against {data}{learned}\n{' and '.join(splits)} {plural}, {draws}{spread}"


def _handles(looks: dict[Series, style.Look], names: dict[Series, str], panels: dict[tuple, list[Summary]]) -> list:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], label=style.plain(names[key]), **look._asdict()) for key, look in looks.items()]
    handles.append(Line2D([], [], label="chance: uniform guess", **_CHANCE))
    if any(_oracle(panel) for panel in panels.values()):
        handles.append(Line2D([], [], label="speaker oracle: hears nothing", **_ORACLE))
    return handles


def plot_confusion(rows: Iterable[Row], path: str | Path) -> Path:
    """Write the picture as PNG, SVG or PDF, by the suffix of path, and return the path."""
    return style.save(confusion_figure(summarise(rows)), path)


def confusion_figure(summaries: Iterable[Summary]) -> Figure:
    """Return the picture, not yet written: of each target and split, the first method with the most training data.

    Raises:
      InputError: no summaries; no matplotlib.
    """

    def rank(one: Summary) -> tuple:
        # First method, all layers, largest fraction, or else most shots.
        kind, value = one.amount
        return one.place, series_order(one.series), kind != "fraction", -value

    panels: dict[tuple[str, str], tuple] = {}
    for one in sorted(summaries, key=rank):
        title = f"{style.place_name(one)}\n{series_label(one.series)}\n{one.data}, {style.draws_name([one])}"
        panels.setdefault(one.place, (title, one.confusion, one.rows[0]["emotions"]))
    if not panels:
        raise InputError("plot_confusion: got no rows, expected results.")
    return counts_figure(list(panels.values()))


def counts_figure(panels: Sequence[tuple[str, np.ndarray, Sequence[str]]]) -> Figure:
    """Return a picture of confusion matrices: of each its title, [class, class] counts and the classes' names.

    Raises:
      InputError: no matplotlib.
    """
    figure, grid = style.panel_grid(len(panels), "true emotion", alone=(5.6, 4.8), height=3.8, frame=0.7)
    for axes, panel in zip(grid, panels, strict=True):
        _draw_counts(axes, *panel)
    figure.suptitle("Confusion, % of each true emotion (utterances)", fontsize=style.LARGE)
    return figure


def _draw_counts(axes: Axes, title: str, counts: np.ndarray, names: Sequence[str]) -> None:
    of_emotion = counts.sum(axis=1, keepdims=True)
    share = counts / np.maximum(of_emotion, 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="equal")
    size = style.NORMAL if len(counts) <= 4 else style.SMALL - 2
    for true, predicted in np.ndindex(*counts.shape):
        percent = f"{share[true, predicted]:.0%}" if of_emotion[true, 0] else "none"
        text = f"{percent}\n({counts[true, predicted]:g})"
        colour = "white" if share[true, predicted] > 0.7 else "black"
        axes.text(predicted, true, text, ha="center", va="center", fontsize=size, color=colour)
    emotions = [style.plain(emotion) for emotion in names]
    axes.set_xticks(range(len(emotions)), emotions, rotation=45 if len(emotions) > 5 else 0, fontsize=style.NORMAL)
    axes.set_yticks(range(len(emotions)), emotions, fontsize=style.NORMAL)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("predicted emotion", fontsize=style.NORMAL)
    axes.set_title(style.plain(title), fontsize=style.NORMAL)


def plot_training(metrics: Iterable[Row], path: str | Path, of: str = "") -> Path:
    """Write the picture as PNG, SVG or PDF, by the suffix of path, and return the path; of: as training_figure's."""
    return style.save(training_figure(metrics, of), path)


def training_figure(metrics: Iterable[Row], of: str = "") -> Figure:
    """Return the picture, not yet written.

    Args:
      metrics: rows of metrics.jsonl: episode or total_epoch, and losses in nats; a loss that is null or not finite is
        left out. Where there are stages, each has lines of its own.
      of: what was trained, for the title.

    Raises:
      InputError: no rows; none with a loss; no matplotlib.
    """
    metrics = list(metrics)
    step = step_of(metrics[0]) if metrics else "episode"
    metrics.sort(key=lambda row: row[step])
    losses = [name for name in _LOSSES if any(_finite(row.get(name)) for row in metrics)]
    if not losses:
        expected = ", ".join(_LOSSES)
        raise InputError(f"plot_training: got {len(metrics)} rows without a loss, expected any of: {expected}.")
    if "query_loss_mean" in losses and "query_loss_after" in losses:
        losses.remove("query_loss_after")
    figure = style.new_figure(7.5, 5.2)
    axes = figure.add_subplot()
    handles = [_draw(axes, metrics, step, name) for name in losses]
    _mark_stages(axes, metrics, step)
    xlabel, title = _STEPS[step]
    axes.set_xlabel(xlabel, fontsize=style.NORMAL)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_ylabel("cross-entropy (nats)", fontsize=style.NORMAL)
    axes.margins(x=0.02)
    style.plain_axes(axes)
    style.set_title(figure, f"{of}\n{title}" if of else title)
    style.legend_below(figure, handles)
    return figure


def _draw(axes: Axes, metrics: list[Row], step: str, name: str) -> Line2D:
    """Draw a loss, one line for each stage, and return the first."""
    label, colour, line, thickness = _LOSSES[name]
    # Validation may be rarer than the rest: its line joins the points it has.
    finite = [row for row in metrics if _finite(row.get(name))]
    drawn = []
    for stage in dict.fromkeys(row.get("stage") for row in finite):
        points = [(row[step], row[name]) for row in finite if row.get("stage") == stage]
        look = {"color": colour, "linestyle": line, "linewidth": thickness, "marker": None if points[1:] else "o"}
        drawn += axes.plot(*zip(*points, strict=True), label=label, **look)
    return drawn[0]


def _mark_stages(axes: Axes, metrics: list[Row], step: str) -> None:
    """Name the sources of each stage above its beginning, where there are several stages."""
    firsts = {row["stage"]: row for row in reversed(metrics) if "stage" in row}
    for _, row in sorted(firsts.items()) if len(firsts) > 1 else ():
        start = row[step] - (row.get("epoch") or 0)
        axes.axvline(start, color=style.GREY, linewidth=0.8, linestyle=":")
        sources = style.plain(" + ".join(row.get("sources") or ()))
        place = axes.get_xaxis_transform()
        axes.text(start, 1.01, sources, transform=place, fontsize=style.SMALL, color=style.GREY)


def _finite(value: float | None) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
