"""Kills prepare.py or a study again and again, at random moments and around the last rename, until nothing differs.

python tests/kills/programs.py --what=prepare --kills=20 --seed=0 --out=DIR

A program is started, killed by SIGKILL, and started again by the same command, until it ends; what it leaves must then
be what nobody has killed: prepared corpora to the byte, a study's numbers but for times. prepare.py is given
--overwrite every other life: what was there must still be there, or be whole.
"""

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
import tiny_job
from driver import Failed
from tiny_job import NAME, Job

from metaser_jax import datasets
from metaser_jax.datasets.loading import folder_of

ROOT = Path(__file__).resolve().parents[2]
_POLL = 0.0005
_LIFE = 600.0


class Prepare:
    """prepare.py of a corpus of 24 noises."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.data = folder / "data"
        Job(folder).prepare()  # undisturbed, in this process
        self.place = folder_of(NAME, self.data)
        self.expected = self._bytes()
        shutil.rmtree(self.place)

    def command(self, life: int) -> list[str]:
        """The program and its flags."""
        flags = [f"--corpora={NAME}", f"--manual_dir={self.folder}/recordings", f"--data_dir={self.data}"]
        overwrite = ["--overwrite"] if life % 2 else []
        return [sys.executable, str(ROOT / "experiments" / "prepare.py"), *flags, *overwrite]

    def last_step(self) -> bool:
        """Whether all is written, and only to be put in its place."""
        return any((one / "dataset_info.json").exists() for one in self.place.parent.glob("incomplete.*"))

    def check(self) -> None:
        """Check after each life: what counts as prepared is whole."""
        if datasets.is_prepared(NAME, self.data) and self._bytes() != self.expected:
            raise Failed(f"{self.place} differs")

    def check_end(self) -> None:
        """After the last."""
        if self._bytes() != self.expected:
            raise Failed(f"{self.place} differs")
        if (left := os.listdir(self.place.parent)) != [self.place.name]:
            raise Failed(f"left in {self.place.parent}: {left}")

    def _bytes(self) -> dict[str, str]:
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in self.place.iterdir()}


STUDY = """
import sys
import pytest
from fakes import fake_corpus
sys.path.insert(0, {studies!r})
import conftest
from metaser_jax.specs.studies import UnseenConfig
from metaser_jax.specs import flags
from metaser_jax.studies.unseen import run_unseen

def main():
    with pytest.MonkeyPatch.context() as patch:
        corpora = conftest.tiny.__wrapped__(patch)
        config = UnseenConfig(
            data_dir="data", out=sys.argv[1], corpora=("ravdess", "emodb", "urdu"), shots=(0, 2), seeds=2, folds=2,
            pretrain_seeds=1, resamples=50, methods=("metaser", "multiser", "joint", "svm"), adapt=("all",),
        )
        run_unseen(config, "tests/kills/programs.py", corpora=corpora)

flags.run(lambda arguments: main(), arguments=True)
"""


class Study:
    """The benchmark of unseen languages on fake corpora, with tiny networks."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.runs = 0
        for name in ("undisturbed", "again"):
            subprocess.run(self._command(name), env=environment_of(folder), check=True)
        self.expected = self._content("undisturbed")
        if self._content("again") != self.expected:
            raise Failed("two undisturbed runs differ")

    def _command(self, name: str) -> list[str]:
        program = STUDY.format(studies=str(ROOT / "tests" / "studies"))
        return [sys.executable, "-c", program, str(self.folder / name)]

    def command(self, _: int) -> list[str]:
        """The program and its flags."""
        return self._command(f"killed_{self.runs}")

    def last_step(self) -> bool:
        """Whether a cell is written, and only to be put in its place."""
        return any((self.folder / f"killed_{self.runs}" / "cells").glob(".*.tmp/cell.json"))

    def check_end(self) -> None:
        """After the last life of a run."""
        got = self._content(f"killed_{self.runs}")
        self.runs += 1  # the next is in another folder
        if got != self.expected:
            differ = [name for name in got.keys() | self.expected.keys() if got.get(name) != self.expected.get(name)]
            raise Failed(f"killed_{self.runs - 1} ended otherwise: {differ}")

    def _content(self, name: str) -> dict[str, Any]:
        place = self.folder / name
        rows = [json.loads(line) for line in (place / "results.jsonl").read_text().splitlines()]
        found = json.loads((place / "unseen.json").read_text())
        there = (path for path in place.rglob("*") if path.is_file())
        files = sorted(str(f.relative_to(place)) for f in there if not {"tensorboard", "checkpoints"} & {*f.parts})
        return {"rows": _timeless(rows), "lines": _timeless(found["lines"]), "files": files}


def _timeless(value: Any) -> Any:
    """Leave out what says how long something took, and where it is."""
    if isinstance(value, dict):
        return {k: _timeless(v) for k, v in value.items() if not k.endswith(("seconds", "_dir")) and k != "init"}
    return [_timeless(item) for item in value] if isinstance(value, list) else value


def environment_of(folder: Path) -> dict[str, str]:
    """Return the environment of the programs, which compile nothing twice."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    return os.environ | {"PYTHONPATH": paths, "METASER_CACHE": str(folder / "compiled")}


def disturbed(program: Prepare | Study, kills: int, moments: Iterator[float | None]) -> dict[str, int]:
    """Kill so often, and then let the program end."""
    counts = {"at a random moment": 0, "in the last step": 0, "ended before": 0}
    life = 0
    while True:
        last = counts["at a random moment"] + counts["in the last step"] >= kills
        at = None if last else next(moments)
        start = time.monotonic()
        with (program.folder / "killed.log").open("ab") as log:
            environment = environment_of(program.folder)
            process = subprocess.Popen(program.command(life), stdout=log, stderr=log, env=environment)
        hit = False
        while process.poll() is None and not hit:
            seconds = time.monotonic() - start
            if seconds > _LIFE:
                process.kill()
                raise Failed(f"still runs after {_LIFE:.0f} s")
            with contextlib.suppress(FileNotFoundError):  # it is put in its place just now
                hit = not last and (program.last_step() if at is None else seconds >= at)
            time.sleep(_POLL)
        if hit:
            process.kill()
        code = process.wait()
        if code not in ((0, -signal.SIGKILL) if hit else (0,)):
            raise Failed(f"exit code {code}:\n{(program.folder / 'killed.log').read_text()[-3000:]}")
        if isinstance(program, Prepare):
            program.check()
        kind = "ended before" if code == 0 else "in the last step" if at is None else "at a random moment"
        counts[kind] += 1
        print(f"life {life}: {kind}, {time.monotonic() - start:.1f} s", flush=True)
        life += 1
        if code == 0:
            program.check_end()
            if last:
                return counts


def _moments(seed: int, longest: float) -> Iterator[float | None]:
    rng = random.Random(seed)
    while True:
        yield None if rng.random() < 0.4 else rng.uniform(0, longest)


def main() -> None:
    options = tiny_job.options(__doc__, what="prepare", kills=20, longest=10.0)
    program = {"prepare": Prepare, "study": Study}[options.what](options.out)
    print("undisturbed is there", flush=True)
    moments = _moments(options.seed, options.longest)
    counts = disturbed(program, options.kills, moments)
    print(f"{options.kills} kills, seed {options.seed}: {counts}. Every run ended as the undisturbed one.")


if __name__ == "__main__":
    try:
        main()
    except Failed as error:
        sys.exit(f"error: {error}")
