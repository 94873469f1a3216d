"""Losses of meta-training against episodes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from metaser_jax.errors import InputError
from metaser_jax.report import style
from metaser_jax.report.rows import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# field -> name, colour, line, width. Single episodes are noisy: thin. query_loss_after stands in for query_loss_mean.
_LOSSES = {
    "support_loss": ("support, before adaptation", "#E69F00", "-", 1.0),
    "query_loss_before": ("query, before adaptation", "#56B4E9", "-", 1.0),
    "query_loss_after": ("query, after adaptation", "#0072B2", "-", 1.0),
    "query_loss_mean": ("query, after adaptation (mean)", "#0072B2", "-", 2.0),
    "valid_query_loss": ("validation query, after adaptation", "#D55E00", (0, (6, 2)), 2.0),
}


def plot_training(metrics: Iterable[Row], path: str | Path) -> Path:
    """Writes the picture as PNG or SVG, by the suffix of path, and returns the path."""
    return style.save(training_figure(metrics), path)


def training_figure(metrics: Iterable[Row]) -> Figure:
    """The picture, not yet written.

    Args:
      metrics: rows of metrics.jsonl: episode, and losses in nats; a loss that is null or not finite is left out.

    Raises:
      InputError: no rows; none with a loss; no matplotlib.
    """
    metrics = sorted(metrics, key=lambda row: row["episode"])
    losses = [name for name in _LOSSES if any(_finite(row.get(name)) for row in metrics)]
    if not losses:
        raise InputError(
            f"plot_training: got {len(metrics)} rows without a loss, expected any of: {', '.join(_LOSSES)}."
        )
    if "query_loss_mean" in losses and "query_loss_after" in losses:
        losses.remove("query_loss_after")
    figure = style.new_figure(7.5, 5.2)
    axes = figure.add_subplot()
    for name in losses:
        label, colour, line, thickness = _LOSSES[name]
        # Validation may be rarer than the rest: its line joins the points it has.
        points = [(row["episode"], row[name]) for row in metrics if _finite(row.get(name))]
        marker = "o" if len(points) == 1 else None
        axes.plot(
            *zip(*points, strict=True), color=colour, linestyle=line, linewidth=thickness, marker=marker, label=label
        )
    axes.set_xlabel("episode", fontsize=style.NORMAL)
    axes.set_ylabel("cross-entropy (nats)", fontsize=style.NORMAL)
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.8)
    axes.margins(x=0.02)
    style.despine(axes)
    figure.suptitle("Meta-training. Thin lines: single episodes; thick: means", fontsize=style.LARGE)
    style.legend_below(figure, axes.get_lines())
    return figure


def _finite(value: float | None) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
