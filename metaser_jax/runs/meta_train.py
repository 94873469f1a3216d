"""Meta-training on prepared source corpora: sources -> bank -> episodes -> learner -> checkpoint."""

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from tqdm import tqdm

from metaser_jax import bank, cluster, episodes, parallel
from metaser_jax.bank import Bank
from metaser_jax.checkpoints import to_host
from metaser_jax.config import MetaTrainConfig
from metaser_jax.errors import InputError
from metaser_jax.ready import Ready
from metaser_jax.runs.diagnosis import diagnose
from metaser_jax.runs.measured import MEASURED, measured_of
from metaser_jax.runs.run_dir import write_text
from metaser_jax.runs.sources import load, training_utterances
from metaser_jax.runs.trainer import Trainer, make_learner, make_trainer, run_keys
from metaser_jax.runs.training_run import TrainingRun, training_run
from metaser_jax.training import IntervalInfo, TrainState, run_interval, validation_loss
from metaser_jax.types import Episode

# Tasks of the fixed episode whose query loss after adaptation chooses the checkpoint.
VALIDATION_TASKS = 16


def load_sources(config: MetaTrainConfig) -> list[Ready]:
    """Loads the source corpora and checks that episodes can be drawn from them.

    Raises:
      InputError: a corpus that is not prepared, or too small for the shots and queries.
    """
    ready = load(config)
    train = [r.corpus.take(r.split.train) for r in ready]
    bank.check_enough(train, config.shots, config.queries, pool=config.pool_sources, part="training part")
    return ready


def meta_train(config: MetaTrainConfig, log: Callable[[str], None] = print) -> Path:
    """Runs, or goes on with, the meta-training that config.run_dir names; in every process of a cluster job.

    Where jax has not been used yet and there is no accelerator, it runs on one device per core of the CPU.

    Args:
      config: the run.
      log: prints a line.

    Returns:
      The run directory.

    Raises:
      InputError: sources that do not allow it, a run_dir of another configuration, a loss or gradient that is not
        finite, a checkpoint that cannot be written.
      cluster.Preempted: the scheduler wants the machine back; the checkpoint is written.
    """
    method = "metaser" if config.algorithm == "maml" else config.algorithm
    with training_run(config, method, lambda: load_sources(config), step="episode", log=log) as run:
        trainer = make_trainer(config, training_utterances(run.ready))
        latest, state = run.restore(trainer.state)
        if latest == config.episodes:
            run.log(f"{run.folder} has all its {latest} episodes already.")
            return run.folder
        if latest is not None:
            run.log(f"Going on from the checkpoint at episode {latest} of {config.episodes}.")
        # Attempted, for the first step waits 30 s for all processes, and one may compile longer than another.
        program = cluster.attempt(lambda: _compile(config, trainer, state, run))
        _loop(config, program, run)
        run.log(f"Finished: {config.episodes} episodes, best validation at episode {run.best()}. Run: {run.folder}")
    return run.folder


class Program(NamedTuple):
    """A run's compiled functions, and what it begins with.

    Attributes:
      interval: (state, n) -> (state, info).
      validate: state -> loss.
      diagnose: state on the host -> lines that say what is not finite in its next episode.
      state: on the devices.
    """

    interval: Callable[[TrainState, int], tuple[TrainState, IntervalInfo]]
    validate: Callable[[TrainState], jax.Array]
    diagnose: Callable[[TrainState], list[str]]
    state: TrainState


def banks(config: MetaTrainConfig, ready: list[Ready]) -> tuple[Bank, Bank]:
    """The sources' training and validation parts."""

    def build(part: str) -> Bank:
        corpora = [r.corpus.take(getattr(r.split, part)) for r in ready]
        built = bank.build(corpora, pool=config.pool_sources)
        return built._replace(x=built.x.astype(config.dtype))

    return build("train"), build("valid")


def sampler(config: MetaTrainConfig, mesh: Mesh) -> Callable[[Bank, jax.Array], Episode]:
    """(sources, key) -> Episode, each of whose tasks is drawn on the device that it belongs to."""
    tasks = config.tasks_per_episode

    def of_device(first: jax.Array, sources: Bank, key: jax.Array) -> Episode:
        sizes = {"tasks": tasks // mesh.size, "shots": config.shots, "queries": config.queries}
        return episodes.sample(key, sources, **sizes, first=first)

    return parallel.tasks_of_devices(of_device, tasks, mesh)


def _compile(config: MetaTrainConfig, trainer: Trainer, state: TrainState, run: TrainingRun) -> Program:
    """Compiles the interval and the validation once, and puts the data on the devices."""
    mesh = parallel.task_mesh(config.tasks_per_episode, config.devices)
    sources, held_out = banks(config, run.ready)
    shape = {"tasks": config.tasks_per_episode, "shots": config.shots, "queries": config.queries}
    # Supports from the training part, queries from the validation part, as many as its smallest class has.
    valid_shape = {"shots": config.shots, "queries": min(config.queries, int(held_out.count.min()))}
    local_sources = sources
    state, sources, held_out, key_valid = parallel.replicate((state, sources, held_out, run_keys(config)[2]), mesh)
    mean_query_loss = parallel.mean_over_devices(
        lambda episode, params: (jnp.mean(jax.vmap(trainer.loss_fn, (None, 0))(params, episode.query)), ()), mesh
    )

    sample = sampler(config, mesh)

    def interval(state, n, sources):
        return run_interval(
            trainer.learner,
            lambda params, episode: mean_query_loss(episode, params)[0],
            trainer.optimizer,
            lambda key: sample(sources, key),
            state,
            n,
            skip_nonfinite=config.skip_nonfinite,
        )

    def validate(meta_params, sources, held_out, key):
        # As many on every device; those beyond VALIDATION_TASKS count for nothing.
        per_device = math.ceil(VALIDATION_TASKS / mesh.size)

        def of_device(first, meta_params, sources, held_out, key):
            episode = episodes.sample(key, sources, tasks=per_device, **valid_shape, query_bank=held_out, first=first)
            return validation_loss(trainer.learner, trainer.loss_fn, meta_params, episode)

        losses = parallel.tasks_of_devices(of_device, per_device * mesh.size, mesh)(meta_params, sources, held_out, key)
        return jnp.mean(losses[:VALIDATION_TASKS])

    start = time.perf_counter()
    options = {"compiler_options": parallel.compiler_options(), "out_shardings": parallel.everywhere(mesh)}
    one = parallel.replicate(np.int32(1), mesh)
    compiled_interval = jax.jit(interval, **options).lower(state, one, sources).compile()
    compiled_validate = jax.jit(validate, **options).lower(state.meta_params, sources, held_out, key_valid).compile()
    seconds = time.perf_counter() - start
    run.log(f"Compiled in {seconds:.1f} s for {parallel.describe(mesh)}.")
    if cluster.is_primary():
        measured = measured_of(compiled_interval, seconds, parallel.describe(mesh))
        write_text(Path(config.run_dir) / MEASURED, json.dumps(measured, indent=2) + "\n")
    names = ["all sources pooled"] if config.pool_sources else config.sources
    return Program(
        lambda state, n: compiled_interval(state, parallel.replicate(np.int32(n), mesh), sources),
        lambda state: compiled_validate(state.meta_params, sources, held_out, key_valid),
        lambda state: diagnose(make_learner(config, trainer.loss_fn), local_sources, shape, state, names),
        state,
    )


def _loop(config: MetaTrainConfig, program: Program, run: TrainingRun) -> None:
    state, done = program.state, int(program.state.episode)
    bar = tqdm(
        total=config.episodes,
        initial=done,
        desc="meta-train",
        unit="episode",
        dynamic_ncols=True,
        disable=not cluster.is_primary(),
    )
    with run.monitored(done) as monitor, bar:
        while done < config.episodes:
            n = min(config.log_every - done % config.log_every, config.episodes - done)
            start = time.perf_counter()
            with monitor.interval():
                state, info = program.interval(state, n)
                measured = {name: float(value) for name, value in info._asdict().items()}
            seconds = time.perf_counter() - start
            loss = float(program.validate(state))
            _check_finite(config, program, state, measured, loss)
            done += n
            # JSON has no NaN; with --skip_nonfinite the last episode may be one that was left out.
            losses = {name: value if math.isfinite(value) else None for name, value in measured.items()}
            line = {"episode": done, **losses, "valid_query_loss": loss, "episodes_per_second": n / seconds}
            if config.skip_nonfinite:
                line["skipped"] = int(state.skipped)
            bar.update(n)
            bar.set_postfix(valid_query_loss=f"{loss:.3f}")
            due, last = done % config.checkpoint_every == 0, done == config.episodes
            run.finish_interval(line, state, loss, due=due, last=last)


def _check_finite(
    config: MetaTrainConfig, program: Program, state: TrainState, measured: dict[str, float], loss: float
) -> None:
    finite, after = measured.pop("finite"), int(state.episode)
    advice = f"Try a lower --meta_lr or --inner_lr in another --run_dir; {config.run_dir} keeps the checkpoints so far."
    if not finite and not config.skip_nonfinite:
        tasks = program.diagnose(to_host(state)._replace(key=state.key)) or ["each of its tasks is, alone"]
        raise InputError(
            f"The update of episode {after + 1} is not finite: {'; '.join(tasks)}. {advice} --skip_nonfinite leaves "
            "such updates out, and counts them."
        )
    if not math.isfinite(measured["query_loss_mean"]):
        raise InputError(f"No update of the last episodes up to {after} is finite: all were left out. {advice}")
    if not math.isfinite(loss):
        raise InputError(f"The validation loss is no longer finite after episode {after}: {loss}. {advice}")
