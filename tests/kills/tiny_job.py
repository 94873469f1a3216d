"""A tiny meta-training run as a user starts it: its corpus, its command, and what it must end with."""

import argparse
import dataclasses
import functools
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import soundfile

from metaser_jax import datasets
from metaser_jax.emotions import FOUR_EMOTIONS
from metaser_jax.specs.presets import META_TRAIN
from metaser_jax.specs.programs import MetaTrainConfig
from metaser_jax.training.checkpoints import Checkpoints, to_host
from metaser_jax.training.trainer import make_trainer, no_utterances

ROOT = Path(__file__).resolve().parents[2]
NAME = "folder/sounds"
EVERY = 2
"""Episodes of an interval, each with its checkpoint."""

# What a run says of the machine, and may say otherwise the next time.
_OF_THE_MACHINE = ("_per_second", "_seconds", "_bytes")


@dataclasses.dataclass(frozen=True)
class Job:
    """A folder with a prepared corpus, compiled programs and runs of one configuration."""

    folder: Path
    episodes: int = 16
    hidden_dim: int = 16

    def prepare(self) -> None:
        """Makes the corpus: noises, of another level and colour for each emotion."""
        rng = np.random.default_rng(0)
        for number, emotion in enumerate(FOUR_EMOTIONS):
            for i in range(6):
                noise = rng.standard_normal(3200)
                sound = (number + 1) * 0.02 * np.convolve(noise, np.ones(number + 1), "same")
                path = self.folder / "recordings" / "sounds" / emotion / f"s{i}" / f"{i}.wav"
                path.parent.mkdir(parents=True)
                soundfile.write(path, sound, 16000)
        datasets.prepare(NAME, self.folder / "recordings", self.folder / "data")

    def run_dir(self, name: str) -> Path:
        """Where a run of that name is."""
        return self.folder / "runs" / name

    def flags(self, name: str) -> dict[str, Any]:
        """The run's flags."""
        place = {"data_dir": str(self.folder / "data"), "sources": (NAME,), "run_dir": str(self.run_dir(name))}
        network = {"hidden_dim": self.hidden_dim, "pooling": "mean", "normalise": "corpus", "devices": 1}
        learning = {
            "order": "first",
            "inner_lr": 0.1,
            "meta_lr": 1e-2,
            "tasks_per_episode": 2,
            "shots": 1,
            "queries": 1,
        }
        return place | network | learning | {"episodes": self.episodes, "log_every": EVERY, "checkpoint_every": EVERY}

    def command(self, name: str) -> tuple[list[str], dict[str, str]]:
        """The run's command, and its environment."""
        values = self.flags(name)
        flags = [f"--{flag}={','.join(v) if isinstance(v, tuple) else v}" for flag, v in values.items()]
        program = [sys.executable, str(ROOT / "experiments" / "meta_train.py"), "--preset=paper", *flags]
        # A restarted job compiles nothing again.
        environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(self.folder / "compiled")}
        return program, environment | {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", "PYTHONPATH": str(ROOT)}

    def start(self, name: str) -> subprocess.Popen:
        """Starts the run's program; what all its lives say is in one file."""
        command, environment = self.command(name)
        with self._log(name).open("ab") as file:
            return subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment)

    def finish(self, name: str, before: Sequence[str] = ()) -> int:
        """Run it to its end, with a command before that the program's is given to; return the exit code."""
        command, environment = self.command(name)
        # Through a pipe: `before` may limit files.
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        done = subprocess.run([*before, *command], **pipes, env=environment, timeout=300)
        with self._log(name).open("ab") as file:
            file.write(done.stdout)
        return done.returncode

    def _log(self, name: str) -> Path:
        path = self.folder / "runs" / f"{name}.log"
        path.parent.mkdir(exist_ok=True)
        return path

    def said(self, name: str) -> str:
        """What all lives of a run have printed."""
        return self._log(name).read_text(errors="replace")

    def checkpoints(self, name: str) -> list[int]:
        """Episodes of the checkpoints that are complete."""
        folder = self.run_dir(name) / "checkpoints"
        return sorted(int(path.name) for path in folder.glob("*") if path.name.isdigit())

    def unfinished(self, name: str) -> list[Path]:
        """Checkpoints that are being written, or that a kill has left so."""
        return list((self.run_dir(name) / "checkpoints").glob("*.orbax-checkpoint-tmp*"))

    def lines(self, name: str) -> list[dict[str, Any]]:
        """metrics.jsonl, without what it says of the machine."""
        path = self.run_dir(name) / "metrics.jsonl"
        whole = path.read_text().rpartition("\n")[0].splitlines() if path.exists() else []
        return [{k: v for k, v in json.loads(line).items() if not k.endswith(_OF_THE_MACHINE)} for line in whole]

    def state(self, name: str, episode: int) -> dict[str, np.ndarray]:
        """A checkpoint: every array of the parameters, of the optimizer and of what else is kept."""
        with Checkpoints(self.run_dir(name), read_only=True) as checkpoints:
            state = to_host(checkpoints.restore(episode, _like(self.hidden_dim)))
        return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree.leaves_with_path(state)}

    def differences(self, name: str, other: str) -> list[str]:
        """How two finished runs differ, for people; empty for the same run."""
        expected = list(range(EVERY, self.episodes + 1, EVERY))
        found = []
        for run in (name, other):
            kept, left = self.checkpoints(run), self.unfinished(run)
            if (got := [line["episode"] for line in self.lines(run)]) != expected:
                found.append(f"{run}: metrics.jsonl has the episodes {got}, expected each of {expected} once")
            if kept != self.checkpoints(name) or kept[-1:] != [self.episodes] or left:
                found.append(f"{run}: the checkpoints are {kept}, and {left} are left")
        pairs = zip(self.lines(name), self.lines(other), strict=False)
        found += [f"{name} has {one}, {other} has {two}" for one, two in pairs if one != two]
        for episode in set(self.checkpoints(name)) & set(self.checkpoints(other)):
            one, two = ({k: a.tobytes() for k, a in self.state(run, episode).items()} for run in (name, other))
            found += [f"episode {episode}: {k} differs" for k in one.keys() | two.keys() if one.get(k) != two.get(k)]
        return found


def options(doc: str | None, **flags: Any) -> argparse.Namespace:
    """Return a program's flags, by their defaults; and --seed, and --out, a folder that it makes."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="a folder that is not there yet")
    for name, default in ({"seed": 0} | flags).items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    found = parser.parse_args()
    found.out = found.out.resolve()
    found.out.mkdir(parents=True)
    return found


@functools.cache
def _like(hidden_dim: int) -> Any:
    """The shapes of a state."""
    job = Job(Path(), hidden_dim=hidden_dim)
    config = MetaTrainConfig(**META_TRAIN["paper"] | job.flags("any"))
    return jax.eval_shape(lambda: make_trainer(config, no_utterances(config)).state)
