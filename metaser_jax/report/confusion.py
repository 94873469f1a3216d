"""Confusion matrices: one panel for each target and split, summed over draws and folds, each row as percentages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from metaser_jax.errors import InputError
from metaser_jax.report import style
from metaser_jax.results.rows import Row, series_label, series_order
from metaser_jax.results.summary import Summary, summarise

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_confusion(rows: Iterable[Row], path: str | Path) -> Path:
    """Write the picture as PNG, SVG or PDF, by the suffix of path, and return the path."""
    return style.save(confusion_figure(summarise(rows)), path)


def confusion_figure(summaries: Iterable[Summary]) -> Figure:
    """Return the picture, not yet written: of each target and split, the first method with the most training data.

    Raises:
      InputError: no summaries; no matplotlib.
    """
    panels: dict[tuple, list[Summary]] = defaultdict(list)
    for one in summaries:
        panels[one.place].append(one)
    if not panels:
        raise InputError("plot_confusion: got no rows, expected results.")
    shown = [min(panel, key=_rank) for _, panel in sorted(panels.items())]
    return counts_figure([(_title(one), one.confusion, one.rows[0]["emotions"]) for one in shown])


def counts_figure(panels: Sequence[tuple[str, np.ndarray, Sequence[str]]]) -> Figure:
    """Return a picture of confusion matrices: of each its title, [class, class] counts and the classes' names.

    Raises:
      InputError: no matplotlib.
    """
    figure, grid = style.panel_grid(len(panels), "true emotion", alone=(5.6, 4.8), height=3.8, frame=0.7)
    for axes, panel in zip(grid, panels, strict=True):
        _draw_panel(axes, *panel)
    figure.suptitle("Confusion, % of each true emotion (utterances)", fontsize=style.LARGE)
    return figure


def _rank(one: Summary) -> tuple:
    """Return what the least of is shown: first method, all layers, largest fraction, or else most shots."""
    kind, value = one.amount
    return series_order(one.series), kind != "fraction", -value


def _draw_panel(axes: Axes, title: str, counts: np.ndarray, names: Sequence[str]) -> None:
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


def _title(one: Summary) -> str:
    return f"{style.place_name(one)}\n{series_label(one.series)}\n{one.data}, {style.draws_name([one])}"
