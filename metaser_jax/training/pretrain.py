"""Pre-training of TransSER and MultiSER on prepared source corpora: sources -> bank -> minibatches -> checkpoint."""

import dataclasses
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from metaser_jax import cli, cluster
from metaser_jax.data.target import Target
from metaser_jax.datasets.loading import load as load_corpus
from metaser_jax.datasets.targets import Load
from metaser_jax.devices import parallel
from metaser_jax.errors import InputError
from metaser_jax.loops.pretraining import PretrainState, stopped
from metaser_jax.messages import progress_bar
from metaser_jax.sampling import bank
from metaser_jax.specs import JobSpec, MetaTrainSpec, ModelSpec, PretrainSpec, presets
from metaser_jax.specs.programs import PretrainConfig
from metaser_jax.training.pretrainer import Program, compile_program, make_state, mesh_of, stages
from metaser_jax.training.sources import load_sources, training_utterances
from metaser_jax.training.training_run import ALONE, OnInterval, TrainingRun, run_settings, training_run
from metaser_jax.types import Augment

MULTISER = "multiser"


def pretrain(
    config: PretrainConfig,
    log: Callable[[str], None] = print,
    *,
    augment: Augment | None = None,
    load: Load = load_corpus,
    on_interval: OnInterval | None = None,
) -> Path:
    """Pre-train as a program's configuration says; arguments and errors as `run_pretraining`'s."""
    spec, job = PretrainSpec.of(config), JobSpec.of(config)
    return run_pretraining(
        spec, config.data_dir, config.run_dir, job=job, log=log, augment=augment, load=load, on_interval=on_interval
    )


def trained_first(
    init: str,
    spec: MetaTrainSpec,
    data_dir: str,
    folder: str,
    job: JobSpec,
    log: Callable[[str], None],
    load: Load,
) -> str:
    """Return the folder of what a meta-training starts from; of init "multiser" the run is trained there first.

    Raises:
      InputError: as run_pretraining; "multiser" in a job of several processes.
    """
    if init != MULTISER:
        return init
    if job.cluster != "none" or job.coordinator_address:
        raise InputError(
            f"--init={MULTISER}: got a job of several processes, expected the folder of a run. Run "
            f"{cli.program('pretrain')} --method=multiser first, and give its --run_dir."
        )
    values = presets.PRETRAIN["recommended"] | dataclasses.asdict(ModelSpec.of(spec))
    own = {name: getattr(spec, name) for name in ("sources", "seed", "split_seed", "learn_from")}
    run_pretraining(PretrainSpec(**{**values, **own, "method": MULTISER}), data_dir, folder, log=log, load=load)
    return folder


def run_pretraining(
    spec: PretrainSpec,
    data_dir: str,
    run_dir: str,
    *,
    job: JobSpec = ALONE,
    log: Callable[[str], None] = print,
    augment: Augment | None = None,
    load: Load = load_corpus,
    on_interval: OnInterval | None = None,
) -> Path:
    """Run, or go on with, a pre-training.

    Where jax has not been used yet and there is no accelerator, it runs on one device per core of the CPU.

    Args:
      spec: what the run is.
      data_dir, run_dir, job, log, load, on_interval: as meta_train.run_meta_training's.
      augment: applied to each training minibatch; no flag has it, and config.json does not know of it, so give such
        a run a folder of its own.

    Returns:
      The run directory.

    Raises:
      InputError: sources that do not allow it, a run_dir of another configuration, a loss that is not finite.
    """

    def load_all() -> tuple[list[Target], dict[str, Any]]:
        return load_sources(spec, data_dir, load), {}

    settings = run_settings(spec, job, data_dir, run_dir)
    with training_run(job, settings, spec.method, load_all, step="total_epoch", log=log) as run:
        mesh = mesh_of(spec)
        latest, state = run.restore(make_state(spec, training_utterances(run.ready)))
        if latest is not None:
            if progress(spec, state).finished:
                run.log(f"{run.folder} has finished already: {_said(spec, state)}.")
                return run.folder
            run.log(f"Going on from the checkpoint at epoch {latest}.")
        parts = [[getattr(r.split, part) for r in run.ready] for part in ("train", "valid")]
        train, valid = (
            bank.build([r.corpus.take(rows) for r, rows in zip(run.ready, part, strict=True)]) for part in parts
        )
        program = cluster.attempt(lambda: compile_program(spec, train, valid, run.log, augment))
        state = _loop(spec, parallel.replicate(state, mesh), program, run, on_interval)
        run.log(f"Finished: {_said(spec, state)}. Run: {run.folder}")
    return run.folder


class Progress(NamedTuple):
    """Where a state stands, on the host: its integers, and the names of its stage's sources."""

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
    """Return where the state of a run stands."""
    fields = ("stage", "epoch", "best_epoch", "total_epoch")
    at = {name: int(getattr(state, name)) for name in fields}
    of_stage = stages(spec)
    over = stopped(at["epoch"], at["best_epoch"], spec.max_epochs, spec.patience)
    names = tuple(spec.sources[source] for source in of_stage[at["stage"]])
    return Progress(**at, sources=names, stage_over=over, finished=over and at["stage"] == len(of_stage) - 1)


def _said(spec: PretrainSpec, state: PretrainState) -> str:
    at = progress(spec, state)
    lowest = f"lowest validation loss of {' and '.join(at.sources)} {float(state.best_loss):.3f}"
    return f"{at.total_epoch} epochs, {lowest} at epoch {at.total_best_epoch}"


def _loop(
    spec: PretrainSpec, state: PretrainState, program: Program, run: TrainingRun, on_interval: OnInterval | None
) -> PretrainState:
    """Train until the last stage is over."""
    at = progress(spec, state)
    left = (len(stages(spec)) - at.stage) * spec.max_epochs - at.epoch
    bar = progress_bar(
        total=at.total_epoch + left,
        initial=at.total_epoch,
        desc=spec.method,
        unit="epoch",
        shown=cluster.is_primary(),
    )
    with run.monitored(at.total_epoch) as monitor, bar:
        while not at.finished:
            if at.stage_over:
                bar.total -= spec.max_epochs - at.epoch  # what early stopping saves
                state = program.next_stage(state)
                at = progress(spec, state)
            start = time.perf_counter()
            with monitor.interval():
                state, info, learning_rate = program.epochs(state, spec.log_every - at.epoch % spec.log_every)
                losses = {name: float(value) for name, value in info._asdict().items()}
            before, at = at.epoch, progress(spec, state)
            seconds = time.perf_counter() - start
            if not all(math.isfinite(loss) for loss in losses.values()):
                raise InputError(
                    f"The loss is no longer finite in epoch {at.epoch} of {' and '.join(at.sources)}: {losses}. Try a "
                    f"lower --lr in another --run_dir; {run.folder} keeps the checkpoints so far."
                )
            line = {
                "stage": at.stage,
                "sources": at.sources,
                "epoch": at.epoch,
                "total_epoch": at.total_epoch,
                **losses,
                "best_epoch": at.best_epoch,
                "learning_rate": float(learning_rate),
                "epochs_per_second": (at.epoch - before) / seconds,
            }
            bar.update(at.epoch - before)
            bar.set_postfix(sources=" ".join(at.sources), valid_loss=f"{losses['valid_loss']:.3f}")
            due = at.stage_over or at.epoch % spec.checkpoint_every == 0
            run.finish_interval(line, state, losses["valid_loss"], due=due, last=at.finished)
            if on_interval:
                on_interval(line)
    return state
