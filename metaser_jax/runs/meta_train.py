"""Meta-training on prepared source corpora: sources -> bank -> episodes -> learner -> checkpoint."""

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from tqdm import tqdm

from metaser_jax import bank, episodes, parallel
from metaser_jax.checkpoints import Checkpoints
from metaser_jax.config import MetaTrainConfig
from metaser_jax.errors import InputError
from metaser_jax.ready import Ready
from metaser_jax.runs.measured import MEASURED, measured_of
from metaser_jax.runs.run_dir import METRICS, claim, read_lines, to_lines, write_text
from metaser_jax.runs.sources import FREE, identity, load, training_utterances
from metaser_jax.runs.trainer import Trainer, make_trainer, run_keys
from metaser_jax.training import TrainState, run_interval, validation_loss

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
    """Runs, or goes on with, the meta-training that config.run_dir names.

    Where jax has not been used yet and there is no accelerator, it runs on one device per core of the CPU.

    Args:
      config: the run.
      log: prints a line.

    Returns:
      The run directory.

    Raises:
      InputError: sources that do not allow it, a run_dir of another configuration, a loss that is not finite.
    """
    parallel.one_device_per_core()
    ready = load_sources(config)
    method = "metaser" if config.algorithm == "maml" else config.algorithm
    folder = Path(config.run_dir)
    claim(folder, identity(config, method, ready), free=FREE)
    with Checkpoints(folder) as checkpoints:
        latest = checkpoints.latest()
        if latest == config.episodes:
            log(f"{folder} has all its {latest} episodes already.")
            return folder
        trainer = make_trainer(config, training_utterances(ready))
        interval, validate, state = _compile(config, trainer, ready, log)
        lines: list[dict[str, Any]] = []
        if latest is not None:
            state = checkpoints.restore(latest, state)
            lines = [line for line in read_lines(folder / METRICS) if line["episode"] <= latest]
            log(f"Going on from the checkpoint at episode {latest} of {config.episodes}.")
        write_text(folder / METRICS, to_lines(lines))
        _loop(config, state, interval, validate, checkpoints, folder / METRICS)
        log(f"Finished: {config.episodes} episodes, best validation at episode {checkpoints.best()}. Run: {folder}")
    return folder


def _compile(config: MetaTrainConfig, trainer: Trainer, ready: list[Ready], log: Callable[[str], None]):
    """Compiles the interval and the validation once, and puts the data on the device.

    Returns:
      interval(state, n) -> (state, info), validate(state) -> loss, and the initial state.
    """
    mesh = parallel.task_mesh(config.tasks_per_episode, config.devices)
    sources = bank.build([r.corpus.take(r.split.train) for r in ready], pool=config.pool_sources)
    held_out = bank.build([r.corpus.take(r.split.valid) for r in ready], pool=config.pool_sources)
    _, key_train, key_valid = run_keys(config)
    shape = {"tasks": config.tasks_per_episode, "shots": config.shots, "queries": config.queries}
    # Supports from the training part, queries from the validation part, as many as its smallest class has.
    valid_queries = min(config.queries, int(held_out.count.min()))
    valid_tasks = mesh.size * math.ceil(VALIDATION_TASKS / mesh.size)  # as many on every device
    valid_shape = {"tasks": valid_tasks, "shots": config.shots, "queries": valid_queries}
    valid_episode = jax.jit(lambda: episodes.sample(key_valid, sources, **valid_shape, query_bank=held_out))()
    on_devices = (trainer.state, sources, valid_episode, key_train)
    state, sources, valid_episode, key_train = parallel.replicate(on_devices, mesh)

    # The key is an argument, as all that differs between seeds: their programs are the same.
    def interval(state, n, sources, key):
        def sample(key):
            return episodes.sample(key, sources, **shape)

        return run_interval(trainer.learner, trainer.loss_fn, trainer.optimizer, sample, key, state, n)

    def validate(meta_params, episode):
        def of_tasks(episode, meta_params):
            return validation_loss(trainer.learner, trainer.loss_fn, meta_params, episode), ()

        return parallel.mean_over_devices(of_tasks, mesh.size)(episode, meta_params)[0]

    start = time.perf_counter()
    options = {"compiler_options": parallel.compiler_options()}
    compiled_interval = (
        jax.jit(interval, donate_argnums=0, **options).lower(state, jnp.int32(1), sources, key_train).compile()
    )
    compiled_validate = jax.jit(validate, **options).lower(state.meta_params, valid_episode).compile()
    seconds = time.perf_counter() - start
    log(f"Compiled in {seconds:.1f} s for {parallel.describe(mesh)}.")
    measured = measured_of(compiled_interval, seconds, parallel.describe(mesh))
    write_text(Path(config.run_dir) / MEASURED, json.dumps(measured, indent=2) + "\n")
    return (
        lambda state, n: compiled_interval(state, jnp.int32(n), sources, key_train),
        lambda state: compiled_validate(state.meta_params, valid_episode),
        state,
    )


def _loop(config: MetaTrainConfig, state: TrainState, interval, validate, checkpoints: Checkpoints, path: Path) -> None:
    done = int(state.episode)
    with (
        path.open("a", encoding="utf-8") as file,
        tqdm(total=config.episodes, initial=done, desc="meta-train", unit="episode", dynamic_ncols=True) as bar,
    ):
        while done < config.episodes:
            n = min(config.log_every - done % config.log_every, config.episodes - done)
            start = time.perf_counter()
            state, info = interval(state, n)
            measured = {name: float(value) for name, value in info._asdict().items()}
            seconds = time.perf_counter() - start
            done += n
            line = {"episode": done, **measured, "valid_query_loss": float(validate(state))}
            if not all(math.isfinite(value) for value in line.values()):
                raise InputError(
                    f"The loss is no longer finite between episodes {done - n + 1} and {done}: {line}. Try a lower "
                    f"--meta_lr or --inner_lr in another --run_dir; {config.run_dir} keeps the checkpoints so far."
                )
            file.write(to_lines([line | {"episodes_per_second": n / seconds}]))
            file.flush()
            bar.update(n)
            bar.set_postfix(valid_query_loss=f"{line['valid_query_loss']:.3f}")
            if done % config.checkpoint_every == 0 or done == config.episodes:
                checkpoints.save(done, state, line["valid_query_loss"])
