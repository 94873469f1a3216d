"""Second order against cheaper meta-gradients, at equal episodes and at equal wall time: score, seconds, memory.

Finn et al., MAML, ICML 2017 (second and first order); Antoniou et al., MAML++, ICLR 2019 (annealed: first, then
second); Raghu et al., ANIL, ICLR 2020; Li et al., Meta-SGD, 2017, and a learned rate per layer and step; Nichol et al.,
Reptile, 2018; Triantafillou et al., ProtoMAML, ICLR 2020; Bertinetto et al., R2-D2, ICLR 2019.

At equal wall time, each is trained anew for as many episodes as fit into second order's time. How long an episode of a
variant takes is measured apart from the runs, in turn with the others (equal_time), without compilation and validation.
"""

import dataclasses
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from metaser_jax.datasets.targets import ON_DISK, Corpora
from metaser_jax.errors import InputError
from metaser_jax.report.content import Content, run_section
from metaser_jax.report.page import write_page
from metaser_jax.results.run_dir import claim
from metaser_jax.results.scored import Scored
from metaser_jax.results.series import Series
from metaser_jax.specs import MetaTrainSpec
from metaser_jax.specs.algorithms import ALGORITHMS
from metaser_jax.specs.studies import OrderConfig, OrderSpec
from metaser_jax.studies import equal_time, order_report, writing
from metaser_jax.studies.cells import Run, run_cells
from metaser_jax.studies.entry import study_of
from metaser_jax.studies.methods import algorithm_changes, meta_run, meta_spec
from metaser_jax.studies.numbers import Line, comparisons_of, lines_of
from metaser_jax.studies.plan import Place, cell, places, require_prepared
from metaser_jax.studies.study import Study
from metaser_jax.training.cost import Cost, read_cost

NAME = "ablation_order"
Runs = dict[str, tuple[Run, ...]]
"""variant -> its pre-training runs, one per seed."""


def run_ablation_order(
    config: OrderConfig,
    command: str,
    log: Callable[[str], None] = print,
    *,
    corpora: Corpora = ON_DISK,
    cost_of_run: Callable[[Path, Sequence[int]], Cost] = read_cost,
    time_run: Callable[[MetaTrainSpec], float] | None = None,
) -> Path:
    """Compute what is missing and write ablation_order.{json,csv,png,svg,pdf}, equal_time.json and the report.

    Args:
      command: what the user ran, for the report.
      log: prints a line.
      corpora: where prepared corpora come from.
      cost_of_run: as read_cost.
      time_run: seconds per episode of a run; by default it is trained for that.

    Returns:
      Path of report.html.

    Raises:
      InputError: a source is not prepared, or no target is; config.out holds another study; what the runs raise.
    """
    study = study_of(config, OrderSpec, corpora)
    spec, out = study.spec, study.out
    require_prepared(study, spec.sources)
    both = sorted({*spec.sources} & {*spec.targets})
    if both:
        raise InputError(f"--targets: got {', '.join(both)}, which is among --sources, expected other corpora.")
    at, left = places(study, spec.targets)
    claim(out, dataclasses.asdict(config), free=writing.FREE)

    same = meta_spec(study, spec.sources, 0).episodes
    equal = {variant: _runs(study, variant, same) for variant in spec.variants}
    log(f"At equal episodes, {same}:")
    done = {"episodes": _run(study, at, equal, "", log)}

    def costs_of(runs: Runs) -> dict[str, Cost]:
        return {
            variant: mean_cost([cost_of_run(study.runs / run.key, phases(run.spec)) for run in of])
            for variant, of in runs.items()
        }

    costs = costs_of(equal)
    log(f"Timing an episode of each variant, in turn, {equal_time.ROUNDS} rounds:")
    measured = equal_time.measure(
        out,
        lambda variant, episodes: _run_of(study, variant, episodes, 0).spec,
        {variant: cost.seconds for variant, cost in costs.items()},
        time_run or equal_time.timing(study, phases),
    )
    costs = _timed(costs, measured)
    timed = {v: _runs(study, v, fitting(costs["second"], costs[v])) for v in costs}
    log(f"At equal wall time, {costs['second'].seconds * same:.0f} s of second order:")
    others = {variant: runs for variant, runs in timed.items() if variant != "second"}
    done["time"] = {"second": done["episodes"]["second"]} | _run(study, at, others, equal_time.MARK, log)

    lines, compared = [], []
    for budget, budget_costs in (("episodes", costs), ("time", _timed(costs_of(timed), measured))):
        scored = [run for of_variant in done[budget].values() for run in of_variant]
        lines += [_with_cost(line, budget, budget_costs, measured) for line in lines_of(scored, spec)]
        compared += [line | {"budget": budget} for line in comparisons_of(scored, spec, _is_second)]
    content = {"command": command, "config": dataclasses.asdict(config), "lines": lines, "comparisons": compared}
    writing.write_json(out / f"{NAME}.json", content | {"left_out": [one._asdict() for one in left]})
    writing.write_csv(out / f"{NAME}.csv", lines)
    rows = [run.row for of_variant in done["episodes"].values() for run in of_variant]
    trained = [run.spec for runs in equal.values() for run in runs]
    sections = (*order_report.sections(study, trained, lines, compared, rows, left, measured), run_section(command))
    title = f"{order_report.TITLE}, from {' + '.join(spec.sources)} to {' and '.join(spec.targets)}"
    return write_page(out, Content(title, order_report.intro(study, same), sections))


def fitting(second: Cost, variant: Cost) -> int:
    """Return how many episodes of a variant take as long as all of second order's, at least one."""
    return max(1, int(second.seconds * second.episodes / variant.seconds))


def _timed(costs: Mapping[str, Cost], measured: equal_time.Timed | None) -> dict[str, Cost]:
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


def _runs(study: Study[OrderSpec], variant: str, episodes: int) -> tuple[Run, ...]:
    return tuple(_run_of(study, variant, episodes, seed) for seed in range(study.spec.pretrain_seeds))


def _run_of(study: Study[OrderSpec], variant: str, episodes: int, seed: int) -> Run:
    sources = study.spec.sources
    plain = meta_spec(study, sources, seed)
    of_maml = variant not in ALGORITHMS
    changes = algorithm_changes(plain, *(("maml", variant) if of_maml else (variant,)))
    changes |= {"episodes": episodes, "anneal_episodes": 0}
    if variant == "annealed":
        changes["anneal_episodes"] = max(1, round(study.spec.anneal_share * episodes))
    mine = meta_spec(study, sources, seed, **changes)
    kind = f"{variant} {episodes}"
    # Where the study's own settings are this variant, the run is the one that the other studies start from.
    return meta_run(study, mine, kind) if mine == plain else meta_run(study, mine, kind, variant)


def _run(
    study: Study[OrderSpec], at: list[Place], variants: Runs, mark: str, log: Callable[[str], None]
) -> dict[str, list[Scored]]:
    """Train and adapts each variant; its adaptations at all places."""
    cells, owner = [], []
    for variant, runs in variants.items():
        for place in at:
            cells.append(cell(study, place, "-".join(filter(None, (variant, mark))), None, study.spec.sources, runs))
            owner.append(variant)
    finished = run_cells(study.out, cells, log)
    return {v: [run for o, one in zip(owner, finished, strict=True) if o == v for run in one.runs] for v in variants}


def _is_second(key: Series) -> bool:
    return (key.algorithm, key.order) == ("maml", "second")


def _with_cost(line: Line, budget: str, costs: Mapping[str, Cost], measured: equal_time.Timed | None) -> Line:
    variant = line["order"] if line["algorithm"] == "maml" else line["algorithm"]
    cost, ratios = costs[variant], measured.ratios(variant) if measured else None
    return (
        {"variant": variant, "budget": budget}
        | line
        | {
            "episodes": cost.episodes,
            "seconds_per_episode": cost.seconds,
            "of_second_order": ratios and statistics.median(ratios),
            "of_second_order_range": ratios and [min(ratios), max(ratios)],
            "training_seconds": cost.seconds * cost.episodes,
            "compile_seconds": cost.compile_seconds,
            "temp_bytes": cost.temp_bytes,
            "device": line["device"] or cost.device,
        }
    )
