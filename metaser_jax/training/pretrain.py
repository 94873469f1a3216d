"""Pre-training of TransSER and MultiSER on prepared source corpora: sources -> bank -> minibatches -> checkpoint."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from metaser_jax import cluster
from metaser_jax.config import PretrainConfig
from metaser_jax.devices import parallel
from metaser_jax.errors import InputError
from metaser_jax.loops.pretraining import PretrainState, stopped
from metaser_jax.sampling import bank
from metaser_jax.training.pretrainer import Program, compile_program, make_state, mesh_of, stages
from metaser_jax.training.sources import load, training_utterances
from metaser_jax.training.training_run import TrainingRun, training_run
from metaser_jax.types import Augment


def pretrain(config: PretrainConfig, log: Callable[[str], None] = print, *, augment: Augment | None = None) -> Path:
    """Runs, or goes on with, the pre-training that config.run_dir names.

    Where jax has not been used yet and there is no accelerator, it runs on one device per core of the CPU.

    Args:
      config: the run.
      log: prints a line.
      augment: applied to each training minibatch; no flag has it, and config.json does not know of it, so give such
        a run a folder of its own.

    Returns:
      The run directory.

    Raises:
      InputError: sources that do not allow it, a run_dir of another configuration, a loss that is not finite.
    """
    with training_run(config, config.method, lambda: load(config), step="total_epoch", log=log) as run:
        mesh = mesh_of(config)
        latest, state = run.restore(make_state(config, training_utterances(run.ready)))
        if latest is not None:
            if progress(config, state).finished:
                run.log(f"{run.folder} has finished already: {_said(config, state)}.")
                return run.folder
            run.log(f"Going on from the checkpoint at epoch {latest}.")
        parts = [[getattr(r.split, part) for r in run.ready] for part in ("train", "valid")]
        train, valid = (
            bank.build([r.corpus.take(rows) for r, rows in zip(run.ready, part, strict=True)]) for part in parts
        )
        program = cluster.attempt(lambda: compile_program(config, train, valid, run.log, augment))
        state = _loop(config, parallel.replicate(state, mesh), program, run)
        run.log(f"Finished: {_said(config, state)}. Run: {run.folder}")
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


def progress(config: PretrainConfig, state: PretrainState) -> Progress:
    """Where the state of a run stands."""
    fields = ("stage", "epoch", "best_epoch", "total_epoch")
    at = {name: int(getattr(state, name)) for name in fields}
    of_stage = stages(config)
    over = stopped(at["epoch"], at["best_epoch"], config.max_epochs, config.patience)
    names = tuple(config.sources[source] for source in of_stage[at["stage"]])
    return Progress(**at, sources=names, stage_over=over, finished=over and at["stage"] == len(of_stage) - 1)


def _said(config: PretrainConfig, state: PretrainState) -> str:
    at = progress(config, state)
    lowest = f"lowest validation loss of {' and '.join(at.sources)} {float(state.best_loss):.3f}"
    return f"{at.total_epoch} epochs, {lowest} at epoch {at.total_best_epoch}"


def _loop(config: PretrainConfig, state: PretrainState, program: Program, run: TrainingRun) -> PretrainState:
    """Trains until the last stage is over."""
    at = progress(config, state)
    left = (len(stages(config)) - at.stage) * config.max_epochs - at.epoch
    bar = tqdm(
        total=at.total_epoch + left,
        initial=at.total_epoch,
        desc=config.method,
        unit="epoch",
        dynamic_ncols=True,
        disable=not cluster.is_primary(),
    )
    with run.monitored(at.total_epoch) as monitor, bar:
        while not at.finished:
            if at.stage_over:
                bar.total -= config.max_epochs - at.epoch  # what early stopping saves
                state = program.next_stage(state)
                at = progress(config, state)
            start = time.perf_counter()
            with monitor.interval():
                state, info, learning_rate = program.epochs(state, config.log_every - at.epoch % config.log_every)
                losses = {name: float(value) for name, value in info._asdict().items()}
            before, at = at.epoch, progress(config, state)
            seconds = time.perf_counter() - start
            if not all(math.isfinite(loss) for loss in losses.values()):
                raise InputError(
                    f"The loss is no longer finite in epoch {at.epoch} of {' and '.join(at.sources)}: {losses}. Try a "
                    f"lower --lr in another --run_dir; {config.run_dir} keeps the checkpoints so far."
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
            due = at.stage_over or at.epoch % config.checkpoint_every == 0
            run.finish_interval(line, state, losses["valid_loss"], due=due, last=at.finished)
    return state
