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
from metaser_jax.specs import INNER, MetaTrainSpec
from metaser_jax.specs.algorithms import ALGORITHMS
from metaser_jax.specs.studies import OrderConfig, variants
from metaser_jax.studies import tables
from metaser_jax.studies.cells import CELLS, Run
from metaser_jax.studies.driver import Found, compute, lines_of, write
from metaser_jax.studies.study import METASER, Study, algorithm_changes, open_study
from metaser_jax.training.cost import Cost, read_cost
from metaser_jax.training.meta_train import run_meta_training

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "ablation_order"
Measures = Mapping[tuple[str, str], Mapping[str, Any]]
"""(budget, variant) -> cost of its training: the fields of a line."""
ROUNDS = 5
# Of a variant in a round, as well as is known before, and at least so many intervals.
SECONDS, INTERVALS = 4.0, 3
KEPT = "equal_time.json"
SECOND = "second"
# The cells of equal time have this in their names.
MARK = "equal-time"
TITLE = "Which meta-gradient: second order MAML against cheaper and other meta-learners"
_BUDGETS = {"episodes": "equal episodes", "time": "equal time"}
_INTRO = """\
Each variant was meta-trained on {sources} for {episodes} episodes, and then anew for as many episodes as fit into the \
time of second order's (equal time). From both it was fine-tuned on the target's clips, all in the same way and with \
the same clips draw by draw, and scored on the whole test part.

Inner and outer learning rates are the preset's for all: another rate may suit another variant better. {rates}"""
_OWN_OPTIMIZER = "Learned inner rates stay behind, since fine-tuning has an optimizer of its own."
_SGD = (
    "Fine-tuning is SGD with the preset's rate{learned}; rates per layer and step stay behind, since fine-tuning has "
    "other steps."
)
_AS_RUN = (
    "Seconds per episode are the median over a run's intervals, without compilation and validation, and depend on "
    "what else the machine did."
)
_APART = (
    "Equal time was measured apart from the runs, without compilation and validation: in each of {rounds} rounds the "
    "variants were trained one after the other, {fewest} episodes or more of each, and each round's seconds per "
    "episode were divided by second order's of that round, so that what else the machine did meets all of them. The "
    "ratio is the median over rounds, with the lowest and the highest; seconds are second order's median times it."
)
_MEMORY = (
    "Memory is XLA's temporary memory for the program of an interval of episodes, on each device; parameters and "
    "corpora come on top, the same for all."
)


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
    """A variant with an amount of data. Attributes: its summary, its name, the budget, and the cost of training."""

    one: Summary
    name: str
    budget: str
    took: Mapping[str, Any]


def run_ablation_order(
    config: OrderConfig,
    command: str,
    *,
    corpora: Corpora = ON_DISK,
    cost_of_run: Callable[[Path, Sequence[int]], Cost] = read_cost,
    time_run: Callable[[MetaTrainSpec], float] | None = None,
) -> Path:
    """Compute what is missing and write ablation_order.{json,csv,png,svg,pdf}, json and the report.

    Args:
      command: what the user ran, for the report.
      corpora: where prepared corpora come from.
      cost_of_run: as read_cost.
      time_run: seconds per episode of a run; by default it is trained for that.

    Returns:
      Path of report.html.

    Raises:
      InputError: a source is not prepared, or no target is; config.out holds another study; what the runs raise.
    """
    study = open_study(config, command, corpora)
    spec = study.spec
    study.require_prepared(spec.sources)
    both = sorted({*spec.sources} & {*spec.targets})
    if both:
        raise InputError(f"--targets: got {', '.join(both)}, which is among --sources, expected other corpora.")
    at = study.places(spec.targets)

    def runs_of(variant: str, episodes: int) -> tuple[Run, ...]:
        return tuple(_run_of(study, variant, episodes, seed) for seed in range(spec.pretrain_seeds))

    def cells(runs: Mapping[str, tuple[Run, ...]], mark: str = "") -> list:
        return [
            study.cell(place, variant + mark, None, spec.sources, of) for variant, of in runs.items() for place in at
        ]

    def costs_of(runs: Mapping[str, tuple[Run, ...]]) -> dict[str, Cost]:
        return {v: mean_cost([cost_of_run(study.runs / run.key, phases(run.spec)) for run in runs[v]]) for v in runs}

    def timed(costs: dict[str, Cost]) -> dict[str, Cost]:
        # The seconds that were measured apart stand for the runs' own.
        return {v: cost._replace(seconds=measured.seconds(v)) for v, cost in costs.items()} if measured else costs

    same = study.meta_spec(spec.sources, 0).episodes
    equal = {variant: runs_of(variant, same) for variant in spec.variants}
    log(f"At equal episodes, {same}:")
    found = {"episodes": compute(study, cells(equal), _is_second)}
    costs = costs_of(equal)
    log(f"Timing an episode of each variant, in turn, {ROUNDS} rounds:")
    measured = measure(
        study.out,
        lambda variant, episodes: _run_of(study, variant, episodes, 0).spec,
        {variant: cost.seconds for variant, cost in costs.items()},
        time_run or timing(study, phases),
    )
    costs = timed(costs)
    fitted = {variant: runs_of(variant, fitting(costs[SECOND], cost)) for variant, cost in costs.items()}
    log(f"At equal wall time, {costs[SECOND].seconds * same:.0f} s of second order:")
    others = {variant: runs for variant, runs in fitted.items() if variant != SECOND}
    found["time"] = compute(study, [*cells({SECOND: equal[SECOND]}), *cells(others, f"-{MARK}")], _is_second)

    of_budget = {"episodes": costs, "time": timed(costs_of(fitted))}
    measures = {
        (budget, variant): _cost_fields(cost, measured and measured.ratios(variant))
        for budget, of in of_budget.items()
        for variant, cost in of.items()
    }
    lines, compared = [], []
    for budget, of in found.items():
        of_summaries, of_comparisons = lines_of(study, of)
        for one, line in zip(of.summaries, of_summaries, strict=True):
            variant = variant_of(one)
            device = line["device"] or of_budget[budget][variant].device
            known = {"variant": variant, "budget": budget}
            lines.append(known | line | measures[budget, variant] | {"device": device})
        compared += [line | {"budget": budget} for line in of_comparisons]
    sources = " and ".join(spec.sources)
    return write(
        study,
        NAME,
        f"{TITLE}, from {' + '.join(spec.sources)} to {' and '.join(spec.targets)}",
        _INTRO.format(sources=sources, episodes=same, rates=_on_learned_rates(study)),
        _sections(study, found, measures, measured),
        {"lines": lines, "comparisons": compared},
        lines,
    )


def fitting(second: Cost, variant: Cost) -> int:
    """Return how many episodes of a variant take as long as all of second order's, at least one."""
    return max(1, int(second.seconds * second.episodes / variant.seconds))


def phases(spec: MetaTrainSpec) -> list[int]:
    """Return the episodes before which a run's episodes cost something else than after."""
    return [spec.anneal_episodes] if spec.anneal_episodes else []


def mean_cost(costs: Sequence[Cost]) -> Cost:
    """Return the cost of runs that differ in their seeds: mean seconds per episode, most memory.

    Compilation is that of the run that compiled: others found its program, as may a run of another study.
    """
    memory = [cost.temp_bytes for cost in costs]
    return costs[0]._replace(
        seconds=sum(cost.seconds for cost in costs) / len(costs),
        compile_seconds=max(cost.compile_seconds for cost in costs),
        temp_bytes=None if None in memory else max(memory),
    )


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


def _cost_fields(cost: Cost, ratios: list[float] | None) -> dict[str, Any]:
    return {
        "episodes": cost.episodes,
        "seconds_per_episode": cost.seconds,
        "of_second_order": ratios and statistics.median(ratios),
        "of_second_order_range": ratios and [min(ratios), max(ratios)],
        "training_seconds": cost.seconds * cost.episodes,
        "compile_seconds": cost.compile_seconds,
        "temp_bytes": cost.temp_bytes,
    }


def measure(
    out: Path,
    spec_of: Callable[[str, int], MetaTrainSpec],
    known: Mapping[str, float],
    time_run: Callable[[MetaTrainSpec], float],
) -> Timed | None:
    """Return the measured times, which the study keeps; None of a study from before, whose runs' seconds decided.

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
    elif any((out / CELLS).glob(f"*{MARK}*")):
        return None
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


def timing(study: Study, phases: Callable[[MetaTrainSpec], list[int]]) -> Callable[[MetaTrainSpec], float]:
    """Return a function that trains a run in a temporary folder and returns the seconds of its episodes."""

    def time_run(spec: MetaTrainSpec) -> float:
        with tempfile.TemporaryDirectory(prefix="metaser_jax_timed_") as folder, logged_as(""):
            run = f"{folder}/run"
            # From random parameters: where it starts changes no time.
            run_meta_training(spec, study.data_dir, run, load=study.corpora.load)
            return read_cost(run, phases(spec)).seconds

    return time_run


def variant_of(one: Summary) -> str:
    """Return the variant of a summary: an order of MAML, or another algorithm."""
    return str(one.series.order if one.series.algorithm == "maml" else one.series.algorithm)


def _on_learned_rates(study: Study[OrderConfig]) -> str:
    """Return whether fine-tuning takes over what rates were learned."""
    if study.settings.finetune["optimizer"] != INNER:
        return _OWN_OPTIMIZER
    compared = [ALGORITHMS[variant] for variant in study.spec.variants if variant in ALGORITHMS]
    learned = [one.label(SECOND) for one in compared if one.learned_rates == "parameter"]
    return _SGD.format(learned=f", from {' and '.join(learned)} with the rates that were learned" if learned else "")


def _sections(
    study: Study[OrderConfig], found: Mapping[str, Found], measures: Measures, measured: Timed | None
) -> tuple[Section, ...]:
    """Return everything between the introduction and what was run; saves the pictures."""
    points = [
        Point(one, method_name(one.series), budget, measures[budget, variant_of(one)])
        for budget, of in found.items()
        for one in of.summaries
    ]
    caption = "Macro F1 on the test part against the seconds of meta-training, without compilation."
    figure = time_figure(points, study.spec.confidence)
    shown = picture(study.out, "ablation_order.png", caption, figure, svg=True)
    timed = _AS_RUN
    if measured is not None:
        timed = _APART.format(rounds=len(measured.rounds), fewest=min(measured.episodes.values()))
    budgets = {f", equal {budget}": of for budget, of in found.items()}
    heading = "MAML, second order, against each other variant"
    return (
        Section("Score against training time", (shown, f"{timed} {_MEMORY}")),
        *(Section(name, (_table(list(group)),)) for name, group in groupby(sorted(points, key=_place), _place)),
        *tables.comparison_section(budgets, study.spec.confidence, heading),
        *tables.closing_sections(study, (METASER,), budgets),
    )


def _place(point: Point) -> str:
    return tables.place_name(point.one)


def _rank(point: Point) -> int:
    return variants().index(variant_of(point.one))


def _table(points: Sequence[Point]) -> Table:
    """Return a row for each variant and budget, a column of scores for each amount of data; points are of one place."""
    oracles = {point.one.data: tables.oracle_cell(point.one) for point in reversed(points)}
    amounts = list(dict.fromkeys(point.one.data for point in points))
    rows: dict[tuple[str, str], tuple[Point, dict[str, str]]] = {}
    for point in sorted(points, key=lambda point: (_rank(point), _BUDGETS[point.budget])):
        rows.setdefault((point.name, point.budget), (point, {}))[1][point.one.data] = str(point.one.macro_f1)
    columns: dict[str, Callable[[Any], str]] = {
        "variant": lambda row: row[0].name,
        "budget": lambda row: _BUDGETS[row[0].budget],
        "episodes": lambda row: str(row[0].took["episodes"]),
        "s per episode": lambda row: f"{row[0].took['seconds_per_episode']:.3f}",
    }
    # Of a study from before they were measured, there are no ratios.
    if any(point.took["of_second_order"] for point in points):
        columns["of second order's"] = lambda row: _ratio(row[0].took)
    columns["training"] = lambda row: f"{row[0].took['training_seconds']:.0f} s"
    columns["compilation"] = lambda row: f"{row[0].took['compile_seconds']:.1f} s"
    columns["memory"] = lambda row: _mebibytes(row[0].took["temp_bytes"])
    costs = len(columns)
    for data in amounts:
        columns[data] = lambda row, data=data: row[1].get(data, tables.NONE)
    table = table_of(columns, rows.values(), "", amounts, [budget for _, budget in rows])
    table.body.append([tables.HEARS_NOTHING, *([""] * (costs - 1)), *(oracles[data] for data in amounts)])
    return table


def _mebibytes(number: int | None) -> str:
    return "not known" if number is None else f"{number / 2**20:.1f} MiB"


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
        panels[_place(point), point.one.data].append(point)
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
