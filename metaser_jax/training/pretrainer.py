"""A pre-training configuration's stages, learner, optimizer and initial state, and its compiled program."""

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from metaser_jax.devices import parallel
from metaser_jax.devices.compiling import compile_all, waiting
from metaser_jax.loops.pretraining import EpochInfo, PretrainState, init_state, next_stage, run_epochs, validation_loss
from metaser_jax.meta.execution import Execution
from metaser_jax.meta.supervised import supervised
from metaser_jax.models.classifier import make_network, trained_logits
from metaser_jax.models.losses import cross_entropy
from metaser_jax.sampling import minibatches as batches
from metaser_jax.sampling.bank import Bank
from metaser_jax.sampling.minibatches import Whole
from metaser_jax.sampling.task_rules import dropped
from metaser_jax.specs import PretrainSpec
from metaser_jax.training.optimizers import learning_rate, make_optimizer
from metaser_jax.training.trainer import initial_state, no_utterances
from metaser_jax.types import Augment, Params

# The sources of each stage.
_STAGES = {
    "transser": lambda number: [[source] for source in range(number)],
    "multiser": lambda number: [list(range(number))],
}
# What a program does not depend on: runs that differ in these alone share one.
_NOT_COMPILED = {"sources": ("",), "method": "multiser", "seed": 0, "split_seed": 0}
_NOT_COMPILED |= {"log_every": 1, "checkpoint_every": 1, "max_epochs": 1, "patience": 1}


def stages(spec: PretrainSpec) -> list[list[int]]:
    """Return the sources of each stage, in turn, by their number in spec.sources."""
    return _STAGES[spec.method](len(spec.sources))


def make_state(spec: PretrainSpec, x: jax.Array) -> PretrainState:
    """Return the initial state, with the parameters of a meta-training run with the same seed, network and sources.

    Args:
      x: see init_params.
    """

    def begin(params: Params, _: jax.Array) -> PretrainState:
        return init_state(supervised(lambda params, batch: jnp.float32(0)), params, make_optimizer(spec))

    model = make_network(spec, spec.recurrence)
    return initial_state(begin, model, _keys(spec), x)


def mesh_of(spec: PretrainSpec) -> Mesh:
    """Return the devices that share a minibatch, each with a task of its own."""
    return parallel.task_mesh(spec.batch_size // 2, spec.devices)


class Program(NamedTuple):
    """A run's compiled functions.

    Attributes:
      epochs: (state, n) -> (state, EpochInfo, learning rate of the last step), at most n epochs of the state's stage.
      next_stage: state -> state.
    """

    epochs: Callable[[PretrainState, int], tuple[PretrainState, EpochInfo, jax.Array]]
    next_stage: Callable[[PretrainState], PretrainState]


def compile_program(
    spec: PretrainSpec, train: Bank, valid: Bank, log: Callable[[str], None], augment: Augment | None = None
) -> Program:
    """Compile once for all stages, and for all runs with the same settings and sizes; put the data on the devices.

    Args:
      train, valid: the sources' training and validation parts.
      augment: see run_epochs.
    """
    mesh = mesh_of(spec)
    chunk = _execution(spec).on(mesh.devices.flat[0].platform).chunk or 0
    data = parallel.replicate((train, batches.whole(valid, parts=mesh.size, chunk=chunk)), mesh)
    log(waiting(parallel.describe(mesh), f"at most {len(stages(spec)) * spec.max_epochs} epochs of training"))
    start = time.perf_counter()
    shapes = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=a.sharding), data)
    epochs, following = _compiled(dataclasses.replace(spec, **_NOT_COMPILED), shapes, mesh, augment)
    log(f"Compiled in {time.perf_counter() - start:.1f} s for {parallel.describe(mesh)}.")
    key = parallel.replicate(_keys(spec)[1], mesh)
    arguments = []
    for sources in stages(spec):
        padded = np.resize(np.asarray(sources, np.int32), len(spec.sources))
        steps = batches.epoch_steps(train, sources, spec.batch_size)
        limits = {"steps": steps, "max_epochs": spec.max_epochs, "patience": spec.patience}
        stage = (padded, np.int32(len(sources)), {name: np.int32(value) for name, value in limits.items()})
        arguments.append(parallel.replicate(stage, mesh))

    def run(state: PretrainState, n: int):
        return epochs(key, state, parallel.replicate(np.int32(n), mesh), *arguments[int(state.stage)], data)

    return Program(run, following)


@functools.cache
def _compiled(spec: PretrainSpec, data: tuple[Bank, Whole], mesh: Mesh, augment: Augment | None):
    everywhere = parallel.everywhere(mesh)

    def abstract(tree):
        return jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=everywhere), tree)

    logits = trained_logits(make_network(spec, spec.recurrence))
    loss_fn, smoothed = cross_entropy(logits), cross_entropy(logits, spec.label_smoothing)
    learner = parallel.shard_over_devices(supervised(smoothed, execution=_execution(spec)), mesh)
    augment = _with_dropout(spec, augment)
    optimizer = make_optimizer(spec)

    def epochs(key, state, n, sources, number, limits, data):
        train, valid = data

        def minibatch(key, step):
            shape = {"batch_size": spec.batch_size, "tasks": mesh.size}
            return batches.round_robin(key, train, sources, number, step, **shape)

        def validate(params):
            def of_parts(parts, params, sources, number):
                part = jax.tree.map(lambda a: a[0], parts)
                return mesh.size * validation_loss(loss_fn, params, part, sources, number), ()

            return parallel.mean_over_devices(of_parts, mesh)(valid, params, sources, number)[0]

        state, info = run_epochs(learner, optimizer, minibatch, validate, key, state, n, **limits, augment=augment)
        return state, info, jnp.float32(learning_rate(spec)(state.epoch * limits["steps"] - 1))

    state, key = abstract(jax.eval_shape(lambda: (make_state(spec, no_utterances(spec)), _keys(spec)[1])))
    scalar = abstract(jnp.int32(0))
    sources = abstract(np.zeros(data[0].table.shape[0], np.int32))
    limits = dict.fromkeys(("steps", "max_epochs", "patience"), scalar)
    options = {"compiler_options": parallel.compiler_options(), "out_shardings": everywhere}
    following, whole = compile_all(
        [
            (jax.jit(lambda state: next_stage(state, optimizer), **options), (state,)),
            (jax.jit(epochs, **options), (key, state, scalar, sources, scalar, limits, data)),
        ]
    )
    return whole, following


def _with_dropout(spec: PretrainSpec, augment: Augment | None) -> Augment | None:
    """Return an augmentation that leaves coefficients out after it."""
    if not spec.feature_dropout:
        return augment

    def drop(key: jax.Array, x: jax.Array) -> jax.Array:
        if augment is not None:
            x = augment(jax.random.fold_in(key, 1), x)
        return dropped(key, x, spec.feature_dropout)

    return drop


def _execution(spec: PretrainSpec) -> Execution:
    return Execution(chunk=None if spec.chunk < 0 else spec.chunk)


def _keys(spec: PretrainSpec) -> jax.Array:
    """Return a run's keys: of its initial parameters (as meta-training's), of its minibatches."""
    return jax.random.split(jax.random.key(spec.seed), 3)[:2]
