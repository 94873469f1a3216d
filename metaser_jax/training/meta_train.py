"""Meta-training on prepared source corpora: sources -> bank -> episodes -> learner -> checkpoint."""

import json
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from metaser_jax import cluster
from metaser_jax.data.target import Target
from metaser_jax.datasets.loading import load as load_corpus
from metaser_jax.datasets.targets import Load
from metaser_jax.devices import parallel
from metaser_jax.devices.compiling import compile_all, waiting
from metaser_jax.errors import InputError
from metaser_jax.loops.meta_training import IntervalInfo, TrainState, run_interval, validation_loss
from metaser_jax.messages import progress_bar
from metaser_jax.models.classifier import make_network, trained_logits
from metaser_jax.models.losses import cross_entropy
from metaser_jax.results.run_dir import write_text
from metaser_jax.sampling import bank, episodes
from metaser_jax.sampling.bank import Bank
from metaser_jax.sampling.task_rules import TaskRule
from metaser_jax.specs import JobSpec, MetaTrainSpec
from metaser_jax.specs.algorithms import method_of
from metaser_jax.specs.programs import MetaTrainConfig
from metaser_jax.training import intervals
from metaser_jax.training.checkpoints import to_host
from metaser_jax.training.cost import MEASURED, measured_of
from metaser_jax.training.diagnosis import Diagnosis, diagnose, diagnose_validation
from metaser_jax.training.finished import Pretrained, pretrained
from metaser_jax.training.pretrain import MULTISER, trained_first
from metaser_jax.training.sources import load_sources, training_utterances
from metaser_jax.training.trainer import Trainer, make_learner, make_trainer, run_keys
from metaser_jax.training.training_run import ALONE, OnInterval, TrainingRun, run_settings, training_run
from metaser_jax.types import Episode

# Tasks of the fixed episode whose query loss after adaptation chooses the checkpoint.
VALIDATION_TASKS = 16


def check_sources(spec: MetaTrainSpec, ready: Sequence[Target]) -> None:
    """Raise an InputError unless episodes can be drawn from the sources."""
    train, valid = ([r.corpus.take(getattr(r.split, part)) for r in ready] for part in ("train", "valid"))
    bank.check_enough(train, spec.shots, spec.queries, pool=spec.pool_sources, part="training part")
    names, voices = [corpus.name for corpus in train], _voices(ready)
    if spec.tasks_by == "speaker":
        both = zip(bank.heard(train, voices, spec.shots + 1), bank.heard(valid, voices), strict=True)
        who = f"with {spec.shots + 1} training clips of each emotion (--shots and one more) and a validation clip"
        bank.check_speakers(names, [int(np.sum(a & b)) for a, b in both], 1, who)
    if spec.query_speakers == "others":
        speakers = [int(np.sum(of)) for of in bank.heard(train, voices)]
        pooled = (["all sources pooled"], [sum(speakers)])
        bank.check_speakers(*(pooled if spec.pool_sources else (names, speakers)), 2, "for --query_speakers=others")


def _voices(ready: Sequence[Target]) -> list[np.ndarray]:
    """Return the names of each source's speakers, sorted."""
    return [np.unique(r.corpus.speaker) for r in ready]


def meta_train(
    config: MetaTrainConfig,
    log: Callable[[str], None] = print,
    *,
    load: Load = load_corpus,
    on_interval: OnInterval | None = None,
) -> Path:
    """Meta-train as a program's configuration says; arguments and errors as `run_meta_training`'s."""
    spec, job = MetaTrainSpec.of(config), JobSpec.of(config)
    # As a sibling: a run's own folder holds one run.
    start = f"{config.run_dir.rstrip('/')}_{MULTISER}"
    init = trained_first(config.init, spec, config.data_dir, start, job, log, load)
    return run_meta_training(
        spec,
        config.data_dir,
        config.run_dir,
        init=init,
        job=job,
        log=log,
        load=load,
        on_interval=on_interval,
    )


def run_meta_training(
    spec: MetaTrainSpec,
    data_dir: str,
    run_dir: str,
    *,
    init: str = "",
    job: JobSpec = ALONE,
    log: Callable[[str], None] = print,
    load: Load = load_corpus,
    on_interval: OnInterval | None = None,
) -> Path:
    """Run, or go on with, a meta-training; in every process of a cluster job.

    Where jax has not been used yet and there is no accelerator, it runs on one device per core of the CPU.

    Args:
      spec: what the run is.
      data_dir: folder of prepared corpora.
      run_dir: the run's folder.
      init: folder of a pre-training whose parameters it starts from; "": random ones.
      job: how its processes come together, what it keeps and traces.
      log: prints a line.
      load: reads a prepared corpus.
      on_interval: is told each line of metrics.jsonl; what it raises ends the run, which the same call resumes.

    Returns:
      The run directory.

    Raises:
      InputError: sources that do not allow it, a run_dir of another configuration, a loss or gradient that is not
        finite, a checkpoint that cannot be written.
      cluster.Preempted: the scheduler wants the machine back; the checkpoint is written.
    """
    start: Pretrained | None = None

    def load_all() -> tuple[list[Target], dict[str, Any]]:
        nonlocal start
        ready = load_sources(spec, data_dir, load)
        check_sources(spec, ready)
        start = pretrained(init, spec)
        return ready, {} if start is None else {"init_digest": start.digest}

    settings = run_settings(spec, job, data_dir, run_dir) | ({"init": init} if init else {})
    with training_run(job, settings, method_of(spec.algorithm), load_all, step="episode", log=log) as run:
        trainer = make_trainer(spec, training_utterances(run.ready), start and start.params)
        # Also of a run that is done: its last checkpoint may be damaged.
        latest, state = run.restore(trainer.state)
        if latest == spec.episodes:
            run.log(f"{run.folder} has all its {latest} episodes already.")
            return run.folder
        if latest is not None:
            run.log(f"Going on from the checkpoint at episode {latest} of {spec.episodes}.")
        # Attempted, for the first step waits 30 s for all processes, and one may compile longer than another.
        program = cluster.attempt(lambda: _compile(spec, trainer, state, run))
        _loop(spec, program, run, on_interval)
        run.log(f"Finished: {spec.episodes} episodes, best validation at episode {run.best()}. Run: {run.folder}")
    return run.folder


class Program(NamedTuple):
    """A run's compiled functions, and what it begins with.

    Attributes:
      interval: (state, n) -> (state, info).
      validate: state -> loss.
      diagnosis: what is not finite.
      state: on the devices.
    """

    interval: Callable[[TrainState, int], tuple[TrainState, IntervalInfo]]
    validate: Callable[[TrainState], jax.Array]
    diagnosis: Diagnosis
    state: TrainState


def banks(spec: MetaTrainSpec, ready: Sequence[Target]) -> tuple[Bank, Bank]:
    """Return the sources' training and validation parts, which know what the tasks ask for."""

    def build(part: str, least: int) -> Bank:
        corpora = [r.corpus.take(getattr(r.split, part)) for r in ready]
        built = bank.build(corpora, pool=spec.pool_sources)
        if spec.tasks_by == "speaker" or spec.query_speakers == "others":
            built = bank.with_speakers(built, corpora, _voices(ready), least=least)
        if _differ(spec):
            built = built._replace(directions=jnp.asarray(bank.directions(corpora), spec.dtype))
        return built._replace(x=built.x.astype(spec.dtype))

    return build("train", spec.shots + 1 if spec.tasks_by == "speaker" else 0), build("valid", 0)


def _differ(spec: MetaTrainSpec) -> bool:
    """Return whether emotions are to be moved as the sources have them."""
    return spec.corpus_shift > 0 and len(spec.sources) > 1 and not spec.pool_sources


def task_rule(spec: MetaTrainSpec) -> TaskRule:
    """Return how a specification's tasks are made."""
    return TaskRule(
        one_speaker=spec.tasks_by == "speaker",
        other_speakers=spec.query_speakers == "others",
        shots_mix=spec.shots_drawn,
        class_shift=spec.class_shift,
        corpus_shift=spec.corpus_shift if _differ(spec) else 0.0,
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


def diagnosis_of(spec: MetaTrainSpec, sources: Bank, held_out: Bank) -> Diagnosis:
    """Return how to find out what is not finite, by this process alone; sources and held_out as of `banks`."""
    loss_fn = cross_entropy(trained_logits(make_network(spec, spec.recurrence)))
    learner = make_learner(spec, loss_fn)
    corpora = ["all sources pooled"] if spec.pool_sources else spec.sources

    def on_host(state: TrainState) -> TrainState:
        return to_host(state)._replace(key=state.key)

    def update(state: TrainState) -> list[str]:
        return diagnose(learner, sources, episode_shape(spec), on_host(state), corpora)

    def validation(state: TrainState) -> list[str]:
        shape, key = {"tasks": VALIDATION_TASKS} | validation_shape(spec, held_out), run_keys(spec)[2]
        return diagnose_validation(learner, loss_fn, sources, held_out, shape, key, on_host(state), corpora)

    return Diagnosis(update, validation)


def sampler(spec: MetaTrainSpec, mesh: Mesh) -> Callable[[Bank, jax.Array], Episode]:
    """Return (sources, key) -> Episode, each of whose tasks is drawn on the device that it belongs to."""

    def of_device(first: jax.Array, sources: Bank, key: jax.Array) -> Episode:
        return episodes.sample(key, sources, **episode_shape(spec, mesh.size), first=first)

    return parallel.tasks_of_devices(of_device, spec.tasks_per_episode, mesh)


def functions_of(
    spec: MetaTrainSpec, trainer: Trainer, mesh: Mesh, valid_shape: dict[str, Any]
) -> tuple[Callable[..., tuple[TrainState, IntervalInfo]], Callable[..., jax.Array]]:
    """Return what a run compiles.

    Args:
      spec: what the run is.
      trainer: of the spec; its learner divides tasks over the same mesh.
      mesh: of parallel.task_mesh, or of devices that are not here, to compile for them.
      valid_shape: of validation_shape.

    Returns:
      (state, n, sources) -> (state, info), an interval; (meta_params, sources, held_out, key) -> loss, the validation.
    """
    mean_query_loss = parallel.mean_over_devices(
        lambda episode, params: (jnp.mean(jax.vmap(trainer.loss_fn, (None, 0))(params, episode.query)), ()), mesh
    )

    sample = sampler(spec, mesh)

    def interval(state, n, sources):
        return run_interval(
            trainer.learner,
            lambda params, episode: mean_query_loss(episode, params)[0],
            trainer.optimizer,
            lambda key: sample(sources, key),
            state,
            n,
            skip_nonfinite=spec.skip_nonfinite,
        )

    def validate(meta_params, sources, held_out, key):
        # As many on every device; those beyond VALIDATION_TASKS count for nothing.
        per_device = math.ceil(VALIDATION_TASKS / mesh.size)

        def of_device(first, meta_params, sources, held_out, key):
            episode = episodes.sample(key, sources, tasks=per_device, **valid_shape, query_bank=held_out, first=first)
            at_once = 1 if mesh.devices.flat[0].platform == "cpu" else 8
            return validation_loss(trainer.learner, trainer.loss_fn, meta_params, episode, at_once)

        losses = parallel.tasks_of_devices(of_device, per_device * mesh.size, mesh)(meta_params, sources, held_out, key)
        return jnp.mean(losses[:VALIDATION_TASKS])

    return interval, validate


def _compile(spec: MetaTrainSpec, trainer: Trainer, state: TrainState, run: TrainingRun) -> Program:
    """Compile the interval and the validation once, and put the data on the devices."""
    mesh = parallel.task_mesh(spec.tasks_per_episode, spec.devices)
    local_banks = sources, held_out = banks(spec, run.ready)
    interval, validate = functions_of(spec, trainer, mesh, validation_shape(spec, held_out))
    state, sources, held_out, key_valid = parallel.replicate((state, sources, held_out, run_keys(spec)[2]), mesh)
    left = spec.episodes - int(state.episode)
    run.log(waiting(parallel.describe(mesh), f"{left} episodes of training"))
    start = time.perf_counter()
    options = {"compiler_options": parallel.compiler_options(), "out_shardings": parallel.everywhere(mesh)}
    one = parallel.replicate(np.int32(1), mesh)
    compiled_validate, compiled_interval = compile_all(
        [
            (jax.jit(validate, **options), (state.meta_params, sources, held_out, key_valid)),
            (jax.jit(interval, **options), (state, one, sources)),
        ]
    )
    seconds = time.perf_counter() - start
    run.log(f"Compiled in {seconds:.1f} s for {parallel.describe(mesh)}.")
    if cluster.is_primary():
        measured = measured_of(compiled_interval, seconds, parallel.describe(mesh))
        write_text(run.folder / MEASURED, json.dumps(measured, indent=2) + "\n")
    return Program(
        lambda state, n: compiled_interval(state, parallel.replicate(np.int32(n), mesh), sources),
        lambda state: compiled_validate(state.meta_params, sources, held_out, key_valid),
        diagnosis_of(spec, *local_banks),
        state,
    )


def _loop(spec: MetaTrainSpec, program: Program, run: TrainingRun, on_interval: OnInterval | None) -> None:
    state, done = program.state, int(program.state.episode)
    bar = progress_bar(
        total=spec.episodes,
        initial=done,
        desc="meta-train",
        unit="episode",
        shown=cluster.is_primary(),
    )
    with run.monitored(done) as monitor, bar:
        while done < spec.episodes:
            n = min(spec.log_every - done % spec.log_every, spec.episodes - done)
            start = time.perf_counter()
            with monitor.interval():
                state, info = program.interval(state, n)
                measured = intervals.to_floats(info)
            seconds = time.perf_counter() - start
            loss = float(program.validate(state))
            failed = intervals.failure(measured, state, loss, program.diagnosis, skip_nonfinite=spec.skip_nonfinite)
            if failed:
                raise InputError(f"{failed} {intervals.ADVICE} {run.folder} keeps the checkpoints so far.")
            done += n
            line = intervals.line_of(measured, state, loss, n / seconds, skip_nonfinite=spec.skip_nonfinite)
            bar.update(n)
            bar.set_postfix(valid_query_loss=f"{loss:.3f}")
            due, last = done % spec.checkpoint_every == 0, done == spec.episodes
            run.finish_interval(line, state, loss, due=due, last=last)
            if on_interval:
                on_interval(line)
