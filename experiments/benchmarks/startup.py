"""How long programs take the first time, with nothing kept of what was compiled, and again.

python experiments/benchmarks/startup.py --data_dir=data --clips=clips --rounds=3 --before=OTHER_CHECKOUT

`metaser predict` of one three-second file stands beside a bare script that does the least there is: it imports jax and
librosa, loads the file, extracts its MFCC by librosa, and runs one compiled call, a softmax of their mean. With
--before, the programs of another checkout take turns with this one's. Processor seconds are those of all cores and say
more than seconds where others use the machine.
"""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import soundfile
from absl import flags

from metaser_jax.data.inputs import Scale
from metaser_jax.emotions import FOUR_EMOTIONS
from metaser_jax.models.classifier import make_network
from metaser_jax.recogniser.folder import save_model
from metaser_jax.recogniser.model import Model
from metaser_jax.specs import ModelSpec
from metaser_jax.specs import flags as program_flags
from metaser_jax.specs.presets import META_TRAIN

DATA = flags.DEFINE_string("data_dir", None, "Prepared ravdess, emodb and urdu. Without: predict and info alone.")
CLIPS = flags.DEFINE_string("clips", None, "Labelled clips for metaser adapt, some 20.")
BEFORE = flags.DEFINE_string("before", None, "Another checkout of this repository.")
ROUNDS = flags.DEFINE_integer("rounds", 3, "Times that each is run, first and again.")
EPISODES = flags.DEFINE_integer("episodes", 40, "Of meta_train.py.")

_BARE = """
import os, sys
import jax, librosa
jax.config.update("jax_compilation_cache_dir", os.environ["BARE_CACHE"])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
samples, rate = librosa.load(sys.argv[1])
mfcc = librosa.feature.mfcc(y=samples, sr=rate, n_mfcc=20)
print(jax.jit(lambda x: jax.nn.softmax(x.mean(axis=1)[:4]))(mfcc))
"""
# What the console script does.
METASER = (sys.executable, "-c", "from metaser_jax.commands import main; main()")
HERE = Path(__file__).resolve().parents[2]


def write_sound(path: Path, seconds: float = 3.0, rate: int = 44100, seed: int = 0) -> None:
    """Noise as loud as syllables make it, 16-bit."""
    random = np.random.default_rng(seed)
    time = np.arange(int(seconds * rate)) / rate
    sound = 0.2 * random.standard_normal(len(time)) * np.sin(2 * np.pi * 2 * time) ** 2
    soundfile.write(path, sound.clip(-1, 1), rate, subtype="PCM_16")


def write_model(folder: Path) -> None:
    """The LSTM on MFCC, not trained: a prediction takes as long."""
    preset = META_TRAIN["lstm"]
    names = ("hidden_dim", "pooling", "activation", "input_statistics", "trim_db", "deltas")
    settings = ModelSpec(emotions=FOUR_EMOTIONS, normalise="corpus", **{name: preset[name] for name in names})
    coefs = settings.coefs
    x = np.random.default_rng(0).standard_normal((8, 120, coefs)).astype(np.float32)
    params = jax.tree.map(np.asarray, make_network(settings).init(jax.random.key(0), x))
    scale = Scale(np.zeros(coefs), np.ones(coefs))
    model = Model(
        settings=settings, params=params, scale=scale, temperature=1.0, start=None, support=None, about={"name": "none"}
    )
    save_model(folder, model)


def process(command: list[str], folder: Path | None = None, **environment: str) -> Callable[[], None]:
    """Runs it once in a folder, as a new process, which does not know where this one keeps what it compiles."""
    known = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "METASER_CACHE"))}
    return lambda: subprocess.run(command, check=True, capture_output=True, cwd=folder, env={**known, **environment})


def commands(checkout: Path, place: Path) -> dict[str, list[str]]:
    """The programs by name, in the order in which each finds what it needs below `place`."""
    file, model, run = place / "three.wav", place / "model", place / "run"
    found: dict[str, list[str]] = {}
    if DATA.value:
        data, python = f"--data_dir={Path(DATA.value).resolve()}", [sys.executable]
        intervals = [f"--{name}={EPISODES.value // 2}" for name in ("log_every", "checkpoint_every")]
        found["meta_train.py"] = [*python, f"{checkout}/experiments/meta_train.py", data, "--sources=ravdess,emodb"]
        found["meta_train.py"] += [f"--run_dir={run}", f"--episodes={EPISODES.value}", *intervals]
        found["finetune.py"] = [*python, f"{checkout}/experiments/finetune.py", data, f"--init={run}", "--shots=5"]
        found["finetune.py"] += ["--target=urdu", f"--out={place}/tuned"]
        if CLIPS.value:
            found["metaser adapt"] = [*METASER, "adapt", f"--init={run}", f"--support={Path(CLIPS.value).resolve()}"]
            found["metaser adapt"] += [f"--out={place}/adapted"]
    found["metaser predict"] = [*METASER, "predict", f"--model={model}", str(file)]
    found["metaser info"] = [*METASER, "info", str(model)]
    if checkout == HERE:
        found["bare script"] = [sys.executable, "-c", _BARE, str(file)]
    return found


def main() -> None:
    checkouts = {"now": HERE} | ({"before": Path(BEFORE.value).resolve()} if BEFORE.value else {})
    measured: dict[tuple[str, str, str], list[tuple[float, float]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        places = {which: Path(folder, which) for which in checkouts}
        for place in places.values():
            place.mkdir()
            write_sound(place / "three.wav")
            write_model(place / "model")
        for number in range(ROUNDS.value):
            for name in commands(HERE, places["now"]):
                for turn in ("first", "again"):
                    for which, checkout in checkouts.items():
                        place = places[which]
                        command = commands(checkout, place).get(name)
                        if command is None:
                            continue
                        for made in ("tuned", "adapted", *(["run", "run_multiser"] if name == "meta_train.py" else [])):
                            shutil.rmtree(place / made, ignore_errors=True)
                        kept = {cache: f"{place}/{cache}_{number}" for cache in ("XDG_CACHE_HOME", "BARE_CACHE")}
                        one = timed(process(command, checkout, PYTHONPATH=str(checkout), **kept))
                        measured[name, turn, which].append(one)
                        print(f"{name}, {turn}, {which}: {one[0]:.1f} s, processor {one[1]:.1f} s", file=sys.stderr)
    for (name, turn, which), runs in measured.items():
        seconds, processor = np.median(runs, axis=0)
        low, high = np.min(runs, axis=0)[0], np.max(runs, axis=0)[0]
        print(f"{name:<16} {turn} {which:<6} {seconds:5.1f} s ({low:.1f}-{high:.1f}), processor {processor:5.1f} s")


def timed(call: Callable[[], None]) -> tuple[float, float]:
    """Seconds, and the processor seconds of the process and of what it started."""

    def processor() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    start, before = time.perf_counter(), processor()
    call()
    return time.perf_counter() - start, processor() - before


if __name__ == "__main__":
    for name in ("data_dir", "clips", "before", "rounds", "episodes"):
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flags.FLAGS[name])
    program_flags.run(main)
