"""Kills a training program again and again, at random moments and inside checkpoint writes, until nothing differs.

python tests/kills/driver.py --kills=50 --seed=0 --out=DIR

A run is started, killed, started again by the same command, and so on until it ends; it must then be the run that
nobody has killed: the same parameters, optimizer and metrics, to the bit. Runs follow one another until there were
enough kills.
"""

import collections
import dataclasses
import math
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from absl import logging

sys.path.insert(0, str(Path(__file__).resolve().parent))
import tiny_job
from tiny_job import Job

PREEMPTED = 75
"""Exit code of a run that SIGTERM has stopped, and that the same command goes on with."""

REFERENCE = "undisturbed"
_POLL = 0.002
_LIFE = 300.0  # seconds after which a life that nothing has ended is an error
_PATIENCE = 3  # lives without a new checkpoint, before one is left alone until it has written one


class Failed(Exception):
    """The program did what it must not."""


@dataclasses.dataclass(frozen=True)
class Kill:
    """Signal, so long after a life's start (aim life), or after a write began (aim write; `passed` are left alone)."""

    aim: str
    signal: signal.Signals
    delay: float
    passed: int = 0


@dataclasses.dataclass(frozen=True)
class Life:
    """How a life ended."""

    kill: Kill | None
    code: int
    seconds: float
    episode: int
    checkpoint: int
    writing: bool


def random_kills(seed: int, life: float, write: float) -> Iterator[Kill]:
    """Kills of both kinds and signals, without end."""
    rng = random.Random(seed)
    while True:
        how = rng.choice((signal.SIGKILL, signal.SIGTERM))
        if rng.random() < 0.5:
            yield Kill("life", how, rng.uniform(0, life))
        else:
            yield Kill("write", how, rng.uniform(0, write), rng.randrange(6))


class Watch:
    """Looks at a run's checkpoints folder; of what a life before has left it says nothing."""

    def __init__(self, job: Job, name: str):
        self._job, self._name = job, name
        self._now = set(job.unfinished(name))
        self.begun: list[float] = []  # when each write was first seen
        self.seconds: list[float] = []  # of each write that is over
        self.writing: dict[Path, float] = {}

    def look(self) -> None:
        """To be called often."""
        now, at = set(self._job.unfinished(self._name)), time.monotonic()
        for path in now - self._now:
            self.begun.append(at)
            self.writing[path] = at
        self.seconds += [at - self.writing.pop(path) for path in self._now - now if path in self.writing]
        self._now = now


def live(job: Job, name: str, kill: Kill | None, longest: float = _LIFE) -> tuple[Life, Watch]:
    """One life of a run."""
    newest, start = _newest(job, name), time.monotonic()
    watch = Watch(job, name)
    process = job.start(name)
    try:
        sent, writing = False, False
        while process.poll() is None:
            watch.look()
            at = time.monotonic()
            if at > start + longest:
                raise _failed(job, name, f"still runs after {longest:.0f} s, with {kill}")
            if kill and not sent and at >= _moment(kill, start, watch):
                trained, writing, sent = bool(watch.begun), bool(watch.writing), True
                process.send_signal(kill.signal)
            time.sleep(_POLL)
    finally:
        process.kill()
        code = process.wait()
    if sent and code == -signal.SIGKILL:
        watch.look()
        writing = bool(watch.writing)
    lines = job.lines(name)
    episode = lines[-1]["episode"] if lines else 0
    life = Life(kill if sent else None, code, time.monotonic() - start, episode, _newest(job, name), writing)
    allowed = {0}
    if sent:  # it may have ended just then
        allowed.add(-kill.signal if kill.signal == signal.SIGKILL else PREEMPTED)
        # While it starts, and when all is done, there is nothing to write.
        if kill.signal == signal.SIGTERM and (not trained or life.checkpoint == job.episodes):
            allowed.add(-kill.signal)
    if code not in allowed:
        raise _failed(job, name, f"exit code {code} after {kill}, expected one of {sorted(allowed)}")
    if life.checkpoint < newest:
        raise _failed(job, name, f"the checkpoint of episode {newest} has vanished")
    if code == 0 and life.checkpoint != job.episodes:
        raise _failed(job, name, f"exit code 0 at episode {life.checkpoint} of {job.episodes}")
    return life, watch


def _moment(kill: Kill, start: float, watch: Watch) -> float:
    if kill.aim == "life":
        return start + kill.delay
    return watch.begun[kill.passed] + kill.delay if len(watch.begun) > kill.passed else math.inf


def _newest(job: Job, name: str) -> int:
    return max(job.checkpoints(name), default=0)


def _failed(job: Job, name: str, what: str) -> Failed:
    return Failed(f"{job.run_dir(name)}: {what}. It said last:\n{job.said(name)[-3000:]}")


def undisturbed(job: Job) -> tuple[float, float]:
    """Runs what all are compared with, and once more, from programs that are compiled."""
    live(job, REFERENCE, None)
    life, watch = live(job, "again", None)
    _same(job, "again")
    return life.seconds, max(watch.seconds, default=0.1)


def disturbed(
    job: Job,
    next_kill: Callable[[list[Life]], Kill | None],
    report: Callable[[str], None] = print,
    longest: float = _LIFE,
) -> list[Life]:
    """Runs with kills, one run after the other, until there are no more; the last run then goes on to its end."""
    lives: list[Life] = []
    runs, newest, stalled = 0, 0, 0
    while True:
        name, kill = f"killed_{runs}", next_kill(lives)
        if kill and stalled >= _PATIENCE:  # its chance: the first write is over when the second begins
            kill = dataclasses.replace(kill, aim="write", passed=1)
        life, _ = live(job, name, kill, longest)
        if life.kill:
            lives.append(life)
        report(f"{len(lives)} {name}: {life}")
        if life.code == 0:
            _same(job, name)
            if kill is None:
                return lives
            runs, newest, stalled = runs + 1, 0, 0
        elif life.checkpoint > newest:
            newest, stalled = life.checkpoint, 0
        elif stalled >= _PATIENCE:
            raise _failed(job, name, f"no checkpoint after that of episode {newest} in {stalled + 1} lives")
        else:
            stalled += 1


def _same(job: Job, name: str) -> None:
    if differences := job.differences(name, REFERENCE):
        raise Failed(f"{job.run_dir(name)} ended otherwise than {REFERENCE}:\n" + "\n".join(differences))


def summary(lives: list[Life]) -> str:
    """Return what was hit, by signal."""
    hit = collections.Counter(
        f"{life.kill.signal.name}, exit code {life.code}{', inside a checkpoint write' if life.writing else ''}"
        for life in lives
    )
    return f"{len(lives)} kills: {dict(sorted(hit.items()))}. Every run ended as the undisturbed one, to the bit."


def main() -> None:
    options = tiny_job.options(__doc__, kills=50, episodes=60)
    logging.set_verbosity(logging.ERROR)  # orbax logs every checkpoint that is compared
    job = Job(options.out, options.episodes)
    job.prepare()
    life, write = undisturbed(job)
    kills = random_kills(options.seed, life, write)
    print(summary(disturbed(job, lambda lives: next(kills) if len(lives) < options.kills else None)))


if __name__ == "__main__":
    try:
        main()
    except Failed as error:
        sys.exit(f"error: {error}")
