"""Meta-training on prepared source corpora: sources -> bank -> episodes -> learner -> checkpoint, of one run or a grid.

Each run of a grid is an ordinary run in a folder of its own, which metaser meta-train may go on with and metaser
finetune start from. One that is come back to goes on from its own newest checkpoint, whatever the others have, so one
that was stopped ends as one that was not.
"""

import contextlib
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from metaser_jax.data.embeddings import with_embeddings
from metaser_jax.data.target import Target
from metaser_jax.datasets.loading import load as load_corpus
from metaser_jax.datasets.targets import Load
from metaser_jax.errors import InputError
from metaser_jax.messages import log
from metaser_jax.specs import JobSpec, MetaTrainSpec
from metaser_jax.specs.algorithms import method_of
from metaser_jax.specs.programs import MetaTrainConfig
from metaser_jax.training import cluster
from metaser_jax.training import run as training_run
from metaser_jax.training.cost import MEASURED
from metaser_jax.training.finished import pretrained
from metaser_jax.training.meta_program import compile_program, program_of, speakers_of
from metaser_jax.training.pretrain import MULTISER, trained_first
from metaser_jax.training.run import ALONE, OnInterval
from metaser_jax.training.sampling import bank
from metaser_jax.training.trainer import make_trainer

ADVICE = "Try a lower --meta_lr or --inner_lr in another --run_dir;"


class Member(NamedTuple):
    """A run of a grid.

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
    """A run of a grid, afterwards.

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


def meta_train(config: MetaTrainConfig, *, load: Load = load_corpus, on_interval: OnInterval | None = None) -> Path:
    """Meta-train as a program's configuration says; arguments and errors as `run_meta_training`'s."""
    spec, job = MetaTrainSpec.of(config), JobSpec.of(config)
    load = with_embeddings(load, config.embeddings, spec)
    # As a sibling: a run's own folder holds one run.
    start = f"{config.run_dir.rstrip('/')}_{MULTISER}"
    init = trained_first(config.init, spec, config.data_dir, start, job, load)
    options = {"init": init, "job": job, "load": load, "on_interval": on_interval}
    return run_meta_training(spec, config.data_dir, config.run_dir, **options)


def run_meta_training(
    spec: MetaTrainSpec,
    data_dir: str,
    run_dir: str,
    *,
    init: str = "",
    job: JobSpec = ALONE,
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
      load: reads a prepared corpus.
      on_interval: is told each line of metrics.jsonl; what it raises ends the run, which the same call resumes.

    Returns:
      The run directory.

    Raises:
      InputError: sources that do not allow it, a run_dir of another configuration, a loss or gradient that is not
        finite, a checkpoint that cannot be written.
      cluster.Preempted: the scheduler wants the machine back; the checkpoint is written.
    """
    members = [Member("", {}, spec, run_dir)]
    with training_run.in_job(job) as preemption:
        (group,) = cluster.attempt(lambda: load_groups(members, data_dir, load))
        with training_run.precision(spec):
            (trained,) = _train(group, job, data_dir, init, preemption, on_interval)
        if trained.stopped:
            raise InputError(f"{trained.stopped} {ADVICE} {run_dir} keeps the checkpoints so far.")
    return Path(run_dir)


def load_groups(members: Sequence[Member], data_dir: str, load: Load = load_corpus) -> list[Group]:
    """Sort a grid's runs by their programs, and load their sources.

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
            loaded[of_sources] = training_run.load_sources(common, data_dir, load)
        check_sources(common, loaded[of_sources])
        groups.append(Group(tuple(alike), loaded[of_sources]))
    return groups


def check_sources(spec: MetaTrainSpec, ready: Sequence[Target]) -> None:
    """Raise an InputError unless episodes can be drawn from the sources."""
    train, valid = ([r.corpus.take(getattr(r.split, part)) for r in ready] for part in ("train", "valid"))
    bank.check_enough(train, spec.shots, spec.queries, pool=spec.pool_sources, part="training part")
    names, voices = [corpus.name for corpus in train], speakers_of(ready)
    if spec.tasks_by == "speaker":
        both = zip(bank.heard(train, voices, spec.shots + 1), bank.heard(valid, voices), strict=True)
        who = f"with {spec.shots + 1} training clips of each emotion (--shots and one more) and a validation clip"
        bank.check_speakers(names, [int(np.sum(a & b)) for a, b in both], 1, who)
    if spec.query_speakers == "others":
        speakers = [int(np.sum(of)) for of in bank.heard(train, voices)]
        if spec.pool_sources:
            names, speakers = ["all sources pooled"], [sum(speakers)]
        bank.check_speakers(names, speakers, 2, "for --query_speakers=others")


def train_groups(
    groups: Sequence[Group], job: JobSpec, data_dir: str, on_interval: OnInterval | None = None, init: str = ""
) -> dict[str, Trained]:
    """Run, or go on with, every meta-training of a grid.

    A run that cannot go on, its update being not finite, stops at its last checkpoint; the others go on.

    Args:
      groups: of load_groups.
      job: how the process runs, what the runs keep and trace.
      data_dir, on_interval, init: as run_meta_training's, of all runs.

    Returns:
      The runs by their names.

    Raises:
      InputError: a run's folder that holds another run, more memory than there is, a checkpoint that cannot be written.
      cluster.Preempted: the scheduler wants the machine back; the checkpoints are written.
    """
    found: dict[str, Trained] = {}
    with training_run.in_job(job) as preemption:
        for number, group in enumerate(groups, 1):
            if len(groups) > 1:
                log(f"Program {number} of {len(groups)}: {len(group.members)} runs, from {group.members[0].name} on.")
            with training_run.precision(group.members[0].spec):
                found |= {run.member.name: run for run in _train(group, job, data_dir, init, preemption, on_interval)}
            if preemption.reached():
                raise cluster.Preempted("Stopped by SIGTERM; the checkpoints are written. The same command goes on.")
    return found


def _train(
    group: Group,
    job: JobSpec,
    data_dir: str,
    init: str,
    preemption: cluster.Preemption,
    on_interval: OnInterval | None,
) -> list[Trained]:
    """Train the runs of a program; arguments and errors as train_groups'."""
    members, specs = group.members, [member.spec for member in group.members]
    start = cluster.attempt(lambda: pretrained(init, specs[0]))
    more = {"init": init, "init_digest": start.digest} if start else {}
    with contextlib.ExitStack() as opened:
        runs: list[training_run.Run] = []
        for member in members:
            # A process has one profiler.
            own = dataclasses.replace(job, profile=0) if runs else job
            method = method_of(member.spec.algorithm)
            about = (member.spec, own, data_dir, member.run_dir, method, group.ready)
            runs.append(opened.enter_context(training_run.open_run(*about, key="episode", more=more)))
        x = training_run.training_utterances(group.ready)
        begin = [make_trainer(spec, x, start and start.params).state for spec in specs]
        states = [run.restore(state) for run, state in zip(runs, begin, strict=True)]
        stopped: dict[int, str] = {}
        whole = all(run.saved == spec.episodes for run, spec in zip(runs, specs, strict=True))
        if not whole:
            if saved := sorted({run.saved for run in runs} - {0}):
                at = ", ".join(map(str, saved))
                log(f"Going on from the checkpoint at episode {at} of {specs[0].episodes}.")
            # Attempted, for the first step waits 30 s for all processes, and one may compile longer than another.
            program, measured = cluster.attempt(lambda: compile_program(specs, states, group.ready))
            for run in runs:
                run.write(MEASURED, json.dumps(measured, indent=2) + "\n")
            title = "meta-train" if len(runs) == 1 else "sweep"
            stopped = training_run.train(runs, program, preemption, title=title, on_interval=on_interval)
        trained = []
        for i, (member, run) in enumerate(zip(members, runs, strict=True)):
            best, loss = run.best() if run.saved else (None, None)
            trained.append(Trained(member, run.saved, best, loss, stopped.get(i)))
            prefix = f"{member.name}: " if member.name else ""
            if whole:
                log(f"{prefix}{run.folder} has all its {run.saved} episodes already.")
            elif i not in stopped:
                finished = f"{run.saved} episodes, best validation at episode {best}"
                log(f"{prefix}Finished: {finished}. Run: {run.folder}")
            elif len(runs) > 1:
                log(f"{prefix}stops: {stopped[i]}")
    return trained
