"""Scaling on paper as a markdown table and a picture."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from all_reduce import INTERCONNECTS, Interconnect, fastest, ring, strong_efficiency, tree, weak_efficiency

from metaser_jax.report import style

STEP_SECONDS = (1e-3, 1e-2, 1e-1, 1.0)
# Okabe & Ito (2008), as in the other pictures.
_LINES = (("#0072B2", "-"), ("#009E73", (0, (6, 2))), ("#D55E00", (0, (6, 2, 1.5, 2))), ("#CC79A7", (0, (1, 1))))


class Case(NamedTuple):
    """A network, as it is trained.

    Attributes:
      size: bytes of the meta-gradient.
      seconds: of a task's meta-step on one device; source: where they are from.
    """

    network: str
    size: int
    seconds: float
    source: str


def markdown(cases: Sequence[Case], devices: Sequence[int], tasks: int) -> str:
    """A table for each case: a row for each number of devices that an interconnect reaches.

    Args:
      tasks: of an episode in strong scaling.
    """
    lines = ["**A calculation, not a measurement** of any cluster; the model and its figures: `all_reduce.py`.", ""]
    for case in cases:
        task = seconds_text(case.seconds)
        lines += [f"{case.network}: meta-gradient {case.size:,} bytes; a task {task}, {case.source}.", ""]
        columns = ["interconnect", "devices", "ring", "tree", "half of a step of", "tasks per device then"]
        columns += [f"weak, {seconds_text(s)}" for s in STEP_SECONDS]
        columns += [f"weak, a task of {task}", f"strong, {tasks} of them"]
        lines += ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
        lines += ["| " + " | ".join(row) + " |" for row in rows(case, devices, tasks)] + [""]
    return "\n".join(lines)


def rows(case: Case, devices: Sequence[int], tasks: int) -> Iterator[list[str]]:
    """The all-reduce's time by ring and by tree, the step of which the faster is half, and efficiencies with it."""
    for link in INTERCONNECTS:
        for n in devices:
            if not link.joins(n):
                continue
            reduce = fastest(case.size, n, link)
            weak = [weak_efficiency(compute, reduce) for compute in (*STEP_SECONDS, case.seconds)]
            yield [
                link.name,
                str(n),
                seconds_text(ring(case.size, n, link)),
                "" if link.rings_only else seconds_text(tree(case.size, n, link)),
                seconds_text(2 * reduce),
                f"{reduce / case.seconds:.2g}",
                *map(percent, weak),
                percent(strong_efficiency(tasks, n, case.seconds, reduce)) if tasks >= n else "",
            ]


def seconds_text(seconds: float) -> str:
    """ "1.2 s", "12 ms", "120 µs"."""
    for unit, factor in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= 0.9995 * factor:
            return f"{seconds / factor:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"


def percent(share: float) -> str:
    """Rounded down: 100 % is not to be had."""
    return f"{math.floor(1000 * share) / 10:.1f} %"


def draw(case: Case, devices: Sequence[int], path: Path) -> None:
    """Weak-scaling efficiency over a step's computation, a panel for each number of devices."""
    from matplotlib.lines import Line2D

    figure, panels = style.panel_grid(len(devices), "efficiency, weak scaling", alone=(6, 4), height=3.3, frame=1.3)
    compute = np.logspace(-5, 0, 200)
    for axes, n in zip(panels, devices, strict=True):
        for link, (colour, line) in zip(INTERCONNECTS, _LINES, strict=True):
            if link.joins(n):
                efficiency = [weak_efficiency(c, fastest(case.size, n, link)) for c in compute]
                axes.plot(compute, efficiency, color=colour, linestyle=line, linewidth=2)
        axes.axhline(0.5, color=style.GREY, linestyle="--", linewidth=1.2, zorder=1)
        axes.axvline(case.seconds, color=style.GREY, linewidth=1.2, zorder=1)
        axes.set_xscale("log")
        axes.set_xticks([1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1], ["10 µs", "0.1 ms", "1 ms", "10 ms", "0.1 s", "1 s"])
        axes.minorticks_off()
        axes.set_ylim(0, 1.02)
        axes.set_title(f"{n} devices", fontsize=style.NORMAL + 1)
        axes.set_xlabel("a step's computation on a device", fontsize=style.NORMAL)
        style.despine(axes)
    handles = [
        Line2D([], [], color=colour, linestyle=line, linewidth=2, label=_label(link))
        for link, (colour, line) in zip(INTERCONNECTS, _LINES, strict=True)
    ]
    handles.append(Line2D([], [], color=style.GREY, linestyle="--", linewidth=1.2, label="the all-reduce takes half"))
    one_task = f"one task on one device: {seconds_text(case.seconds)}"
    handles.append(Line2D([], [], color=style.GREY, linewidth=1.2, label=one_task))
    figure.suptitle(
        f"Calculated, not measured: steps with an all-reduce of {case.size / 1e6:.2g} MB", fontsize=style.LARGE
    )
    style.legend_below(figure, handles)
    style.save(figure, path)


def _label(link: Interconnect) -> str:
    return link.name if link.reach is None else f"{link.name} (up to {link.reach})"
