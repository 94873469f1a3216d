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

import dataclasses
import json
import math
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from metaser_jax.datasets.targets import ON_DISK, Corpora
from metaser_jax.errors import InputError
from metaser_jax.messages import log
from metaser_jax.results.rows import Series
from metaser_jax.results.run_dir import write_text
from metaser_jax.specs import MetaTrainSpec
from metaser_jax.specs.algorithms import ALGORITHMS
from metaser_jax.specs.studies import OrderConfig
from metaser_jax.studies import order_report
from metaser_jax.studies.cells import CELLS, Cell, Run
from metaser_jax.studies.driver import compute, lines_of, write
from metaser_jax.studies.places import Place, cell, places, require_prepared
from metaser_jax.studies.study import Study, algorithm_changes, meta_run, meta_spec, open_study
from metaser_jax.training.cost import Cost, read_cost
from metaser_jax.training.meta_train import run_meta_training

NAME = "ablation_order"
Runs = dict[str, tuple[Run, ...]]
"""variant -> its pre-training runs, one per seed."""
ROUNDS = 5
# Of a variant in a round, as well as is known before, and at least so many intervals.
SECONDS, INTERVALS = 4.0, 3
KEPT = "equal_time.json"
SECOND = "second"
# The cells of equal time have this in their names.
MARK = "equal-time"


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
    require_prepared(study, spec.sources)
    both = sorted({*spec.sources} & {*spec.targets})
    if both:
        raise InputError(f"--targets: got {', '.join(both)}, which is among --sources, expected other corpora.")
    at = places(study, spec.targets)

    def costs_of(runs: Runs) -> dict[str, Cost]:
        return {
            variant: mean_cost([cost_of_run(study.runs / run.key, phases(run.spec)) for run in of])
            for variant, of in runs.items()
        }

    same = meta_spec(study, spec.sources, 0).episodes
    equal = {variant: _runs(study, variant, same) for variant in spec.variants}
    log(f"At equal episodes, {same}:")
    found = {"episodes": compute(study, _cells(study, at, equal), _is_second)}
    costs = costs_of(equal)
    log(f"Timing an episode of each variant, in turn, {ROUNDS} rounds:")
    measured = measure(
        study.out,
        lambda variant, episodes: _run_of(study, variant, episodes, 0).spec,
        {variant: cost.seconds for variant, cost in costs.items()},
        time_run or timing(study, phases),
    )
    costs = _timed(costs, measured)
    timed = {v: _runs(study, v, fitting(costs["second"], costs[v])) for v in costs}
    log(f"At equal wall time, {costs['second'].seconds * same:.0f} s of second order:")
    others = {variant: runs for variant, runs in timed.items() if variant != "second"}
    second = _cells(study, at, {"second": equal["second"]})
    found["time"] = compute(study, [*second, *_cells(study, at, others, MARK)], _is_second)

    of_budget = {"episodes": costs, "time": _timed(costs_of(timed), measured)}
    measures = {
        (budget, variant): _cost_fields(variant, cost, measured)
        for budget, of in of_budget.items()
        for variant, cost in of.items()
    }
    lines, compared = [], []
    for budget, of in found.items():
        of_summaries, of_comparisons = lines_of(study, of)
        for one, line in zip(of.summaries, of_summaries, strict=True):
            variant = order_report.variant_of(one)
            more = measures[budget, variant]
            device = line["device"] or of_budget[budget][variant].device
            lines.append({"variant": variant, "budget": budget} | line | more | {"device": device})
        compared += [line | {"budget": budget} for line in of_comparisons]
    return write(
        study,
        NAME,
        f"{order_report.TITLE}, from {' + '.join(spec.sources)} to {' and '.join(spec.targets)}",
        order_report.intro(study, same),
        order_report.sections_of(study, found, measures, measured),
        {"lines": lines, "comparisons": compared},
        lines,
    )


def fitting(second: Cost, variant: Cost) -> int:
    """Return how many episodes of a variant take as long as all of second order's, at least one."""
    return max(1, int(second.seconds * second.episodes / variant.seconds))


def _timed(costs: Mapping[str, Cost], measured: Timed | None) -> dict[str, Cost]:
    """Return the costs with the seconds per episode that were measured apart, where they were."""
    if measured is None:
        return dict(costs)
    return {variant: cost._replace(seconds=measured.seconds(variant)) for variant, cost in costs.items()}


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


def _runs(study: Study[OrderConfig], variant: str, episodes: int) -> tuple[Run, ...]:
    return tuple(_run_of(study, variant, episodes, seed) for seed in range(study.spec.pretrain_seeds))


def _run_of(study: Study[OrderConfig], variant: str, episodes: int, seed: int) -> Run:
    sources = study.spec.sources
    plain = meta_spec(study, sources, seed)
    of_maml = variant not in ALGORITHMS
    changes = algorithm_changes(plain, *(("maml", variant) if of_maml else (variant,)))
    changes |= {"episodes": episodes, "anneal_episodes": 0}
    if variant == "annealed":
        changes["anneal_episodes"] = max(1, round(study.spec.anneal_share * episodes))
    mine = meta_spec(study, sources, seed, **changes)
    # Where the study's own settings are this variant, the run is the one that the other studies start from.
    return meta_run(study, mine) if mine == plain else meta_run(study, mine, variant)


def _cells(study: Study[OrderConfig], at: Sequence[Place], variants: Runs, mark: str = "") -> list[Cell]:
    """Return each variant at each place; mark: of the cells' names."""
    return [
        cell(study, place, "-".join(filter(None, (variant, mark))), None, study.spec.sources, runs)
        for variant, runs in variants.items()
        for place in at
    ]


def _is_second(key: Series) -> bool:
    return (key.algorithm, key.order) == ("maml", "second")


def _cost_fields(variant: str, cost: Cost, measured: Timed | None) -> dict[str, Any]:
    ratios = measured.ratios(variant) if measured else None
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
    """Return what was measured, which the study keeps; None of a study from before, whose runs' seconds decided.

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
    """Return what trains a run in a folder that is gone afterwards, and returns the seconds of its episodes."""

    def time_run(spec: MetaTrainSpec) -> float:
        with tempfile.TemporaryDirectory(prefix="metaser_jax_timed_") as folder:
            # From random parameters: where it starts changes no time.
            run_meta_training(
                spec, study.data_dir, f"{folder}/run", log=lambda _: None, load=study.corpora.load, init=""
            )
            return read_cost(f"{folder}/run", phases(spec)).seconds

    return time_run
