"""`metaser predict` of one three-second file as a new process, against a bare script that does the least there is.

python experiments/benchmarks/predict_startup.py --rounds=9

The bare script imports jax and librosa, loads the file, extracts its MFCC by librosa, and runs one compiled call, a
softmax of their mean. Both have files in the page cache and compiled programs in a persistent compilation cache.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import soundfile
from absl import flags
from race import Variant, race, ratio, ratio_by_round

from metaser_jax.config import flags as program_flags
from metaser_jax.config.presets import META_TRAIN
from metaser_jax.data.normalise import Scale
from metaser_jax.emotions import FOUR_EMOTIONS
from metaser_jax.recogniser.folder import save_model
from metaser_jax.recogniser.model import Model, Settings

MODEL = flags.DEFINE_string("model", None, "Model folder; by default the recommended network with random parameters.")
FILE = flags.DEFINE_string("file", None, "Recording; by default three seconds of noise that rises and falls, 44.1 kHz.")
ROUNDS = flags.DEFINE_integer("rounds", 9, "Processes of each, in turn.")
TRACE = flags.DEFINE_boolean("imports", False, "Print what takes longest to import in metaser predict, too.")

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


def write_sound(path: Path, seconds: float = 3.0, rate: int = 44100, seed: int = 0) -> None:
    """Noise as loud as syllables make it, 16-bit."""
    random = np.random.default_rng(seed)
    time = np.arange(int(seconds * rate)) / rate
    sound = 0.2 * random.standard_normal(len(time)) * np.sin(2 * np.pi * 2 * time) ** 2
    soundfile.write(path, sound.clip(-1, 1), rate, subtype="PCM_16")


def write_model(folder: Path) -> None:
    """The recommended network, not trained: a prediction takes as long."""
    preset = META_TRAIN["recommended"]
    names = ("hidden_dim", "pooling", "activation", "input_statistics", "trim_db", "deltas")
    settings = Settings(emotions=FOUR_EMOTIONS, normalise="corpus", **{name: preset[name] for name in names})
    coefs = settings.input.coefs
    x = np.random.default_rng(0).standard_normal((8, 120, coefs)).astype(np.float32)
    params = jax.tree.map(np.asarray, settings.network.init(jax.random.key(0), x))
    scale = Scale(np.zeros(coefs), np.ones(coefs))
    model = Model(
        settings=settings, params=params, scale=scale, temperature=1.0, start=None, support=None, about={"name": "none"}
    )
    save_model(folder, model)


def process(command: list[str], **environment: str) -> Callable[[], None]:
    """Runs it once, as a new process."""
    return lambda: subprocess.run(command, check=True, capture_output=True, env={**os.environ, **environment})


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        file, model = FILE.value or f"{folder}/three.wav", MODEL.value or f"{folder}/model"
        if not FILE.value:
            write_sound(Path(file))
        if not MODEL.value:
            write_model(Path(model))
        ours = [*METASER, "predict", f"--model={model}", file]
        caches = {"XDG_CACHE_HOME": f"{folder}/ours", "BARE_CACHE": f"{folder}/bare"}
        variants = [
            Variant("metaser predict", process(ours, **caches)),
            Variant("bare script", process([sys.executable, "-c", _BARE, file], **caches)),
        ]
        race(variants, 2)  # compiled programs and files come into their caches
        for variant in variants:
            variant.seconds.clear()
        race(variants, ROUNDS.value)
        if TRACE.value:
            traced = [sys.executable, "-X", "importtime", *ours[1:]]
            _print_imports(subprocess.run(traced, check=True, capture_output=True, text=True).stderr)
    for variant in variants:
        low, high = variant.quartiles
        print(f"{variant.name:<16} {variant.median:5.2f} s ({low:.2f}-{high:.2f})")
    mine, bare = variants
    print(
        f"{ROUNDS.value} rounds: ratio of medians {ratio(mine, bare):.3f}, of rounds {ratio_by_round(mine, bare):.3f}"
    )


def _print_imports(text: str) -> None:
    rows = [line.removeprefix("import time:").split("|") for line in text.splitlines() if "import time:" in line]
    rows = [(int(own), name.strip()) for own, _, name in rows if own.strip().isdigit()]
    for own, name in sorted(rows, reverse=True)[:25]:
        print(f"  {own / 1000:7.1f} ms  {name}")


if __name__ == "__main__":
    for name in ("model", "file", "rounds", "imports"):
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flags.FLAGS[name])
    program_flags.run(main)
