"""Second order against cheaper meta-gradients, at equal episodes and at equal wall time: score, seconds, memory.

Finn et al., MAML, ICML 2017 (second and first order); Antoniou et al., MAML++, ICLR 2019 (annealed: first, then
second); Raghu et al., ANIL, ICLR 2020; Li et al., Meta-SGD, 2017, and a learned rate per layer and step; Nichol et al.,
Reptile, 2018.

At equal wall time, each is trained anew for as many episodes as fit into second order's time. Seconds per episode are
the median over a run's intervals, without compilation and validation.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from metaser_jax.config import MetaTrainConfig, OrderConfig
from metaser_jax.errors import InputError
from metaser_jax.report.content import Content, run_section
from metaser_jax.report.page import write_page
from metaser_jax.results.run_dir import claim
from metaser_jax.results.scored import Scored
from metaser_jax.results.series import Series
from metaser_jax.studies import order_report, writing
from metaser_jax.studies.cells import run_cells
from metaser_jax.studies.methods import meta_config, meta_run
from metaser_jax.studies.numbers import Line, comparisons_of, lines_of
from metaser_jax.studies.plan import Place, cell, places, require_prepared
from metaser_jax.training.cost import Cost, read_cost

NAME = "ablation_order"
BUDGETS = ("episodes", "time")
# What a variant changes of the preset.
_CHANGES: dict[str, dict[str, Any]] = {
    "second": {"algorithm": "maml", "order": "second"},
    "first": {"algorithm": "maml", "order": "first"},
    "annealed": {"algorithm": "maml", "order": "annealed"},
    "anil": {"algorithm": "anil", "order": "second"},
    "meta_sgd": {"algorithm": "meta_sgd", "order": "second"},
    "layer_rates": {"algorithm": "layer_rates", "order": "second"},
    "reptile": {"algorithm": "reptile", "multi_step_episodes": 0},
}
# Reptile learns from where several steps lead; with one it is joint training.
_REPTILE_STEPS = 5

Runs = dict[str, tuple[MetaTrainConfig, ...]]
"""variant -> its pre-training runs, one per seed."""


def run_ablation_order(config: OrderConfig, command: str, log: Callable[[str], None] = print) -> Path:
    """Computes what is missing and writes ablation_order.{json,csv,png,svg} and the report.

    Args:
      command: what the user ran, for the report.
      log: prints a line.

    Returns:
      Path of report.html.

    Raises:
      InputError: a source is not prepared, or no target is; config.out holds another study; what the runs raise.
    """
    require_prepared(config, config.sources)
    both = sorted({*config.sources} & {*config.targets})
    if both:
        raise InputError(f"--targets: got {', '.join(both)}, which is among --sources, expected other corpora.")
    at, left = places(config, config.targets)
    out = Path(config.out)
    claim(out, dataclasses.asdict(config), free=writing.FREE)

    same = _episodes(config)
    equal = {variant: _configs(config, variant, same) for variant in config.variants}
    log(f"At equal episodes, {same}:")
    done = {"episodes": _run(config, at, equal, "", log)}
    costs = {variant: cost_of(runs) for variant, runs in equal.items()}
    timed = {v: _configs(config, v, fitting(costs["second"], costs[v])) for v in costs}
    log(f"At equal wall time, {costs['second'].seconds * same:.0f} s of second order:")
    others = {variant: runs for variant, runs in timed.items() if variant != "second"}
    done["time"] = {"second": done["episodes"]["second"]} | _run(config, at, others, "equal-time", log)

    lines, compared = [], []
    for budget, runs in (("episodes", equal), ("time", timed)):
        scored = [run for of_variant in done[budget].values() for run in of_variant]
        lines += [_with_cost(line, budget, runs) for line in lines_of(scored, config)]
        compared += [line | {"budget": budget} for line in comparisons_of(scored, config, _is_second)]
    content = {"command": command, "config": dataclasses.asdict(config), "lines": lines, "comparisons": compared}
    writing.write_json(out / f"{NAME}.json", content | {"left_out": [one._asdict() for one in left]})
    writing.write_csv(out / f"{NAME}.csv", lines)
    rows = [run.row for of_variant in done["episodes"].values() for run in of_variant]
    sections = (*order_report.sections(config, out, lines, compared, rows, left), run_section(command))
    return write_page(out, Content(order_report.TITLE, order_report.intro(config, same), sections))


def fitting(second: Cost, variant: Cost) -> int:
    """Episodes of a variant that take as long as all of second order's, at least one."""
    return max(1, int(second.seconds * second.episodes / variant.seconds))


def cost_of(runs: tuple[MetaTrainConfig, ...]) -> Cost:
    """The cost of finished runs that differ in their seeds: mean seconds per episode, most memory.

    Compilation is that of the run that compiled: others found its program, as may a run of another study.
    """
    costs = [read_cost(run.run_dir, [run.anneal_episodes] if run.anneal_episodes else []) for run in runs]
    memory = [cost.temp_bytes for cost in costs]
    return costs[0]._replace(
        seconds=sum(cost.seconds for cost in costs) / len(costs),
        compile_seconds=max(cost.compile_seconds for cost in costs),
        temp_bytes=None if None in memory else max(memory),
    )


def _episodes(config: OrderConfig) -> int:
    return meta_config(config, config.sources, 0).episodes


def _configs(config: OrderConfig, variant: str, episodes: int) -> tuple[MetaTrainConfig, ...]:
    return tuple(_config(config, variant, episodes, seed) for seed in range(config.pretrain_seeds))


def _config(config: OrderConfig, variant: str, episodes: int, seed: int) -> MetaTrainConfig:
    plain = meta_config(config, config.sources, seed, episodes=episodes, anneal_episodes=0, order="second")
    changes = _CHANGES[variant] | {"episodes": episodes, "anneal_episodes": 0}
    if variant == "annealed":
        changes["anneal_episodes"] = max(1, round(config.anneal_share * episodes))
    if variant == "reptile":
        changes["inner_steps"] = max(_REPTILE_STEPS, plain.inner_steps)
    mine = meta_config(config, config.sources, seed, variant, **changes)
    preset = meta_config(config, config.sources, seed)
    # Where the preset is this variant, the run is the one that the other studies start from.
    return preset if dataclasses.replace(mine, run_dir=preset.run_dir) == preset else mine


def _run(
    config: OrderConfig, at: list[Place], variants: Runs, mark: str, log: Callable[[str], None]
) -> dict[str, list[Scored]]:
    """Trains and adapts each variant; its adaptations at all places."""
    cells, owner = [], []
    for variant, runs in variants.items():
        needed = tuple(meta_run(run, f"{variant} {run.episodes}") for run in runs)
        for place in at:
            cells.append(cell(config, place, "-".join(filter(None, (variant, mark))), None, config.sources, needed))
            owner.append(variant)
    finished = run_cells(Path(config.out), cells, log)
    return {v: [run for o, one in zip(owner, finished, strict=True) if o == v for run in one.runs] for v in variants}


def _is_second(key: Series) -> bool:
    return (key.method, key.order) == ("metaser", "second")


def _with_cost(line: Line, budget: str, runs: Runs) -> Line:
    variant = line["order"] if line["method"] == "metaser" else line["method"]
    cost = cost_of(runs[variant])
    return (
        {"variant": variant, "budget": budget}
        | line
        | {
            "episodes": cost.episodes,
            "seconds_per_episode": cost.seconds,
            "training_seconds": cost.seconds * cost.episodes,
            "compile_seconds": cost.compile_seconds,
            "temp_bytes": cost.temp_bytes,
            "device": cost.device,
        }
    )
