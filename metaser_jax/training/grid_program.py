"""The compiled program of many meta-trainings: those that differ in numbers alone, which the program is given.

A run's seed, --meta_lr, --inner_lr and --weight_decay are arguments. The runs are divided among the devices, and,
where these are more than the runs, a run's tasks as well. On a CPU a device goes through its runs one after another,
elsewhere through all of them at once. On one CPU device each is bit for bit what metaser meta-train --devices=1 makes
of it; XLA rounds programs of several devices otherwise, as metaser meta-train's own.
"""

import dataclasses
import math
import os
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from metaser_jax.devices import parallel
from metaser_jax.devices.compiling import compile_all
from metaser_jax.devices.many_runs import on_one_device
from metaser_jax.errors import InputError
from metaser_jax.loops.meta_training import IntervalInfo, TrainState, run_interval, validation_loss
from metaser_jax.meta.learner import Learner, MetaParams
from metaser_jax.models.classifier import make_network, trained_logits
from metaser_jax.models.losses import cross_entropy
from metaser_jax.sampling import episodes
from metaser_jax.sampling.bank import Bank
from metaser_jax.specs import MetaTrainSpec
from metaser_jax.training.checkpoints import to_host
from metaser_jax.training.meta_train import VALIDATION_TASKS, episode_shape, validation_shape
from metaser_jax.training.optimizers import build_optimizer
from metaser_jax.training.trainer import make_learner, run_keys
from metaser_jax.types import Episode, Params

# What runs of one program may differ in, and a value that stands for all.
_TRACED = {"seed": 0, "meta_lr": 1.0, "inner_lr": 1.0}


class Numbers(NamedTuple):
    """What a run's program is given besides its state.

    Attributes:
      meta_lr, inner_lr, weight_decay: scalars.
      key_valid: data of the key of its validation episode.
    """

    meta_lr: jax.Array
    inner_lr: jax.Array
    weight_decay: jax.Array
    key_valid: jax.Array


class SweepProgram(NamedTuple):
    """The compiled functions of some runs; all arrays are [run, ...], on every device, PRNG keys as their data.

    Attributes:
      interval: (state, n [run]) -> (state, info): n episodes of each run, 0 for one that has nothing to do.
      validate: state -> losses [run].
      compiled: what interval calls.
      seconds: of compilation.
      device: the devices, for people.
      states: what it was compiled for, on the devices.
    """

    interval: Callable[[TrainState, np.ndarray], tuple[TrainState, IntervalInfo]]
    validate: Callable[[TrainState], jax.Array]
    compiled: jax.stages.Compiled
    seconds: float
    device: str
    states: TrainState


def program_of(spec: MetaTrainSpec) -> MetaTrainSpec:
    """Return what runs that share a program have in common: the configuration without what the program is given."""
    decay = float(spec.weight_decay > 0)
    return dataclasses.replace(spec, **_TRACED, weight_decay=decay)


def stack(of_runs: Sequence[Any], mesh: Mesh) -> Any:
    """Return what runs have, on the host, as the program takes it.

    [run, ...], copies of the last filling the devices.
    """
    padded = [to_host(one) for one in of_runs]
    padded += padded[-1:] * (-len(padded) % mesh.shape[parallel.RUNS])
    return jax.tree.map(lambda *leaves: np.stack(leaves), *padded)


def state_of(states: TrainState, run: int) -> TrainState:
    """Return a run's state, with a PRNG key, of those on the host."""
    state = jax.tree.map(lambda leaf: leaf[run], states)
    return state._replace(key=jax.random.wrap_key_data(state.key))


def compile_sweep(
    specs: Sequence[MetaTrainSpec],
    states: Sequence[TrainState],
    sources: Bank,
    held_out: Bank,
    at_once: int = 0,
) -> SweepProgram:
    """Compile the program of runs that share one.

    Args:
      specs: of the runs, equal but for what program_of leaves out.
      states: of each, on the host.
      sources, held_out: the training and validation parts.
      at_once: runs that a device computes at once; 0 takes 1 on a CPU, and elsewhere all of its runs.

    Raises:
      InputError: it takes more memory than there is, or more devices.
    """
    mesh = parallel.run_mesh(len(specs), specs[0].tasks_per_episode, specs[0].devices)
    begin, numbers = stack(states, mesh), stack([_numbers(spec) for spec in specs], mesh)
    none = np.zeros(len(begin.episode), np.int32)
    begin, numbers, none, sources, held_out = parallel.replicate((begin, numbers, none, sources, held_out), mesh)
    at_once = at_once or (1 if mesh.devices.flat[0].platform == "cpu" else len(none) // mesh.shape[parallel.RUNS])
    interval, validate = (
        jax.jit(
            parallel.divide_runs(on_one_device(function, at_once), mesh),
            compiler_options=parallel.compiler_options(),
            out_shardings=parallel.everywhere(mesh),
        )
        for function in _functions(specs[0], held_out, mesh)
    )
    start = time.perf_counter()
    validate, interval = compile_all(
        [(validate, ((begin.meta_params, numbers), sources, held_out)), (interval, ((begin, none, numbers), sources))]
    )
    seconds = time.perf_counter() - start
    _check_memory(interval, len(specs), mesh)
    return SweepProgram(
        lambda states, n: interval((states, parallel.replicate(n, mesh), numbers), sources),
        lambda states: validate((states.meta_params, numbers), sources, held_out),
        interval,
        seconds,
        parallel.describe(mesh),
        begin,
    )


def _functions(spec: MetaTrainSpec, held_out: Bank, mesh: Mesh) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return one run's interval and validation, on each of the devices that share its tasks.

    As metaser meta-train has them.
    """
    loss_fn = cross_entropy(trained_logits(make_network(spec, spec.recurrence)))
    devices = mesh.shape[parallel.AXIS]
    shape = episode_shape(spec, devices)
    valid_shape = {"tasks": math.ceil(VALIDATION_TASKS / devices), **validation_shape(spec, held_out)}

    def sample(key: jax.Array, sources: Bank, *, tasks: int, **shape: Any) -> Episode:
        first = jax.lax.axis_index(parallel.AXIS) * tasks
        return episodes.sample(key, sources, tasks=tasks, **shape, first=first)

    def query_loss(params: Params, episode: Episode) -> jax.Array:
        return jax.lax.pmean(jnp.mean(jax.vmap(loss_fn, (None, 0))(params, episode.query)), parallel.AXIS)

    def interval(run: tuple[TrainState, jax.Array, Numbers], sources: Bank) -> tuple[TrainState, IntervalInfo]:
        state, n, numbers = run
        rate = optax.constant_schedule(numbers.meta_lr)
        if spec.meta_schedule == "cosine":
            rate = lambda step: numbers.meta_lr * optax.cosine_decay_schedule(1.0, spec.episodes)(step)  # noqa: E731
        learner = _on_axis(make_learner(spec, loss_fn, numbers.inner_lr))
        state, info = run_interval(
            learner,
            query_loss,
            build_optimizer(spec.meta_optimizer, rate, numbers.weight_decay, learner.params),
            lambda key: sample(key, sources, **shape),
            state._replace(key=jax.random.wrap_key_data(state.key)),
            n,
            skip_nonfinite=spec.skip_nonfinite,
        )
        return state._replace(key=jax.random.key_data(state.key)), info

    def validate(run: tuple[MetaParams, Numbers], sources: Bank, held_out: Bank) -> jax.Array:
        meta_params, numbers = run
        key = jax.random.wrap_key_data(numbers.key_valid)
        episode = sample(key, sources, **valid_shape, query_bank=held_out)
        losses = validation_loss(make_learner(spec, loss_fn, numbers.inner_lr), loss_fn, meta_params, episode)
        return jnp.mean(jax.lax.all_gather(losses, parallel.AXIS, tiled=True)[:VALIDATION_TASKS])

    return interval, validate


def _on_axis(learner: Learner) -> Learner:
    """Return the learner of the tasks of all devices of AXIS, each of which has its own."""

    def value_and_grad(meta_params: MetaParams, episode: Episode, step: jax.Array | int = 0):
        loss, grads, info = learner.value_and_grad(meta_params, episode, step)
        loss, grads = jax.lax.pmean((loss, grads), parallel.AXIS)
        return loss, grads, jax.lax.all_gather(info, parallel.AXIS, tiled=True)

    return learner._replace(value_and_grad=value_and_grad)


def _numbers(spec: MetaTrainSpec) -> Numbers:
    rates = (np.asarray(rate, spec.dtype) for rate in (spec.meta_lr, spec.inner_lr, spec.weight_decay))
    return Numbers(*rates, key_valid=np.asarray(jax.random.key_data(run_keys(spec)[2])))


def _check_memory(program: jax.stages.Compiled, runs: int, mesh: Mesh) -> None:
    analysis, device = program.memory_analysis(), mesh.devices.flat[0]
    if analysis is None:
        return
    need = analysis.argument_size_in_bytes + analysis.output_size_in_bytes + analysis.temp_size_in_bytes
    have = (device.memory_stats() or {}).get("bytes_limit")
    if device.platform == "cpu":
        need, have = need * mesh.size, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if have is not None and need > have:
        where = "the host" if device.platform == "cpu" else "a device"
        raise InputError(
            f"--grid, --seeds: {runs} runs in one program need {need:,} bytes, and {where} has {have:,}. Sweep over "
            "fewer at a time, with the same --runs and another --out for the others."
        )
