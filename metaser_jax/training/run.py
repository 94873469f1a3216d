"""A training run: its processes, its folder, and the loop over its intervals, with all that is written of them.

Runs that share a program are trained side by side, as a grid; a run alone is a grid of one. Process 0 alone writes.
What can fail in one process alone is attempted in all, so that none waits for another.
"""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from metaser_jax import npz
from metaser_jax.data import together
from metaser_jax.data.target import Target
from metaser_jax.datasets.loading import load as load_corpus
from metaser_jax.datasets.targets import Load, load_targets, load_together
from metaser_jax.errors import InputError
from metaser_jax.messages import logged_as, progress_bar
from metaser_jax.results.run_dir import METRICS, SHAPE, claim, hold, read_lines, replacing, versions, write_text
from metaser_jax.specs import JobSpec, MetaTrainSpec, PretrainSpec, how_fields
from metaser_jax.specs.training import SourcesSpec
from metaser_jax.training import cluster, parallel
from metaser_jax.training.checkpoints import Checkpoints, to_host
from metaser_jax.training.monitor import Monitor

OnInterval = Callable[[Mapping[str, Any]], None]
"""Is told each line of metrics.jsonl when it is written, and its checkpoint begun."""
# One process, and what is usual.
ALONE = JobSpec()
# What a run may be continued with in another way: where things are, and how, not what, is computed. Where a run's start
# is may change; what it is has a digest.
FREE = ("data_dir", "run_dir", "init", *how_fields(MetaTrainSpec), *how_fields(PretrainSpec), *how_fields(JobSpec))
# May differ between the processes of a run.
_OF_A_PROCESS = ("data_dir", "process_id")


def load_sources(spec: SourcesSpec, data_dir: str, load: Load = load_corpus) -> list[Target]:
    """Load the source corpora, each with its random split and as the network is given it.

    With spec.learn_from "all" a test part joins the training part.

    Raises:
      InputError: a corpus that is not prepared, lacks an emotion, or is too small for a split.
    """
    load = load_together(spec.sources, data_dir, spec.emotions, load)
    sources = []
    for name in spec.sources:
        (target,) = load_targets(name, data_dir, emotions=spec.emotions, split_seed=spec.split_seed, load=load)
        if spec.learn_from == "all":
            split = target.split
            train = np.sort(np.concatenate([split.train, split.test]))
            target = target._replace(split=dataclasses.replace(split, train=train, test=split.test[:0]))
        sources.append(target.as_input(spec.front_end))
    return sources


def training_utterances(sources: Sequence[Target]) -> np.ndarray:
    """Return [n, time, coef], the training parts of all sources: what initial parameters may look at."""
    return np.concatenate([source.corpus.mfcc[source.split.train] for source in sources])


def shape_of(sources: Sequence[Target], classes: int) -> together.Shape:
    """Return what the training parts of sources say of a network's input, for clips that are labelled together."""
    parts = [source.corpus.take(source.split.train) for source in sources]
    return together.shape_of([(part.mfcc[:, 0], part.label, part.speaker) for part in parts], classes)


def identity(
    settings: Mapping[str, Any], method: str, names: Sequence[str], sources: Sequence[Target]
) -> dict[str, Any]:
    """Return the content of config.json: the settings, the method, and digests of what the run learns from."""
    heard = {source.corpus.vectors_of for source in sources} if settings["features"] == "encoder" else set()
    if len(heard) > 1:
        raise InputError(f"--sources have the vectors of different encoders: {', '.join(sorted(heard))}. Prepare anew.")
    return dict(settings) | {
        "method": method,
        **({"encoder": heard.pop()} if heard else {}),
        "corpus_digests": {name: source.digest for name, source in zip(names, sources, strict=True)},
        "split_digests": {name: source.split.digest for name, source in zip(names, sources, strict=True)},
    }


@contextlib.contextmanager
def in_job(job: JobSpec) -> Iterator[cluster.Preemption]:
    """Surround everything that a process of a job does, of which 0 alone logs; give how it hears of preemption."""
    cluster.start(job)
    spoken = contextlib.nullcontext() if cluster.is_primary() else logged_as("")
    with spoken, cluster.guard(), cluster.Preemption() as preemption:
        parallel.one_device_per_core()
        yield preemption


def precision(spec: SourcesSpec) -> contextlib.AbstractContextManager:
    """Surround what is computed of a run."""
    return jax.enable_x64(getattr(spec, "dtype", "float32") == "float64")


class Run:
    """A run that is going on in this process.

    Attributes:
      folder: the run directory.
      key: what the run counts by, a field of its states and of its metrics: "episode" or "total_epoch".
      saved: that number of its newest checkpoint, 0 if it has none.
      state: where it stands, on the host; None before `restore`.
    """

    def __init__(self, folder: Path, key: str, profile: int, checkpoints: Checkpoints | None):
        self.folder, self.key = folder, key
        self.saved, self.state = 0, None
        self._profile, self._checkpoints = profile, checkpoints
        self._monitor: Monitor | None = None

    def restore(self, initial: Any) -> Any:
        """Return the state to go on from, the same on the host of every process: the newest that is whole, or initial.

        Raises:
          InputError: as Checkpoints.restore_newest.
        """
        found = self._in_primary(lambda checkpoints: checkpoints.restore_newest(initial))
        self.saved = int(cluster.broadcast(0 if found is None else found[0]))
        self.state = cluster.broadcast(initial if found is None else found[1])
        return self.state

    def best(self) -> tuple[int, float]:
        """Return step and loss of the checkpoint with the lowest validation loss; raises InputError without any."""

        def found(checkpoints: Checkpoints) -> tuple[int, float]:
            step = checkpoints.best()
            return step, checkpoints.loss(step)

        step, loss = cluster.broadcast(self._in_primary(found) or (0, 0.0))
        return int(step), float(loss)

    @contextlib.contextmanager
    def monitored(self) -> Iterator[Monitor]:
        """Open metrics.jsonl and what else is written from interval to interval.

        Lines beyond the newest checkpoint, which a killed run may have left, are dropped.
        """
        primary = cluster.is_primary()
        with contextlib.ExitStack() as stack:

            def open_monitor() -> Monitor:
                lines = read_lines(self.folder / METRICS, self.key) if primary else []
                kept = [line for line in lines if line[self.key] <= self.saved]
                monitor = Monitor(self.folder, key=self.key, kept=kept, profile=self._profile, primary=primary)
                return stack.enter_context(monitor)

            self._monitor = cluster.attempt(open_monitor)
            yield self._monitor
            cluster.attempt(stack.close)

    def record(self, line: Mapping[str, Any], loss: float, *, save: bool) -> None:
        """Write an interval's metrics, and with `save` begin to write a checkpoint of the state.

        Args:
          line: of metrics.jsonl.
          loss: on validation, what the best checkpoint has the lowest of.
          save: whether to.

        Raises:
          InputError: something cannot be written.
        """

        def write(checkpoints: Checkpoints) -> None:
            self._monitor.write(line)
            if save:
                self._monitor.sync()
                checkpoints.save(line[self.key], self.state, loss)

        self._in_primary(write)
        if save:
            self.saved = line[self.key]

    def wait(self) -> None:
        """Return when the checkpoint that was begun is written; raises InputError if it cannot be."""
        self._in_primary(Checkpoints.wait)

    def write(self, name: str, text: str) -> None:
        """Write a file of the run; raises InputError if it cannot be written."""
        self._in_primary(lambda _: write_text(self.folder / name, text))

    def _in_primary(self, action: Callable[[Checkpoints], Any]) -> Any:
        """Attempt what process 0 does with its checkpoints; the others return None."""
        return cluster.attempt(lambda: action(self._checkpoints) if self._checkpoints else None)


@contextlib.contextmanager
def open_run(
    spec: SourcesSpec,
    job: JobSpec,
    data_dir: str,
    run_dir: str,
    method: str,
    sources: Sequence[Target],
    *,
    key: str,
    more: Mapping[str, Any] | None = None,
) -> Iterator[Run]:
    """Start or resume a run, inside `in_job`.

    Args:
      spec: what the run is.
      job: how its processes come together, what it keeps and traces.
      data_dir: of its sources.
      run_dir: its folder.
      method: what config.json calls it.
      sources: of load_sources.
      key: see Run.
      more: what else config.json says.

    Raises:
      InputError: a run_dir of another configuration, processes that were given different ones.
    """
    settings = dataclasses.asdict(spec) | dataclasses.asdict(job) | {"data_dir": data_dir, "run_dir": run_dir}
    run = identity(settings | dict(more or {}), method, spec.sources, sources)
    folder, primary = Path(run_dir), cluster.is_primary()
    of_all = {name: value for name, value in run.items() if name not in _OF_A_PROCESS}
    cluster.agree("the run", of_all | {f"version of {name}": version for name, version in versions().items()})
    with contextlib.ExitStack() as stack:

        def open_folder() -> Checkpoints | None:
            if not primary:
                return None
            claim(folder, run, free=FREE)
            if spec.of_voice and not (folder / SHAPE).exists():
                with replacing(folder / SHAPE) as file:
                    file.write_bytes(npz.npz_bytes(together.pack(shape_of(sources, len(spec.emotions)))))
            stack.enter_context(hold(folder, job.start_timeout))
            return stack.enter_context(Checkpoints(folder, keep=job.keep_checkpoints, run=run))

        checkpoints = cluster.attempt(open_folder)
        yield Run(folder, key, job.profile, checkpoints)


class Program(NamedTuple):
    """The compiled functions of a grid of runs. Arrays are [run, ...], on every device; PRNG keys are their data.

    Attributes:
      interval: (states, steps [run]) -> (states, info): so many steps of each run, or as many as its stage still has.
      validate: (states, info) -> losses on validation, [run].
      plan: (run, state) -> the steps of a run's next interval, and at most how many it has left; none if it is done.
      report: (run, state, info, loss) -> the line of metrics.jsonl that an interval ends with, and whether a checkpoint
        is due; of a run's number, and its part of the others on the host. Raises an InputError if it cannot go on.
      states: what the runs begin with.
    """

    interval: Callable[[Any, Sequence[int]], tuple[Any, Any]]
    validate: Callable[[Any, Any], Any]
    plan: Callable[[int, Any], tuple[int, int]]
    report: Callable[[int, Any, Any, float], tuple[dict[str, Any], bool]]
    states: Any


def part_of(tree: Any, run: int) -> Any:
    """Return a run's part of arrays [run, ...] on the host."""
    return jax.tree.map(lambda leaf: leaf[run], tree)


def train(
    runs: Sequence[Run],
    program: Program,
    preemption: cluster.Preemption,
    *,
    title: str,
    on_interval: OnInterval | None = None,
) -> dict[int, str]:
    """Train runs side by side, each until it is done or cannot go on, and write what there is to know of them.

    Args:
      runs: open.
      program: of these runs.
      preemption: of in_job.
      title: of the progress bar.
      on_interval: is told each line of metrics.jsonl; what it raises ends the runs, which the same call resumes.

    Returns:
      By their numbers, why runs cannot go on.

    Raises:
      InputError: something cannot be written.
      cluster.Preempted: the scheduler wants the machine back; the checkpoints are written.
    """
    stopped: dict[int, str] = {}
    key, states = runs[0].key, program.states
    unit = key.removeprefix("total_")

    def plans() -> list[tuple[int, int]]:
        return [(0, 0) if i in stopped else program.plan(i, run.state) for i, run in enumerate(runs)]

    with contextlib.ExitStack() as opened:
        monitors = [opened.enter_context(run.monitored()) for run in runs]
        if preemption.reached():
            raise _preempted(runs)
        done, left = sum(run.saved for run in runs), sum(most for _, most in plans())
        shown = cluster.is_primary()
        bar = opened.enter_context(progress_bar(total=done + left, initial=done, desc=title, unit=unit, shown=shown))
        while any(steps := [n for n, _ in plans()]):
            start = time.perf_counter()
            with monitors[0].interval():
                states, info = program.interval(states, steps)
                info = to_host(info)
            seconds = time.perf_counter() - start
            losses, host = to_host(program.validate(states, info)), to_host(states)
            lines, due = {}, {}
            for i in np.flatnonzero(steps).tolist():
                run, before = runs[i], getattr(runs[i].state, key)
                run.state = part_of(host, i)
                try:
                    line, due[i] = program.report(i, run.state, part_of(info, i), float(losses[i]))
                except InputError as error:
                    stopped[i] = str(error)
                    continue
                done_now = int(getattr(run.state, key) - before)
                lines[i] = line | {f"{unit}s_per_second": done_now / seconds}
                bar.update(done_now)
            left = [most for _, most in plans()]
            bar.total = bar.n + sum(left)  # less than before, where a stage has ended early
            bar.set_postfix(valid_loss=f"{np.mean([losses[i] for i in lines] or [np.nan]):.3f}")
            stop = any(left) and preemption.reached()
            for i, line in lines.items():
                runs[i].record(line, float(losses[i]), save=due[i] or stop or not left[i])
            if stop:
                raise _preempted(runs)
            for line in lines.values() if on_interval else ():
                on_interval(line)
        for run in runs:
            run.wait()
    return stopped


def _preempted(runs: Sequence[Run]) -> cluster.Preempted:
    """Wait until the checkpoints are written, and return the exception to raise."""
    for run in runs:
        run.wait()
    place = runs[0].folder if len(runs) == 1 else runs[0].folder.parent
    saved = f"the newest checkpoint is in {place}" if any(run.saved for run in runs) else "there is nothing to save yet"
    return cluster.Preempted(f"Stopped by SIGTERM; {saved}. The same command goes on.")
