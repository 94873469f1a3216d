"""Style of all pictures: matplotlib without global state, colours that the colour-blind can tell apart, saving."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from metaser_jax.errors import InputError
from metaser_jax.results.rows import ADAPT_NAMES, Series, series_order
from metaser_jax.results.summary import Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg", ".pdf")
DOTS_PER_INCH = 150
SMALL, NORMAL, LARGE = 9.5, 11, 13
COLUMNS = 3
PANEL_WIDTH = 3.7  # inches, beside others
GREY = "#555555"
# Of a legend: lines that figures have room for, and inches of a further one.
_LEGEND_LINES, _LEGEND_LINE = 5, 0.24
# Curves that are nowhere further apart are one line to the eye.
SAME = 0.002
# Okabe & Ito (2008) and, for what they lack, Tol's muted scheme. A method has its colour in every picture, whatever
# else is in it; algorithms by their order too, where people compare orders.
_COLOURS = {
    "metaser": "#0072B2",
    "multiser": "#CC79A7",
    "transser": "#009E73",
    "svm": "#E69F00",
    "scratch": "#D55E00",
    "joint": "#222222",
    "egemaps": "#A6761D",
    "maml": "#0072B2",
    ("maml", "first"): "#56B4E9",
    ("maml", "annealed"): "#332288",
    "anil": "#999933",
    "meta_sgd": "#882255",
    "layer_rates": "#117733",
    "reptile": "#7F7F7F",
    "proto_maml": "#AA4499",
    "proto_meta_sgd": "#661100",
    "r2d2": "#6699CC",
}
_OTHER_COLOURS = ("#44AA99", "#DDCC77", "#8C6D31", "#5D3A9B")
# All layers solid, the head alone dashed; further variants of a method, from other sources say, by finer patterns.
_LINES = ("-", (0, (6, 2, 1.5, 2)), (0, (1, 1)))
_HEAD_LINES = ((0, (6, 2)), (0, (3, 1.5)), (0, (3, 1.5, 1, 1.5)))
_MARKERS = {"metaser": "o", "multiser": "D", "transser": "^", "svm": "v", "scratch": "s", "joint": "X", "egemaps": "*"}


class Look(NamedTuple):
    """Keyword arguments of a matplotlib line."""

    color: str
    linestyle: str | tuple
    marker: str
    markerfacecolor: str
    markersize: float = 6
    linewidth: float = 2


def looks(keys: Iterable[Series]) -> dict[Series, Look]:
    """Return how each series is drawn, in the order of `series_order`: colour and marker by method, line by variant.

    A marker is open where the head alone is adapted, and on every variant after the first.
    """
    keys = sorted(set(keys), key=series_order)
    result: dict[Series, Look] = {}
    for key in keys:
        method = key.algorithm or key.method
        # Of what has none, always the same one: by the letters of its name.
        other = _OTHER_COLOURS[sum(method.encode()) % len(_OTHER_COLOURS)]
        colour = _COLOURS.get((method, key.order)) or _COLOURS.get(method, other)
        variant = sum((look.color, k.adapt) == (colour, key.adapt) for k, look in result.items())
        lines = _HEAD_LINES if key.adapt == "head" else _LINES
        marker = "o" if key.algorithm else _MARKERS.get(key.method, "P")
        is_open = variant > 0 or key.adapt == "head"
        result[key] = Look(colour, lines[variant % len(lines)], marker, "white" if is_open else colour)
    return result


def coinciding(curves: Mapping[Series, Mapping[Any, float]]) -> dict[Series, Series]:
    """Return which series lie on an earlier one at every point: one -> the one that it lies on.

    Args:
      curves: of each series, in the order in which they are drawn, its score at each point.
    """
    kept: dict[Series, Mapping[Any, float]] = {}
    found: dict[Series, Series] = {}
    for key, curve in curves.items():
        for other, drawn in kept.items():
            if drawn.keys() == curve.keys() and all(abs(curve[at] - drawn[at]) <= SAME for at in curve):
                found[key] = other
                break
        else:
            kept[key] = curve
    return found


def merged_name(key: Series, names: Mapping[Series, str], merged: Mapping[Series, Series]) -> str:
    """Return what a line is called that may stand for others too: "MAML, all layers = head only within .002".

    Args:
      names: what each series is called. merged: of `coinciding`.
    """
    others = [other for other, kept in merged.items() if kept == key]
    if not others:
        return names[key]

    def short(other: Series) -> str:
        variant = other._replace(adapt=key.adapt) == key
        return ADAPT_NAMES.get(other.adapt or "", str(other.adapt)) if variant else names[other]

    within = f"{SAME:.3f}".lstrip("0")
    return f"{' = '.join([names[key], *map(short, others)])} within {within}"


def set_title(figure: Figure, text: str) -> None:
    """Set the title above all panels, in lines that fit the figure's width."""
    letters = int(figure.get_figwidth() / 0.105)
    lines = [textwrap.fill(line, letters) for line in plain(text).splitlines()]
    figure.suptitle("\n".join(lines), fontsize=LARGE)


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of so many inches.

    Raises:
      InputError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError(
            f'Pictures need matplotlib, which cannot be imported ({error}): pip install "metaser_jax[plot]"'
        ) from error
    return Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained", facecolor="white")


def panel_grid(
    n: int, ylabel: str, alone: tuple[float, float], height: float, frame: float, width: float = PANEL_WIDTH
) -> tuple[Figure, list[Axes]]:
    """Return a figure of n panels, in rows of at most COLUMNS, with a label on the first of each row.

    Args:
      alone: inches, width of the figure and height of a panel where there is only one in a row.
      height: inches, of a panel where there are several in a row.
      frame: inches, of what is above and below all panels.
      width: inches, of a panel beside others.

    Raises:
      InputError: matplotlib is not installed.
    """
    # Four are two and two, and not three and one.
    columns = 2 if n == 4 else min(COLUMNS, n)
    rows = math.ceil(n / columns)
    width, height = alone if columns == 1 else (width * columns, height)
    figure = new_figure(width, frame + height * rows)
    panels = [figure.add_subplot(rows, columns, number) for number in range(1, n + 1)]
    for axes in panels[::columns]:
        axes.set_ylabel(ylabel, fontsize=NORMAL)
    return figure, panels


def save(figure: Figure, path: str | Path) -> Path:
    """Write the figure as PNG, SVG or PDF by the suffix of path, whose folder is made; return the path.

    Raises:
      InputError: another suffix.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: got suffix {path.suffix!r}, expected one of: {', '.join(SUFFIXES)}.")
    path.parent.mkdir(parents=True, exist_ok=True)
    from matplotlib import rc_context

    # TrueType, which publishers take, where matplotlib's default of PDF is Type 3.
    with rc_context({"pdf.fonttype": 42}):
        # The same picture is the same file.
        figure.savefig(path, metadata={"CreationDate": None} if path.suffix.lower() == ".pdf" else None)
    return path


def plain(text: str) -> str:
    """Return text in which matplotlib sees no formulas."""
    return text.replace("$", r"\$")


def place_name(summary: Summary, with_split: bool = True) -> str:
    """Return a panel's title: target, language, split."""
    target, split = summary.place
    language = summary.rows[0]["language"]
    # A corpus that is called as its language needs no second name.
    named = f"{target} ({language})" if language and language.lower() != target.lower() else target
    if not with_split:
        return named
    return f"{named}, {split} split" if split else f"{named}, split not recorded"


def draws_name(summaries: Iterable[Summary]) -> str:
    """Return how many draws each setting has: "5 draws", "3 to 5 draws", "one draw"."""
    numbers = [one.macro_f1.n for one in summaries]
    fewest, most = min(numbers), max(numbers)
    if most == 1:
        return "one draw"
    return f"{most} draws" if fewest == most else f"{fewest} to {most} draws"


def plain_axes(axes: Axes) -> None:
    """Draw faint horizontal lines behind the curves, and no frame above and on the right."""
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=SMALL)


def legend_below(figure: Figure, handles: Sequence) -> None:
    """Draw one legend under all panels, in as many columns as fit the figure's width; a long one makes it higher."""
    # Inches: line and gaps, and about so much for each letter.
    widths = [0.95 + 0.082 * len(handle.get_label()) for handle in handles]

    def needed(columns: int) -> float:
        # As matplotlib fills them: column by column, the first ones one longer.
        return sum(max(part) for part in np.array_split(widths, columns))

    fitting = [n for n in range(1, len(handles) + 1) if needed(n) <= figure.get_figwidth()]
    columns = max(fitting, default=1)
    more = math.ceil(len(handles) / columns) - _LEGEND_LINES
    figure.set_figheight(figure.get_figheight() + _LEGEND_LINE * max(0, more))
    look = {"fontsize": NORMAL, "frameon": False, "handlelength": 3}
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, **look)
