"""What surrounds every training loop: processes, the run's identity, checkpoints, metrics, preemption.

Process 0 alone writes. What can fail in one process alone is attempted in all, so that none waits for another.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from metaser_jax import cluster
from metaser_jax.data.target import Target
from metaser_jax.devices import parallel
from metaser_jax.results.environment import versions
from metaser_jax.results.run_dir import METRICS, claim, hold, read_lines
from metaser_jax.specs import JobSpec
from metaser_jax.specs.training import SourcesSpec
from metaser_jax.training.checkpoints import Checkpoints
from metaser_jax.training.monitor import Monitor
from metaser_jax.training.sources import FREE, identity

Log = Callable[[str], None]
OnInterval = Callable[[Mapping[str, Any]], None]
"""Is told each line of metrics.jsonl when it is written, and its checkpoint begun."""
# One process, and what is usual.
ALONE = JobSpec()
# May differ between the processes of a run.
_OF_A_PROCESS = ("data_dir", "process_id")


class TrainingRun:
    """A run that is going on in this process.

    Attributes:
      folder: the run directory.
      ready: the source corpora.
      log: prints a line, in process 0.
      step: what the run counts by, a field of its metrics: "episode" or "total_epoch".
    """

    def __init__(
        self,
        folder: Path,
        profile: int,
        ready: Sequence[Target],
        step: str,
        checkpoints: Checkpoints | None,
        preemption: cluster.Preemption,
        log: Log,
    ):
        self.folder, self.ready, self.log, self.step = folder, ready, log, step
        self._profile, self._checkpoints, self._preemption = profile, checkpoints, preemption
        self._monitor: Monitor | None = None

    def best(self) -> int:
        """Return step of the checkpoint with the lowest validation loss; raises InputError if there is none."""
        return int(cluster.broadcast(cluster.attempt(lambda: self._checkpoints.best() if self._checkpoints else 0)))

    def restore(self, initial: Any) -> tuple[int | None, Any]:
        """Return where to go on from: the newest whole checkpoint, or the beginning.

        Args:
          initial: the state that a run begins with.

        Returns:
          The checkpoint's step, or None; and the state, the same on the host of every process.

        Raises:
          InputError: as Checkpoints.restore_newest.
        """
        found = cluster.attempt(
            lambda: self._checkpoints.restore_newest(initial, self.log) if self._checkpoints else None
        )
        step = int(cluster.broadcast(-1 if found is None else found[0]))
        return None if step < 0 else step, cluster.broadcast(initial if found is None else found[1])

    @contextlib.contextmanager
    def monitored(self, done: int) -> Iterator[Monitor]:
        """Open metrics.jsonl and what else is written from interval to interval.

        Args:
          done: steps done; lines of later ones, which a killed run may have left, are dropped.
        """
        primary = cluster.is_primary()
        with contextlib.ExitStack() as stack:

            def open_monitor() -> Monitor:
                lines = read_lines(self.folder / METRICS, self.step) if primary else []
                kept = [line for line in lines if line[self.step] <= done]
                options = {"kept": kept, "profile": self._profile, "primary": primary}
                return stack.enter_context(Monitor(self.folder, key=self.step, **options))

            self._monitor = cluster.attempt(open_monitor)
            self.stop_if_asked(done)
            yield self._monitor
            cluster.attempt(stack.close)

    def finish_interval(self, line: Mapping[str, Any], state: Any, loss: float, *, due: bool, last: bool) -> None:
        """Write an interval's metrics, and a checkpoint if one is due or the scheduler wants the machine back.

        Args:
          line: of metrics.jsonl.
          state: after the interval, the same on all devices.
          loss: on validation, what the best checkpoint has the lowest of.
          due: a checkpoint is.
          last: nothing is left to do.

        Raises:
          cluster.Preempted: the checkpoint is written, and the process is to end.
          InputError: something cannot be written.
        """
        stop = not last and self._preemption.reached()
        self.record(line, state, loss, save=due or stop or last, wait=stop or last)
        if stop:
            self._end_preempted(line[self.step])

    def record(self, line: Mapping[str, Any], state: Any, loss: float, *, save: bool, wait: bool = False) -> None:
        """Write an interval's metrics, and with save begins to write a checkpoint.

        Args:
          line, state, loss: as of finish_interval.
          wait: until the checkpoint is written.

        Raises:
          InputError: something cannot be written.
        """

        def write() -> None:
            if self._checkpoints is None:
                return
            self._monitor.write(line)
            if save:
                self._monitor.sync()
                self._checkpoints.save(line[self.step], state, loss)
            if wait:
                self._checkpoints.wait()

        cluster.attempt(write)

    def wait(self) -> None:
        """Return when the checkpoint that was begun is written; raises InputError if it cannot be."""
        cluster.attempt(lambda: self._checkpoints.wait() if self._checkpoints else None)

    def stop_if_asked(self, done: int) -> None:
        """Raise cluster.Preempted if the scheduler wants the machine back; what there is to save has been saved."""
        if self._preemption.reached():
            self._end_preempted(done)

    def _end_preempted(self, done: int) -> None:
        where = f"the checkpoint is in {self.folder}" if done else "there is nothing to save yet"
        raise cluster.Preempted(f"Stopped by SIGTERM at {self.step} {done}; {where}. The same command goes on.")


def run_settings(spec: SourcesSpec, job: JobSpec, data_dir: str, run_dir: str) -> dict[str, Any]:
    """Return what config.json says of a run, besides what it learns from."""
    places = {"data_dir": data_dir, "run_dir": run_dir}
    return dataclasses.asdict(spec) | dataclasses.asdict(job) | places


@contextlib.contextmanager
def training_run(
    job: JobSpec,
    settings: Mapping[str, Any],
    method: str,
    load: Callable[[], tuple[list[Target], dict[str, Any]]],
    *,
    step: str,
    log: Log,
) -> Iterator[TrainingRun]:
    """Begin, or come back to, a run.

    Where jax has not been used yet and there is no accelerator, it runs on one device per core of the CPU.

    Args:
      job: how its processes come together, what it keeps and traces.
      settings: what the run is, JSON-able, with its run_dir and sources: config.json's.
      method: what config.json calls it.
      load: loads the sources, and says what of the run is known only then.
      step: see TrainingRun.
      log: prints a line.

    Raises:
      InputError: of `load`, a run_dir of another configuration, processes that were given different ones.
    """
    with in_job(job, log) as (preemption, log), precision(settings.get("dtype", "float32")):
        ready, known = cluster.attempt(load)
        with open_run(job, {**settings, **known}, method, ready, preemption, step=step, log=log) as run:
            yield run


@contextlib.contextmanager
def in_job(job: JobSpec, log: Log) -> Iterator[tuple[cluster.Preemption, Log]]:
    """Surround everything that a process of a job does; give how it hears of preemption, and process 0's log."""
    cluster.start(job)
    with cluster.guard(), cluster.Preemption() as preemption:
        parallel.one_device_per_core()
        yield preemption, log if cluster.is_primary() else lambda line: None


def precision(dtype: str) -> contextlib.AbstractContextManager:
    """Surround what is computed with a dtype."""
    return jax.enable_x64(dtype == "float64")


@contextlib.contextmanager
def open_run(
    job: JobSpec,
    settings: Mapping[str, Any],
    method: str,
    ready: Sequence[Target],
    preemption: cluster.Preemption,
    *,
    step: str,
    log: Log,
) -> Iterator[TrainingRun]:
    """Open the run, inside `in_job`; arguments and errors as training_run's, with the sources loaded."""
    run = identity(settings, method, settings["sources"], ready)
    folder = Path(settings["run_dir"])
    of_all = {k: v for k, v in run.items() if k not in _OF_A_PROCESS}
    cluster.agree("the run", of_all | {f"version of {name}": version for name, version in versions().items()})

    with contextlib.ExitStack() as stack:

        def open_folder() -> Checkpoints | None:
            if not cluster.is_primary():
                return None
            claim(folder, run, free=FREE)
            stack.enter_context(hold(folder, job.start_timeout, log))
            return stack.enter_context(Checkpoints(folder, keep=job.keep_checkpoints, run=run))

        checkpoints = cluster.attempt(open_folder)
        yield TrainingRun(folder, job.profile, ready, step, checkpoints, preemption, log)
