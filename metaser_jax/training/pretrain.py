"""Pre-training of TransSER and MultiSER on prepared source corpora: sources -> bank -> minibatches -> checkpoint."""

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from metaser_jax import cli
from metaser_jax.data.embeddings import with_embeddings
from metaser_jax.datasets.loading import load as load_corpus
from metaser_jax.datasets.targets import Load
from metaser_jax.errors import InputError
from metaser_jax.messages import log
from metaser_jax.meta.execution import Execution
from metaser_jax.meta.supervised import supervised
from metaser_jax.models.classifier import make_network, trained_logits
from metaser_jax.models.losses import cross_entropy
from metaser_jax.specs import JobSpec, MetaTrainSpec, ModelSpec, PretrainSpec, presets
from metaser_jax.specs.programs import PretrainConfig
from metaser_jax.training import cluster, parallel
from metaser_jax.training import run as training_run
from metaser_jax.training.checkpoints import to_host
from metaser_jax.training.loops import pretraining
from metaser_jax.training.loops.finetuning import stopped
from metaser_jax.training.loops.pretraining import EpochInfo, PretrainState
from metaser_jax.training.run import ALONE, OnInterval
from metaser_jax.training.sampling import bank, minibatches
from metaser_jax.training.sampling.bank import Bank
from metaser_jax.training.sampling.episodes import dropped
from metaser_jax.training.sampling.minibatches import Whole
from metaser_jax.training.trainer import initial_state, learning_rate, make_optimizer, no_utterances
from metaser_jax.types import Augment, Batch, Params

MULTISER = "multiser"
# What a program does not depend on: runs that differ in these alone share one.
_NOT_COMPILED = {"sources": ("",), "method": MULTISER, "seed": 0, "split_seed": 0}
_NOT_COMPILED |= {"log_every": 1, "checkpoint_every": 1, "max_epochs": 1, "patience": 1}


def pretrain(
    config: PretrainConfig,
    *,
    augment: Augment | None = None,
    load: Load = load_corpus,
    on_interval: OnInterval | None = None,
) -> Path:
    """Pre-train as a program's configuration says; arguments and errors as `run_pretraining`'s."""
    spec, job = PretrainSpec.of(config), JobSpec.of(config)
    load = with_embeddings(load, config.embeddings, spec)
    options = {"job": job, "augment": augment, "load": load, "on_interval": on_interval}
    return run_pretraining(spec, config.data_dir, config.run_dir, **options)


def trained_first(
    init: str, spec: MetaTrainSpec, data_dir: str, folder: str, job: JobSpec, load: Load = load_corpus
) -> str:
    """Return the folder of what a meta-training starts from; of init "multiser" the run is trained there first.

    Raises:
      InputError: as run_pretraining; "multiser" in a job of several processes.
    """
    if init != MULTISER:
        return init
    if job.cluster != "none" or job.coordinator_address:
        raise InputError(
            f"--init={MULTISER}: got a job of several processes, expected the --run_dir of {cli.program('pretrain')}."
        )
    values = presets.PRETRAIN["recommended"] | dataclasses.asdict(ModelSpec.of(spec))
    own = {name: getattr(spec, name) for name in ("sources", "seed", "split_seed", "learn_from")}
    run_pretraining(PretrainSpec(**{**values, **own, "method": MULTISER}), data_dir, folder, load=load)
    return folder


def run_pretraining(
    spec: PretrainSpec,
    data_dir: str,
    run_dir: str,
    *,
    job: JobSpec = ALONE,
    augment: Augment | None = None,
    load: Load = load_corpus,
    on_interval: OnInterval | None = None,
) -> Path:
    """Run, or go on with, a pre-training.

    Where jax has not been used yet and there is no accelerator, it runs on one device per core of the CPU.

    Args:
      spec: what the run is.
      data_dir, run_dir, job, load, on_interval: as meta_train.run_meta_training's.
      augment: applied to each training minibatch; no flag has it, and config.json does not know of it, so give such
        a run a folder of its own.

    Returns:
      The run directory.

    Raises:
      InputError: sources that do not allow it, a run_dir of another configuration, a loss that is not finite.
    """
    with training_run.in_job(job) as preemption:
        ready = cluster.attempt(lambda: training_run.load_sources(spec, data_dir, load))
        with training_run.open_run(spec, job, data_dir, run_dir, spec.method, ready, key="total_epoch") as run:
            state = run.restore(make_state(spec, training_run.training_utterances(ready)))
            at = progress(spec, state)
            if at.finished:
                log(f"{run.folder} has finished already: {_described(spec, state)}.")
                return run.folder
            if run.saved:
                log(f"Going on from the checkpoint at epoch {run.saved}.")
            parts = ([r.corpus.take(getattr(r.split, part)) for r in ready] for part in ("train", "valid"))
            train_bank, valid_bank = map(bank.build, parts)
            program = cluster.attempt(lambda: compile_program(spec, state, train_bank, valid_bank, augment))
            failed = training_run.train([run], program, preemption, title=spec.method, on_interval=on_interval)
            if failed:
                advice = f"Try a lower --lr in another --run_dir; {run.folder} keeps the checkpoints so far."
                raise InputError(f"{failed[0]} {advice}")
            log(f"Finished: {_described(spec, run.state)}. Run: {run.folder}")
    return run.folder


def stages(spec: PretrainSpec) -> list[list[int]]:
    """Return the sources of each stage, in turn, by their number in spec.sources."""
    numbers = list(range(len(spec.sources)))
    return [numbers] if spec.method == MULTISER else [[number] for number in numbers]


class Progress(NamedTuple):
    """Progress of a state, on the host: its integers, and the names of its stage's sources."""

    stage: int
    epoch: int
    best_epoch: int
    total_epoch: int
    sources: tuple[str, ...]
    stage_over: bool
    finished: bool

    @property
    def total_best_epoch(self) -> int:
        """The best epoch, counted over all stages."""
        return self.total_epoch - self.epoch + self.best_epoch


def progress(spec: PretrainSpec, state: PretrainState) -> Progress:
    """Return the progress of a run's state."""
    at = {name: int(getattr(state, name)) for name in ("stage", "epoch", "best_epoch", "total_epoch")}
    of_stage = stages(spec)
    over = bool(stopped(at["epoch"], at["best_epoch"], spec.max_epochs, spec.patience))
    names = tuple(spec.sources[source] for source in of_stage[at["stage"]])
    return Progress(**at, sources=names, stage_over=over, finished=over and at["stage"] == len(of_stage) - 1)


def _described(spec: PretrainSpec, state: PretrainState) -> str:
    at = progress(spec, state)
    lowest = f"lowest validation loss of {' and '.join(at.sources)} {float(state.best_loss):.3f}"
    return f"{at.total_epoch} epochs, {lowest} at epoch {at.total_best_epoch}"


def make_state(spec: PretrainSpec, x: jax.Array | np.ndarray) -> PretrainState:
    """Return the initial state, with the parameters of a meta-training run with the same seed, network and sources.

    Args:
      x: see init_params.
    """

    def begin(params: Params, _: jax.Array) -> PretrainState:
        return pretraining.init_state(supervised(lambda params, batch: jnp.float32(0)), params, make_optimizer(spec))

    model = make_network(spec, spec.recurrence)
    return initial_state(begin, model, _keys(spec), x)


def compile_program(
    spec: PretrainSpec, state: PretrainState, train: Bank, valid: Bank, augment: Augment | None = None
) -> training_run.Program:
    """Compile once for all stages, and for all runs with the same settings and sizes; put the data on the devices.

    Args:
      spec: what the run is.
      state: that it begins with, on the host.
      train, valid: the sources' training and validation parts.
      augment: see run_epochs.
    """
    mesh = parallel.task_mesh(spec.batch_size // 2, spec.devices)
    data = parallel.replicate((train, *minibatches.whole(valid, parts=mesh.size)), mesh)
    device = parallel.describe(mesh)
    log(parallel.waiting(device, f"at most {len(stages(spec)) * spec.max_epochs} epochs of training"))
    start = time.perf_counter()
    shapes = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=a.sharding), data)
    epochs, following = compiled_epochs(dataclasses.replace(spec, **_NOT_COMPILED), shapes, mesh, augment)
    log(f"Compiled in {time.perf_counter() - start:.1f} s for {device}.")
    key = parallel.replicate(_keys(spec)[1], mesh)
    arguments = []
    for sources in stages(spec):
        padded = np.resize(np.asarray(sources, np.int32), len(spec.sources))
        steps = minibatches.epoch_steps(train, sources, spec.batch_size)
        limits = {"steps": steps, "max_epochs": spec.max_epochs, "patience": spec.patience}
        stage = (padded, np.int32(len(sources)), {name: np.int32(value) for name, value in limits.items()})
        arguments.append(parallel.replicate(stage, mesh))

    def interval(states: PretrainState, steps: Sequence[int]):
        at = progress(spec, training_run.part_of(to_host(states), 0))
        if at.stage_over:
            states, at = following(states), at._replace(stage=at.stage + 1)
        n = parallel.replicate(np.asarray(steps, np.int32), mesh)
        return epochs(key, states, n, *arguments[at.stage], data)

    def plan(_: int, state: PretrainState) -> tuple[int, int]:
        at = progress(spec, state)
        if at.finished:
            return 0, 0
        epoch = 0 if at.stage_over else at.epoch
        stages_left = len(stages(spec)) - at.stage - at.stage_over
        return spec.log_every - epoch % spec.log_every, stages_left * spec.max_epochs - epoch

    def report(_: int, state: PretrainState, info: tuple[EpochInfo, Any], loss: float) -> tuple[dict[str, Any], bool]:
        at, losses = progress(spec, state), {name: float(value) for name, value in info[0]._asdict().items()}
        if not np.isfinite(list(losses.values())).all():
            names = " and ".join(at.sources)
            raise InputError(f"The loss is no longer finite in epoch {at.epoch} of {names}: {losses}.")
        line = {name: getattr(at, name) for name in ("stage", "sources", "epoch", "total_epoch")}
        line |= losses | {"best_epoch": at.best_epoch, "learning_rate": float(info[1])}
        return line, at.stage_over or at.epoch % spec.checkpoint_every == 0

    begin = parallel.replicate(jax.tree.map(lambda leaf: np.asarray(leaf)[None], state), mesh)
    return training_run.Program(interval, lambda _, info: info[0].valid_loss, plan, report, begin)


@functools.cache
def compiled_epochs(
    spec: PretrainSpec, data: tuple[Bank, Batch, Whole], mesh: Mesh, augment: Augment | None
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return the compiled interval of epochs, and the step to the next stage; states and infos are [1, ...]."""
    everywhere = parallel.everywhere(mesh)

    def abstract(tree: Any) -> Any:
        return jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=everywhere), tree)

    def of_grid(tree: Any) -> Any:
        return jax.tree.map(lambda leaf: leaf[None], tree)

    logits = trained_logits(make_network(spec, spec.recurrence))
    loss_fn, smoothed = cross_entropy(logits), cross_entropy(logits, spec.label_smoothing)
    learner = parallel.shard_over_devices(supervised(smoothed, execution=_execution(spec)), mesh)
    augment = _with_dropout(spec, augment)
    chunk = _execution(spec).on(mesh.devices.flat[0].platform).chunk or 0
    optimizer = make_optimizer(spec)

    def epochs(key, states, n, sources, number, limits, data):
        train, valid, parts = data

        def minibatch(key, step):
            shape = {"batch_size": spec.batch_size, "tasks": mesh.size}
            return minibatches.round_robin(key, train, sources, number, step, **shape)

        def validate(params):
            def of_part(part, params, valid, sources, number):
                part = jax.tree.map(lambda a: a[0], part)
                loss = pretraining.validation_loss(loss_fn, params, valid, part, sources, number, chunk)
                return jax.lax.psum(loss, parallel.TASKS)

            return parallel.over_devices(of_part, mesh, parallel.TASKS, out=())(parts, params, valid, sources, number)

        state, n = jax.tree.map(lambda leaf: leaf[0], (states, n))
        about = (learner, optimizer, minibatch, validate, key)
        state, info = pretraining.run_epochs(*about, state, n, **limits, augment=augment)
        rate = jnp.float32(learning_rate(spec)(state.epoch * limits["steps"] - 1))
        return of_grid(state), of_grid((info, rate))

    def following(states):
        return of_grid(pretraining.next_stage(jax.tree.map(lambda leaf: leaf[0], states), optimizer))

    state, key = jax.eval_shape(lambda: (of_grid(make_state(spec, no_utterances(spec))), _keys(spec)[1]))
    scalar, n = jax.ShapeDtypeStruct((), jnp.int32), jax.ShapeDtypeStruct((1,), jnp.int32)
    sources = jax.ShapeDtypeStruct((data[0].table.shape[0],), jnp.int32)
    limits = dict.fromkeys(("steps", "max_epochs", "patience"), scalar)
    arguments = abstract((key, state, n, sources, scalar, limits))
    options = {"compiler_options": parallel.compiler_options(), "out_shardings": everywhere}
    programs = [(jax.jit(following, **options), (arguments[1],)), (jax.jit(epochs, **options), (*arguments, data))]
    following, epochs = parallel.compile_all(programs)
    return epochs, following


def _with_dropout(spec: PretrainSpec, augment: Augment | None) -> Augment | None:
    """Return an augmentation that leaves coefficients out after it."""
    if not spec.feature_dropout:
        return augment

    def drop(key: jax.Array, x: jax.Array) -> jax.Array:
        x = x if augment is None else augment(jax.random.fold_in(key, 1), x)
        return dropped(key, x, spec.feature_dropout)

    return drop


def _execution(spec: PretrainSpec) -> Execution:
    return Execution(chunk=None if spec.chunk < 0 else spec.chunk)


def _keys(spec: PretrainSpec) -> jax.Array:
    """Return a run's keys: of its initial parameters (as meta-training's), of its minibatches."""
    return jax.random.split(jax.random.key(spec.seed), 3)[:2]
