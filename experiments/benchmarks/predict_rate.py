"""`metaser predict` of a thousand three-second files against bare librosa feature extraction of the same files.

python experiments/benchmarks/predict_rate.py --rounds=3
python experiments/benchmarks/predict_rate.py --rounds=3 --recordings=corpora/urdu

Both are new processes, from their start to their end, with as many worker processes. The bare loop is bare_features.py:
librosa.load and librosa.feature.mfcc, a BLAS thread each, and keeps nothing. Ours reads, predicts every window and
writes CSV; its compiled program is in the cache.
"""

import os
import shlex
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from absl import flags
from race import Variant, race, ratio_by_round
from startup import METASER, process, write_model, write_sound

from metaser_jax.audio.containers import SUFFIXES
from metaser_jax.errors import InputError
from metaser_jax.processes import cores
from metaser_jax.specs import flags as program_flags

RECORDINGS = flags.DEFINE_string(
    "recordings", None, "Folder whose recordings are repeated; by default noise, 44.1 kHz."
)
NUMBER = flags.DEFINE_integer("number", 1000, "Files.")
WORKERS = flags.DEFINE_integer("workers", 0, "Processes of each; 0 is one per core.")

_SECONDS = 3.0


def write_files(folder: Path) -> None:
    """So many .wav files of three seconds, each of a name and a first sample of its own."""
    folder.mkdir()
    if RECORDINGS.value is None:
        for number in range(NUMBER.value):
            write_sound(folder / f"{number:05d}.wav", _SECONDS, seed=number)
        return
    found = sorted(path for path in Path(RECORDINGS.value).rglob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        raise InputError(f"--recordings: {RECORDINGS.value} has none.")
    for number in range(NUMBER.value):
        samples, rate = soundfile.read(found[number % len(found)], always_2d=True)
        samples = np.resize(samples, (int(_SECONDS * rate), samples.shape[1]))
        samples[0] = number / NUMBER.value
        soundfile.write(folder / f"{number:05d}.wav", samples, rate, subtype="PCM_16")


def main() -> None:
    workers = WORKERS.value or cores()
    with tempfile.TemporaryDirectory() as place:
        folder, model, out = f"{place}/files", f"{place}/model", f"{place}/rows.csv"
        write_files(Path(folder))
        write_model(Path(model))
        here = Path(__file__).resolve().parent
        predict = [*METASER, "predict", f"--model={model}", "--format=csv", f"--workers={workers}", folder]
        ours = ["sh", "-c", f"{shlex.join(predict)} > {out}"]
        bare = [sys.executable, str(here / "bare_features.py"), folder, str(workers)]
        paths = {"XDG_CACHE_HOME": f"{place}/cache", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        variants = [Variant("metaser predict", process(ours, **paths)), Variant("bare librosa", process(bare, **paths))]
        race(variants, 1)  # compiled programs and files come into their caches
        rows = Path(out).read_text().splitlines()
        if len(rows) != NUMBER.value + 1:
            raise InputError(f"got {len(rows) - 1} rows, expected {NUMBER.value}.")
        for variant in variants:
            variant.seconds.clear()
        race(variants, flags.FLAGS.rounds)
    for variant in variants:
        low, high = variant.quartiles
        rate = NUMBER.value / variant.median
        print(f"{variant.name:<16} {variant.median:6.2f} s ({low:.2f}-{high:.2f})  {rate:6.1f} files per second")
    print(
        f"{NUMBER.value} files, {workers} processes, {flags.FLAGS.rounds} rounds: our rate / its "
        f"{1 / ratio_by_round(*variants):.3f}"
    )


if __name__ == "__main__":
    for name in ("recordings", "number", "workers", "rounds"):
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flags.FLAGS[name])
    program_flags.run(main)
