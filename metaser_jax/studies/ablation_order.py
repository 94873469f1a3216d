"""Second order against cheaper meta-gradients, at equal episodes and at equal wall time: score, seconds, memory.

Finn et al., MAML, ICML 2017 (second and first order); Antoniou et al., MAML++, ICLR 2019 (annealed: first, then
second); Raghu et al., ANIL, ICLR 2020; Li et al., Meta-SGD, 2017, and a learned rate per layer and step; Nichol et al.,
Reptile, 2018; Triantafillou et al., ProtoMAML, ICLR 2020; Bertinetto et al., R2-D2, ICLR 2019.

At equal wall time, each is trained anew for as many episodes as fit into second order's time. How long an episode of a
variant takes is measured apart from the runs, without compilation and validation, so that other load on the machine
decides nothing: in each of several rounds every variant runs in turn, for some seconds, and is divided by second order
of that round; the next round begins with the next variant. What counts is the median of a variant's ratios. A run's own
seconds would not do: hours may lie between two runs, and whatever else ran then.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from metaser_jax.datasets.targets import ON_DISK, Corpora
from metaser_jax.errors import InputError
from metaser_jax.messages import log, logged_as
from metaser_jax.report import style
from metaser_jax.report.content import Section, Table, table_of
from metaser_jax.report.page import picture
from metaser_jax.results.rows import Series, method_name
from metaser_jax.results.run_dir import write_text
from metaser_jax.results.summary import Summary
from metaser_jax.specs import INNER, MetaTrainSpec, presets
from metaser_jax.specs.algorithms import ALGORITHMS
from metaser_jax.specs.studies import OrderConfig, variants
from metaser_jax.studies import TEXTS, tables
from metaser_jax.studies.cells import Run
from metaser_jax.studies.driver import Found, compute, lines_of, write
from metaser_jax.studies.study import METASER, Study, algorithm_changes, open_study
from metaser_jax.training.cost import Cost, read_cost
from metaser_jax.training.meta_train import run_meta_training

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "ablation_order"
ROUNDS = 5
# Of a variant in a round, as well as is known before, and at least so many intervals.
SECONDS, INTERVALS = 4.0, 3
KEPT = "equal_time.json"
SECOND = "second"
TITLE = "Which meta-gradient: second order MAML against cheaper and other meta-learners"
_TEXTS = TEXTS[NAME]
_BUDGETS = {"episodes": "equal episodes", "time": "equal time"}


class Timed(NamedTuple):
    """Attributes: rounds, of each variant -> seconds per episode; episodes of a variant in a round."""

    rounds: list[dict[str, float]]
    episodes: dict[str, int]

    def ratios(self, variant: str) -> list[float]:
        """Return a variant's time per episode as a share of second order's, round by round."""
        return [of[variant] / of[SECOND] for of in self.rounds]

    def seconds(self, variant: str) -> float:
        """Return seconds per episode: second order's, median over rounds, times the median of the ratios."""
        return statistics.median(of[SECOND] for of in self.rounds) * statistics.median(self.ratios(variant))


class Point(NamedTuple):
    """A variant with an amount of data. Attributes: its summary, its name, the budget; took, fields of its line."""

    one: Summary
    name: str
    budget: str
    took: Mapping[str, Any]


def run_ablation_order(config: OrderConfig, command: str, *, corpora: Corpora = ON_DISK) -> Path:
    """Compute what is missing and write ablation_order.{json,csv,png,svg,pdf}, json and the report.

    Args:
      command: what the user ran, for the report.
      corpora: where prepared corpora come from.

    Returns:
      Path of report.html.

    Raises:
      InputError: a source is not prepared, or no target is; config.out holds another study; what the runs raise.
    """
    study = open_study(config, command, corpora)
    spec = study.spec
    study.require_prepared(spec.sources)
    if both := sorted({*spec.sources} & {*spec.targets}):
        raise InputError(f"--targets: got {', '.join(both)}, which is among --sources, expected other corpora.")
    at = study.places(spec.targets)

    def runs_of(variant: str, episodes: int) -> tuple[Run, ...]:
        return tuple(_run_of(study, variant, episodes, seed) for seed in range(spec.pretrain_seeds))

    def adapt(runs: Mapping[str, tuple[Run, ...]]) -> Found:
        cells = [study.cell(place, name, None, spec.sources, of) for name, of in runs.items() for place in at]
        return compute(study, cells, _is_second)

    episodes = study.meta_spec(spec.sources, 0).episodes
    runs = {"episodes": {variant: runs_of(variant, episodes) for variant in spec.variants}}
    log(f"At equal episodes, {episodes}:")
    found = {"episodes": adapt(runs["episodes"])}
    log(f"Timing an episode of each variant, in turn, {ROUNDS} rounds:")
    timed = measure(
        study.out,
        lambda variant, episodes: _run_of(study, variant, episodes, 0).spec,
        {variant: _cost_of(study, of).seconds for variant, of in runs["episodes"].items()},
        functools.partial(time_run, study),
    )
    second, others = timed.seconds(SECOND), [variant for variant in spec.variants if variant != SECOND]
    runs["time"] = {SECOND: runs["episodes"][SECOND]}
    runs["time"] |= {one: runs_of(one, fitting(episodes, second, timed.seconds(one))) for one in others}
    log(f"At equal wall time, {second * episodes:.0f} s of second order:")
    found["time"] = adapt({v if v == SECOND else f"{v}-equal-time": of for v, of in runs["time"].items()})

    lines, compared, points = [], [], []
    for budget, of in found.items():
        took = {variant: _took(_cost_of(study, of), timed, variant) for variant, of in runs[budget].items()}
        of_summaries, of_comparisons = lines_of(study, of)
        for one, line in zip(of.summaries, of_summaries, strict=True):
            variant = variant_of(one)
            lines.append({"variant": variant, "budget": budget} | line | took[variant])
            points.append(Point(one, method_name(one.series), budget, took[variant]))
        compared += [line | {"budget": budget} for line in of_comparisons]
    sources = " and ".join(spec.sources)
    return write(
        study,
        NAME,
        f"{TITLE}, from {' + '.join(spec.sources)} to {' and '.join(spec.targets)}",
        _TEXTS["intro"].format(sources=sources, episodes=episodes, rates=_on_learned_rates(study)),
        _sections(study, found, points, timed),
        {"lines": lines, "comparisons": compared},
        lines,
    )


def fitting(episodes: int, second: float, seconds: float) -> int:
    """Return how many episodes of so many seconds take as long as second order's, at least one."""
    return max(1, int(second * episodes / seconds))


def _run_of(study: Study[OrderConfig], variant: str, episodes: int, seed: int) -> Run:
    sources = study.spec.sources
    plain = study.meta_spec(sources, seed)
    changes = algorithm_changes(plain, *((variant,) if variant in ALGORITHMS else ("maml", variant)))
    first_order = max(1, round(study.spec.anneal_share * episodes)) if variant == "annealed" else 0
    changes |= {"episodes": episodes, "anneal_episodes": first_order}
    mine = study.meta_spec(sources, seed, **changes)
    # Where the study's own settings are this variant, the run is the one that the other studies start from.
    return study.meta_run(mine) if mine == plain else study.meta_run(mine, variant)


def _is_second(key: Series) -> bool:
    return (key.algorithm, key.order) == ("maml", SECOND)


def _read_cost(run_dir: Path, spec: MetaTrainSpec) -> Cost:
    """Return the cost of a run; annealed episodes cost something else before than after."""
    return read_cost(run_dir, [spec.anneal_episodes] if spec.anneal_episodes else [])


def _cost_of(study: Study, runs: Sequence[Run]) -> Cost:
    """Return the cost of runs that differ in their seeds: mean seconds per episode, most memory.

    Compilation is that of the run that compiled: others found its program, as may a run of another study.
    """
    costs = [_read_cost(study.runs / run.key, run.spec) for run in runs]
    memory = [cost.temp_bytes for cost in costs]
    return costs[0]._replace(
        seconds=statistics.fmean(cost.seconds for cost in costs),
        compile_seconds=max(cost.compile_seconds for cost in costs),
        temp_bytes=None if None in memory else max(memory),
    )


def _took(cost: Cost, timed: Timed, variant: str) -> dict[str, Any]:
    """Return what the training of a variant took; seconds that were measured apart stand for the runs' own."""
    ratios, seconds = timed.ratios(variant), timed.seconds(variant)
    return {
        "episodes": cost.episodes,
        "seconds_per_episode": seconds,
        "of_second_order": statistics.median(ratios),
        "of_second_order_range": [min(ratios), max(ratios)],
        "training_seconds": seconds * cost.episodes,
        "compile_seconds": cost.compile_seconds,
        "temp_bytes": cost.temp_bytes,
    }


def measure(
    out: Path,
    spec_of: Callable[[str, int], MetaTrainSpec],
    known: Mapping[str, float],
    time_run: Callable[[MetaTrainSpec], float],
) -> Timed:
    """Return the measured times, which the study keeps.

    Args:
      out: the study's folder.
      spec_of: (variant, episodes) -> a run to be timed.
      known: variant -> about how many seconds an episode takes.
      time_run: trains it and returns its seconds per episode.
    """
    kept = out / KEPT
    if kept.exists():
        found = Timed(**json.loads(kept.read_text(encoding="utf-8")))
        if found.episodes.keys() == known.keys():
            return found
    specs = {}
    for variant, seconds in known.items():
        every = spec_of(variant, 1).log_every
        episodes = every * max(INTERVALS, math.ceil(SECONDS / seconds / every))
        # A checkpoint at the end alone.
        specs[variant] = dataclasses.replace(spec_of(variant, episodes), checkpoint_every=episodes)
    names, rounds = list(specs), []
    for number in range(ROUNDS):
        at = number % len(names)
        rounds.append({variant: time_run(specs[variant]) for variant in (*names[at:], *names[:at])})
    found = Timed(rounds, {variant: spec.episodes for variant, spec in specs.items()})
    write_text(kept, json.dumps(found._asdict(), indent=2) + "\n")
    return found


def time_run(study: Study, spec: MetaTrainSpec) -> float:
    """Train a run in a temporary folder and return the seconds of its episodes."""
    with tempfile.TemporaryDirectory(prefix="metaser_jax_timed_") as folder, logged_as(""):
        run = Path(folder, "run")
        # From random parameters: where it starts changes no time.
        run_meta_training(spec, study.data_dir, str(run), load=study.corpora.load)
        return _read_cost(run, spec).seconds


def variant_of(one: Summary) -> str:
    """Return the variant of a summary: an order of MAML, or another algorithm."""
    return str(one.series.order if one.series.algorithm == "maml" else one.series.algorithm)


def _on_learned_rates(study: Study[OrderConfig]) -> str:
    """Return whether fine-tuning takes over what rates were learned."""
    if presets.FINETUNE[study.preset]["optimizer"] != INNER:
        return _TEXTS["own_optimizer"]
    compared = [ALGORITHMS[variant] for variant in study.spec.variants if variant in ALGORITHMS]
    learned = " and ".join(one.label(SECOND) for one in compared if one.learned_rates == "parameter")
    return _TEXTS["sgd"].format(learned=f", from {learned} with the rates that were learned" if learned else "")


def _sections(
    study: Study[OrderConfig], found: Mapping[str, Found], points: Sequence[Point], timed: Timed
) -> tuple[Section, ...]:
    """Return everything between the introduction and what was run; saves the pictures."""
    caption = "Macro F1 on the test part against the seconds of meta-training, without compilation."
    figure = time_figure(points, study.spec.confidence)
    shown = picture(study.out, "ablation_order.png", caption, figure, svg=True)
    explained = _TEXTS["timed"].format(rounds=len(timed.rounds), fewest=min(timed.episodes.values()))
    budgets = {f", equal {budget}": of for budget, of in found.items()}
    heading = "MAML, second order, against each other variant"
    return (
        Section("Score against training time", (shown, f"{explained} {_TEXTS['memory']}")),
        *(Section(name, (_table(list(group)),)) for name, group in groupby(sorted(points, key=_place), _place)),
        *tables.comparison_section(budgets, study.spec.confidence, heading),
        *tables.closing_sections(study, (METASER,), budgets),
    )


def _place(point: Point) -> str:
    return tables.place_name(point.one)


def _rank(point: Point) -> tuple[int, str]:
    return variants().index(variant_of(point.one)), _BUDGETS[point.budget]


def _table(points: Sequence[Point]) -> Table:
    """Return a row for each variant and budget, a column of scores for each amount of data; points are of one place."""
    oracles = {point.one.data: tables.oracle_cell(point.one) for point in points}
    rows = [list(group) for _, group in groupby(sorted(points, key=_rank), _rank)]
    columns: dict[str, Callable[[list[Point]], str]] = {
        "variant": lambda row: row[0].name,
        "budget": lambda row: _BUDGETS[row[0].budget],
        "episodes": lambda row: str(row[0].took["episodes"]),
        "s per episode": lambda row: f"{row[0].took['seconds_per_episode']:.3f}",
        "of second order's": lambda row: _ratio(row[0].took["of_second_order"], *row[0].took["of_second_order_range"]),
        "training": lambda row: f"{row[0].took['training_seconds']:.0f} s",
        "compilation": lambda row: f"{row[0].took['compile_seconds']:.1f} s",
        "memory": lambda row: _mebibytes(row[0].took["temp_bytes"]),
    }
    empty = [""] * (len(columns) - 1)
    for data in oracles:
        columns[data] = lambda row, data=data: next(
            (str(p.one.macro_f1) for p in row if p.one.data == data), tables.NONE
        )
    table = table_of(columns, rows, "", list(oracles), [row[0].budget for row in rows])
    table.body.append([tables.HEARS_NOTHING, *empty, *oracles.values()])
    return table


def _mebibytes(number: int | None) -> str:
    return "not known" if number is None else f"{number / 2**20:.1f} MiB"


def _ratio(middle: float, low: float, high: float) -> str:
    """Return a variant's time per episode as a share of second order's: median, lowest and highest of the rounds."""
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def time_figure(points: Sequence[Point], confidence: float) -> Figure:
    """Return panels of target, split and amount.

    Filled at equal episodes, open at equal time, bars: interval over draws.
    """
    from matplotlib.lines import Line2D

    panels: dict[tuple[str, str], list[Point]] = defaultdict(list)
    for point in points:
        panels[_place(point), point.one.data].append(point)
    figure, grid = style.panel_grid(len(panels), "macro F1 on the test part", alone=(6.8, 4.0), height=3.4, frame=1.6)
    # A run that was meta-trained is drawn as in every other picture.
    looks = style.looks(point.one.series for point in points)
    colours = {point.name: looks[point.one.series].color for point in sorted(points, key=_rank)}
    for axes, ((place, data), panel) in zip(grid, panels.items(), strict=True):
        for name, colour in colours.items():
            at = [
                (point.took["training_seconds"], point.one.macro_f1, colour if point.budget == "episodes" else "white")
                for point in panel
                if point.name == name
            ]
            axes.plot([x for x, *_ in at], [score.mean for _, score, _ in at], color=colour, linewidth=1, zorder=2)
            # Where both are one run, the filled one is on top.
            for x, score, face in reversed(at):
                low, high = (score.interval or (score.mean, score.mean))[:2]
                bar = [[score.mean - low], [high - score.mean]]
                look = {"color": colour, "markerfacecolor": face, "capsize": 3, "zorder": 3}
                axes.errorbar([x], [score.mean], yerr=bar, fmt="o", **look)
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
