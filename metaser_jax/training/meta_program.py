"""The compiled program of a grid of meta-trainings: those that differ in numbers alone, which the program is given.

A run's seed, --meta_lr, --inner_lr and --weight_decay are arguments. The runs are divided among the devices, and,
where these are more than the runs, a run's tasks as well. On a CPU a device goes through its runs one after another,
elsewhere through all of them at once. On one CPU device each is bit for bit what it is alone; XLA rounds programs of
several devices otherwise.
"""

import dataclasses
import math
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from metaser_jax.data.target import Target
from metaser_jax.errors import InputError
from metaser_jax.messages import log
from metaser_jax.meta.learner import MetaParams
from metaser_jax.models.classifier import make_network, trained_logits
from metaser_jax.models.losses import cross_entropy
from metaser_jax.specs import MetaTrainSpec
from metaser_jax.training import parallel
from metaser_jax.training.checkpoints import to_host
from metaser_jax.training.cost import measured_of
from metaser_jax.training.loops import meta_training
from metaser_jax.training.loops.meta_training import MOST_SKIPPED, IntervalInfo, TrainState
from metaser_jax.training.run import Program
from metaser_jax.training.sampling import bank, episodes
from metaser_jax.training.sampling.bank import Bank
from metaser_jax.training.sampling.episodes import TaskRule
from metaser_jax.training.trainer import build_optimizer, make_learner, run_keys
from metaser_jax.types import Params

# Tasks of the fixed episode whose query loss after adaptation chooses the checkpoint.
VALIDATION_TASKS = 16
# Of a run's validation tasks, computed at once elsewhere than on a CPU.
_TASKS_AT_ONCE = 8
# What runs of one program may differ in, and a value that stands for all.
_TRACED = {"seed": 0, "meta_lr": 1.0, "inner_lr": 1.0}


def program_of(spec: MetaTrainSpec) -> MetaTrainSpec:
    """Return the configuration that runs of one program share, without what is an argument of the program."""
    decay = float(spec.weight_decay > 0)
    return dataclasses.replace(spec, **_TRACED, weight_decay=decay)


def banks(spec: MetaTrainSpec, ready: Sequence[Target]) -> tuple[Bank, Bank]:
    """Return the sources' training and validation parts, which know what the tasks ask for."""

    def build(part: str, least: int) -> Bank:
        corpora = [r.corpus.take(getattr(r.split, part)) for r in ready]
        built = bank.build(corpora, pool=spec.pool_sources)
        if spec.tasks_by == "speaker" or spec.query_speakers == "others":
            built = bank.with_speakers(built, corpora, speakers_of(ready), least=least)
        if task_rule(spec).corpus_shift:
            built = built._replace(directions=jnp.asarray(bank.directions(corpora), spec.dtype))
        return built._replace(x=built.x.astype(spec.dtype))

    return build("train", spec.shots + 1 if spec.tasks_by == "speaker" else 0), build("valid", 0)


def speakers_of(ready: Sequence[Target]) -> list[np.ndarray]:
    """Return the names of each source's speakers, sorted."""
    return [np.unique(r.corpus.speaker) for r in ready]


def task_rule(spec: MetaTrainSpec) -> TaskRule:
    """Return the rule by which a specification's tasks are made."""
    # Of one source, or of all pooled, there is no corpus from which another differs.
    differ = len(spec.sources) > 1 and not spec.pool_sources
    return TaskRule(
        one_speaker=spec.tasks_by == "speaker",
        other_speakers=spec.query_speakers == "others",
        shots_mix=spec.shots_drawn,
        class_shift=spec.class_shift,
        corpus_shift=spec.corpus_shift if differ else 0.0,
        dropout=spec.feature_dropout,
        noise=spec.feature_noise,
    )


def episode_shape(spec: MetaTrainSpec, devices: int = 1) -> dict[str, Any]:
    """Return the shape of an episode, or of the part of it that is one of so many devices', and how it is made."""
    shape = {"tasks": spec.tasks_per_episode // devices, "shots": spec.shots, "queries": spec.queries}
    return shape | {"rule": task_rule(spec)}


def validation_shape(spec: MetaTrainSpec, held_out: Bank) -> dict[str, Any]:
    """Return the shape of a validation task, whose queries are from the validation part, and how it is made."""
    # As many queries as its smallest class has; by speakers classes lack some in any case, which weigh nothing.
    most = held_out.count.min() if held_out.speakers is None else held_out.table.shape[2]
    rule = task_rule(spec)._replace(dropout=0.0, noise=0.0)
    return {"shots": spec.shots, "queries": min(spec.queries, int(most)), "rule": rule}


def numbers_of(spec: MetaTrainSpec) -> dict[str, np.ndarray]:
    """Return the arguments of a run's program besides its state, on the host; of its validation key the data."""
    rates = {name: np.asarray(getattr(spec, name), spec.dtype) for name in ("meta_lr", "inner_lr", "weight_decay")}
    return rates | {"key_valid": np.asarray(jax.random.key_data(run_keys(spec)[2]))}


def stack(of_runs: Sequence[Any], mesh: Mesh) -> Any:
    """Stack arrays of runs on the host, as the program takes them: [run, ...]; copies of the last fill the devices."""
    padded = [to_host(one) for one in of_runs]
    padded += padded[-1:] * (-len(padded) % mesh.shape[parallel.RUNS])
    return jax.tree.map(lambda *leaves: np.stack(leaves), *padded)


def make_functions(
    spec: MetaTrainSpec, valid_shape: dict[str, Any], mesh: Mesh, at_once: int = 1
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return the jitted functions of a grid of runs.

    Args:
      spec: what the runs have in common.
      valid_shape: of validation_shape.
      mesh: of parallel.run_mesh, or of devices that are not here, to compile for them.
      at_once: runs that a device computes at once.

    Returns:
      ((states, steps [run], numbers), sources) -> (states, info), an interval; ((meta_params, numbers), sources,
      held_out) -> losses [run], the validation.
    """
    loss_fn = cross_entropy(trained_logits(make_network(spec, spec.recurrence)))
    devices = mesh.shape[parallel.TASKS]
    shape = episode_shape(spec, devices)
    # As many on every device; those beyond VALIDATION_TASKS count for nothing.
    valid_shape = {"tasks": math.ceil(VALIDATION_TASKS / devices), **valid_shape}
    on_cpu = mesh.devices.flat[0].platform == "cpu"
    tasks_at_once = 1 if on_cpu else max(1, _TASKS_AT_ONCE // at_once)

    def sample(key: jax.Array, sources: Bank, **shape: Any) -> Any:
        """Return a device's own tasks of an episode."""
        return episodes.sample(key, sources, **shape, first=jax.lax.axis_index(parallel.TASKS) * shape["tasks"])

    def query_loss(params: Params, episode: Any) -> jax.Array:
        return jax.lax.pmean(jnp.mean(jax.vmap(loss_fn, (None, 0))(params, episode.query)), parallel.TASKS)

    def interval(
        run: tuple[TrainState, jax.Array, dict[str, jax.Array]], sources: Bank
    ) -> tuple[TrainState, IntervalInfo]:
        state, steps, numbers = run
        rate = optax.constant_schedule(numbers["meta_lr"])
        if spec.meta_schedule == "cosine":
            rate = lambda step: numbers["meta_lr"] * optax.cosine_decay_schedule(1.0, spec.episodes)(step)  # noqa: E731
        learner = parallel.over_tasks(make_learner(spec, loss_fn, numbers["inner_lr"]))
        state, info = meta_training.run_interval(
            learner,
            query_loss,
            build_optimizer(spec.meta_optimizer, rate, numbers["weight_decay"], learner.params),
            lambda key: sample(key, sources, **shape),
            state._replace(key=jax.random.wrap_key_data(state.key)),
            steps,
            skip_nonfinite=spec.skip_nonfinite,
        )
        return state._replace(key=jax.random.key_data(state.key)), info

    def validate(run: tuple[MetaParams, dict[str, jax.Array]], sources: Bank, held_out: Bank) -> jax.Array:
        meta_params, numbers = run
        key = jax.random.wrap_key_data(numbers["key_valid"])
        episode = sample(key, sources, **valid_shape, query_bank=held_out)
        learner = make_learner(spec, loss_fn, numbers["inner_lr"])
        losses = meta_training.validation_loss(learner, loss_fn, meta_params, episode, tasks_at_once)
        return jnp.mean(jax.lax.all_gather(losses, parallel.TASKS, tiled=True)[:VALIDATION_TASKS])

    options = {"compiler_options": parallel.compiler_options(), "out_shardings": parallel.everywhere(mesh)}
    return tuple(
        jax.jit(parallel.over_devices(parallel.some_at_once(function, at_once), mesh, parallel.RUNS), **options)
        for function in (interval, validate)
    )


def compile_program(
    specs: Sequence[MetaTrainSpec], states: Sequence[TrainState], ready: Sequence[Target], at_once: int = 0
) -> tuple[Program, dict[str, Any]]:
    """Compile the program of runs that share one, and put the data on the devices.

    Args:
      specs: of the runs, equal but for what program_of leaves out.
      states: of each, on the host.
      ready: their sources.
      at_once: runs that a device computes at once; 0 takes 1 on a CPU, and elsewhere all of its runs.

    Returns:
      The program, and what measured.json says of it.

    Raises:
      InputError: it takes more memory than there is, or more devices.
    """
    common = specs[0]
    mesh = parallel.run_mesh(len(specs), common.tasks_per_episode, common.devices)
    local_banks = banks(common, ready)
    begin, numbers = stack(states, mesh), stack([numbers_of(spec) for spec in specs], mesh)
    padded = len(begin.episode)
    begin, numbers, none, sources, held_out = parallel.replicate(
        (begin, numbers, np.zeros(padded, np.int32), *local_banks), mesh
    )
    on_cpu = mesh.devices.flat[0].platform == "cpu"
    at_once = at_once or (1 if on_cpu else padded // mesh.shape[parallel.RUNS])
    interval, validate = make_functions(common, validation_shape(common, local_banks[1]), mesh, at_once)
    device = parallel.describe(mesh)
    who = device if len(specs) == 1 else f"{len(specs)} runs on {device}"
    left = sum(spec.episodes - int(state.episode) for spec, state in zip(specs, states, strict=True))
    log(parallel.waiting(who, f"{left} episodes of training"))
    start = time.perf_counter()
    validate, interval = parallel.compile_all(
        [(validate, ((begin.meta_params, numbers), sources, held_out)), (interval, ((begin, none, numbers), sources))]
    )
    seconds = time.perf_counter() - start
    log(f"Compiled in {seconds:.1f} s for {who}.")
    if len(specs) > 1:
        check_memory(interval, len(specs), mesh)

    def plan(run: int, state: TrainState) -> tuple[int, int]:
        spec, done = specs[run], int(state.episode)
        return min(spec.log_every - done % spec.log_every, spec.episodes - done), spec.episodes - done

    def advance(states: TrainState, steps: Sequence[int]) -> tuple[TrainState, IntervalInfo]:
        n = np.zeros(padded, np.int32)
        n[: len(steps)] = steps
        return interval((states, parallel.replicate(n, mesh), numbers), sources)

    def report(run: int, state: TrainState, info: IntervalInfo, loss: float) -> tuple[dict[str, Any], bool]:
        check_finite(specs[run], local_banks[0], state, info, loss)
        return line_of(specs[run], state, info, loss), int(state.episode) % specs[run].checkpoint_every == 0

    def losses(states: TrainState, _: IntervalInfo) -> jax.Array:
        return validate((states.meta_params, numbers), sources, held_out)

    program = Program(advance, losses, plan, report, begin)
    return program, measured_of(interval, seconds, device) | {"runs": len(specs)}


def check_memory(program: jax.stages.Compiled, runs: int, mesh: Mesh) -> None:
    """Raise an InputError if a grid's program needs more memory than there is."""
    analysis, device = program.memory_analysis(), mesh.devices.flat[0]
    if analysis is None:
        return
    need = analysis.argument_size_in_bytes + analysis.output_size_in_bytes + analysis.temp_size_in_bytes
    where, have = "a device", (device.memory_stats() or {}).get("bytes_limit")
    if device.platform == "cpu":
        where, need = "the host", need * mesh.size
        have = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if have is not None and need > have:
        raise InputError(
            f"--grid, --seeds: {runs} runs in one program need {need:,} bytes, and {where} has {have:,}. Sweep over "
            "fewer at a time, with the same --runs and another --out for the others."
        )


def line_of(spec: MetaTrainSpec, state: TrainState, info: IntervalInfo, loss: float) -> dict[str, Any]:
    """Return a line of metrics.jsonl, but for the episodes per second."""
    # JSON has no NaN; with --skip_nonfinite the last episode may be one that was left out.
    values = {name: float(value) for name, value in info._asdict().items() if name != "finite"}
    line = {"episode": int(state.episode)} | {n: v if math.isfinite(v) else None for n, v in values.items()}
    return line | {"valid_query_loss": loss} | ({"skipped": int(state.skipped)} if spec.skip_nonfinite else {})


def check_finite(spec: MetaTrainSpec, sources: Bank, state: TrainState, info: IntervalInfo, loss: float) -> None:
    """Raise an InputError if a run cannot go on after an interval.

    Args:
      spec: what the run is.
      sources: the training part.
      state: after the interval, on the host.
      info: of the interval.
      loss: on validation.
    """
    after = int(state.episode)
    if not info.finite and not spec.skip_nonfinite:
        why = _not_finite(spec, sources, state)
        advice = "--skip_nonfinite leaves such updates out, and counts them."
        raise InputError(f"The update of episode {after + 1} is not finite: {why}. {advice}")
    if int(state.skipped_in_a_row) >= MOST_SKIPPED:
        why = _not_finite(spec, sources, state)
        raise InputError(f"No update of the last {MOST_SKIPPED} episodes up to {after} is finite. The next: {why}.")
    if not math.isfinite(loss):
        raise InputError(f"The validation loss is not finite after episode {after}: {loss}.")


def _not_finite(spec: MetaTrainSpec, sources: Bank, state: TrainState) -> str:
    """Name the tasks of the episode after a state whose loss is not finite."""
    key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.episode)
    episode = episodes.sample(key, sources, **episode_shape(spec))
    learner = make_learner(spec, cross_entropy(trained_logits(make_network(spec, spec.recurrence))))
    info = jax.jit(learner.value_and_grad)(state.meta_params, episode, state.episode)[2]
    corpora = episodes.corpora_of(key, sources, spec.tasks_per_episode)
    names = ["all sources pooled"] if spec.pool_sources else spec.sources
    bad = np.flatnonzero(~np.isfinite(np.asarray(info.support_loss + info.query_loss)))
    tasks = ", ".join(f"task {task} ({names[corpora[task]]})" for task in bad)
    return f"the loss of {tasks}" if tasks else "its gradient, although each task's loss is"
