"""Many meta-trainings at once: those that share a program as one, one program after another.

Each is an ordinary run in a folder of its own, which metaser meta-train may go on with and metaser finetune start from.
A run that is come back to goes on from its own newest checkpoint, whatever the others have, so one that was
stopped ends as one that was not.
"""

import contextlib
import dataclasses
import json
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from metaser_jax import cluster
from metaser_jax.data.target import Target
from metaser_jax.datasets.loading import load as load_corpus
from metaser_jax.datasets.targets import Load
from metaser_jax.devices.compiling import waiting
from metaser_jax.errors import InputError
from metaser_jax.loops.meta_training import TrainState
from metaser_jax.messages import progress_bar
from metaser_jax.results.run_dir import METRICS, read_lines, write_text
from metaser_jax.specs import JobSpec, MetaTrainSpec
from metaser_jax.specs.algorithms import method_of
from metaser_jax.training import intervals
from metaser_jax.training.checkpoints import to_host
from metaser_jax.training.cost import MEASURED, measured_of
from metaser_jax.training.finished import pretrained
from metaser_jax.training.grid_program import compile_sweep, program_of, state_of
from metaser_jax.training.meta_train import banks, check_sources, diagnosis_of
from metaser_jax.training.sources import load_sources, training_utterances
from metaser_jax.training.trainer import make_trainer
from metaser_jax.training.training_run import Log, OnInterval, TrainingRun, in_job, open_run, precision, run_settings


class Member(NamedTuple):
    """One run of a sweep.

    Attributes:
      name: of its folder: "meta_lr=0.002,seed=3".
      setting: the swept fields without the seed, which members of one setting share.
      spec: what it is.
      run_dir: its folder.
    """

    name: str
    setting: dict[str, Any]
    spec: MetaTrainSpec
    run_dir: str


class Trained(NamedTuple):
    """A run of a sweep, afterwards.

    Attributes:
      member: which it is.
      episodes: of its newest checkpoint; 0 if it has none.
      best: episode of the checkpoint with the lowest validation loss, None if it has none.
      valid_query_loss: that loss.
      stopped: why it could not go on; None if it has finished.
    """

    member: Member
    episodes: int
    best: int | None
    valid_query_loss: float | None
    stopped: str | None


class Group(NamedTuple):
    """Runs that share a program, and their sources."""

    members: tuple[Member, ...]
    ready: list[Target]


def load_groups(members: Sequence[Member], data_dir: str, load: Load = load_corpus) -> list[Group]:
    """Sort the sweep's runs by their programs, and load their sources.

    Raises:
      InputError: a source that is not prepared, or too small.
    """
    by_program: dict[MetaTrainSpec, list[Member]] = {}
    for member in members:
        by_program.setdefault(program_of(member.spec), []).append(member)
    loaded: dict[Any, list[Target]] = {}
    groups = []
    for common, alike in by_program.items():
        of_sources = (common.split_seed, common.front_end)
        if of_sources not in loaded:
            loaded[of_sources] = load_sources(common, data_dir, load)
        check_sources(common, loaded[of_sources])
        groups.append(Group(tuple(alike), loaded[of_sources]))
    return groups


def train_groups(
    groups: Sequence[Group],
    job: JobSpec,
    data_dir: str,
    log: Log = print,
    on_interval: OnInterval | None = None,
    init: str = "",
) -> dict[str, Trained]:
    """Run, or go on with, every meta-training of the sweep.

    A run that cannot go on, its update being not finite, stops at its last checkpoint; the others go on.

    Args:
      groups: of load_groups.
      job: how the process runs, what the runs keep and trace.
      data_dir: for config.json.
      log: prints a line.
      init: as run_meta_training's, of all runs.
      on_interval: is told each run's lines of metrics.jsonl, before its checkpoint is begun.

    Returns:
      The runs by their names.

    Raises:
      InputError: a run's folder that holds another run, more memory than there is, a checkpoint that cannot be written.
      cluster.Preempted: the scheduler wants the machine back; the checkpoints are written.
    """
    found: dict[str, Trained] = {}
    with in_job(job, log) as (preemption, log):
        for number, group in enumerate(groups, 1):
            if len(groups) > 1:
                log(f"Program {number} of {len(groups)}: {len(group.members)} runs, from {group.members[0].name} on.")
            with precision(group.members[0].spec.dtype):
                found |= {
                    one.member.name: one for one in _train(group, job, data_dir, init, preemption, log, on_interval)
                }
        if preemption.reached():
            _end_preempted(groups[-1].members[-1])
    return found


def _train(
    group: Group,
    job: JobSpec,
    data_dir: str,
    init: str,
    preemption: cluster.Preemption,
    log: Log,
    on_interval: OnInterval | None,
) -> list[Trained]:
    with contextlib.ExitStack() as stack_of_runs:
        start = pretrained(init, group.members[0].spec)
        runs = []
        for member in group.members:
            # A process has one profiler.
            own = job if not runs else dataclasses.replace(job, profile=0)
            settings = run_settings(member.spec, own, data_dir, member.run_dir)
            settings |= {} if start is None else {"init": init, "init_digest": start.digest}
            options = {"step": "episode", "log": lambda line, name=member.name: log(f"{name}: {line}")}
            opened = open_run(own, settings, method_of(member.spec.algorithm), group.ready, preemption, **options)
            runs.append(stack_of_runs.enter_context(opened))
        x = training_utterances(group.ready)
        begin = [make_trainer(m.spec, x, start and start.params).state for m in group.members]
        restored = [run.restore(state) for run, state in zip(runs, begin, strict=True)]
        saved, stopped = [latest or 0 for latest, _ in restored], {}
        if any(episode < m.spec.episodes for episode, m in zip(saved, group.members, strict=True)):
            stopped = _go_on(group, runs, [state for _, state in restored], saved, preemption, log, on_interval)
        return [_trained(*one, stopped.get(i)) for i, one in enumerate(zip(group.members, runs, saved, strict=True))]


def _trained(member: Member, run: TrainingRun, saved: int, stopped: str | None) -> Trained:
    run.wait()
    if not saved:
        return Trained(member, 0, None, None, stopped)
    best = run.best()
    path = run.folder / METRICS
    losses = [line["valid_query_loss"] for line in read_lines(path) if line["episode"] == best]
    if len(losses) != 1:
        raise InputError(f"{path}: got {len(losses)} lines of episode {best}, expected one. Remove the run's folder.")
    return Trained(member, saved, best, losses[0], stopped)


def _go_on(
    group: Group,
    runs: Sequence[TrainingRun],
    states: Sequence[TrainState],
    saved: list[int],
    preemption: cluster.Preemption,
    log: Log,
    on_interval: OnInterval | None,
) -> dict[int, str]:
    """Train the group from its states on; saved becomes the episodes of the newest checkpoints.

    Returns:
      By their numbers, why runs could not go on.
    """
    specs, done = [member.spec for member in group.members], list(saved)
    if any(done):
        log(f"Going on from the checkpoints at episodes {', '.join(map(str, sorted(set(done))))}.")
    sources, held_out = banks(specs[0], group.ready)
    episodes = sum(spec.episodes - n for spec, n in zip(specs, done, strict=True))
    log(waiting(f"{len(runs)} runs", f"{episodes} episodes of training"))
    program = compile_sweep(specs, states, sources, held_out)
    log(f"Compiled in {program.seconds:.1f} s for {len(runs)} runs on {program.device}.")
    measured = measured_of(program.compiled, program.seconds, program.device) | {"runs": len(runs)}
    for run in runs:
        cluster.attempt(lambda run=run: write_text(run.folder / MEASURED, json.dumps(measured, indent=2) + "\n"))
    stopped: dict[int, str] = {}
    with contextlib.ExitStack() as opened:
        monitors = [opened.enter_context(run.monitored(start)) for run, start in zip(runs, done, strict=True)]
        total = len(runs) * specs[0].episodes
        bar = progress_bar(total=total, initial=sum(done), desc="sweep", unit="episode")
        opened.enter_context(bar)
        now = program.states
        while (n := _episodes_of(specs, done, stopped)).any():
            start = time.perf_counter()
            with monitors[0].interval():
                now, info = program.interval(now, np.pad(n, (0, len(now.episode) - len(n))))
                info = jax.tree.map(np.asarray, info)
            seconds = time.perf_counter() - start
            losses, host = np.asarray(program.validate(now)), to_host(now)
            lines: dict[int, dict[str, Any]] = {}
            for i in map(int, np.flatnonzero(n)):
                state, loss = state_of(host, i), float(losses[i])
                measured = intervals.to_floats(jax.tree.map(lambda leaf, i=i: leaf[i], info))
                diagnosis = diagnosis_of(specs[i], sources, held_out)
                failed = intervals.failure(measured, state, loss, diagnosis, skip_nonfinite=specs[i].skip_nonfinite)
                if failed:
                    stopped[i] = failed
                    log(f"{group.members[i].name} stops: {failed}")
                    continue
                done[i] += int(n[i])
                lines[i] = intervals.line_of(
                    measured, state, loss, n[i] / seconds, skip_nonfinite=specs[i].skip_nonfinite
                )
            for line in lines.values() if on_interval else ():
                on_interval(line)
            stop = _episodes_of(specs, done, stopped).any() and preemption.reached()
            for i, line in lines.items():
                due = done[i] % specs[i].checkpoint_every == 0 or done[i] == specs[i].episodes
                runs[i].record(line, state_of(host, i), line["valid_query_loss"], save=due or stop)
                saved[i] = done[i] if due or stop else saved[i]
            bar.update(sum(int(n[i]) for i in lines))
            if stop:
                for run in runs:
                    run.wait()
                _end_preempted(group.members[0])
    return stopped


def _episodes_of(specs: Sequence[MetaTrainSpec], done: Sequence[int], stopped: Collection[int]) -> np.ndarray:
    """Return [run] int32, the episodes of each run's next interval: to its next line of metrics.jsonl."""
    return np.array(
        [
            0 if i in stopped else min(one.log_every - at % one.log_every, one.episodes - at)
            for i, (one, at) in enumerate(zip(specs, done, strict=True))
        ],
        np.int32,
    )


def _end_preempted(one: Member) -> None:
    raise cluster.Preempted(
        f"Stopped by SIGTERM; the checkpoints are in {Path(one.run_dir).parent}. The same command goes on."
    )
