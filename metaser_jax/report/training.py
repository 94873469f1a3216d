"""Losses of meta-training against episodes, or of pre-training against epochs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from metaser_jax.errors import InputError
from metaser_jax.report import style
from metaser_jax.results.rows import Row, step_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

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
        raise InputError(
            f"plot_training: got {len(metrics)} rows without a loss, expected any of: {', '.join(_LOSSES)}."
        )
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
        look = {"color": colour, "linestyle": line, "linewidth": thickness, "label": label}
        look["marker"] = "o" if len(points) == 1 else None
        drawn += axes.plot(*zip(*points, strict=True), **look)
    return drawn[0]


def _mark_stages(axes: Axes, metrics: list[Row], step: str) -> None:
    """Name the sources of each stage above its beginning, where there are several stages."""
    firsts: dict[int, Row] = {}
    for row in metrics:
        if "stage" in row:
            firsts.setdefault(row["stage"], row)
    if len(firsts) < 2:
        return
    for row in firsts.values():
        start = row[step] - (row.get("epoch") or 0)
        axes.axvline(start, color=style.GREY, linewidth=0.8, linestyle=":")
        sources = style.plain(" + ".join(row.get("sources") or ()))
        place = axes.get_xaxis_transform()
        axes.text(start, 1.01, sources, transform=place, fontsize=style.SMALL, color=style.GREY)


def _finite(value: float | None) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
