"""Preparing a corpus against a bare loop of librosa on the same files, and its peak memory.

python experiments/benchmarks/prepare.py --corpora=ravdess --manual_dir=RECORDINGS --rounds=5
python experiments/benchmarks/prepare.py --memory=1000,10000,30000

The bare loop is librosa.load and librosa.feature.mfcc over the same files, in as many processes, started in the same
way, and keeps nothing. Ours is datasets.prepare as prepare.py calls it, listing, writing and statistics included.
"""

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from absl import flags
from bare_features import bare_loop
from race import Variant, race, ratio_by_round

from metaser_jax import datasets
from metaser_jax.emotions import FOUR_EMOTIONS
from metaser_jax.errors import InputError
from metaser_jax.processes import cores
from metaser_jax.specs import flags as program_flags

CORPORA = flags.DEFINE_list("corpora", [], "Corpora to time, below --manual_dir.")
MANUAL_DIR = flags.DEFINE_string("manual_dir", None, "Folder with one folder per corpus.")
ROUNDS = flags.DEFINE_integer("rounds", 5, "Runs of each, in turn.")
WORKERS = flags.DEFINE_integer("workers", 0, "Processes of each; 0 is one per core.")
MEMORY = flags.DEFINE_list("memory", [], "Numbers of recordings (of half a second) whose preparation is watched.")


def speed(name: str, manual_dir: str, workers: int) -> None:
    """Prints both rates, and their ratio."""
    with tempfile.TemporaryDirectory() as data:
        found = datasets.builder(name, data).listing(Path(manual_dir)).recordings
        paths = [recording.source.path for recording in found]
        if any(recording.source.member for recording in found):
            raise InputError(f"{name} is in an archive, which librosa cannot read: unpack it.")

        def ours() -> None:
            datasets.prepare(name, manual_dir, data, workers=workers, overwrite=True)

        variants = [
            Variant("datasets.prepare", ours),
            Variant("bare loop", lambda: bare_loop(paths, workers, None)),
            Variant("bare loop, a BLAS thread each", lambda: bare_loop(paths, workers, 1)),
        ]
        race(variants, 1)  # librosa compiles itself, and the files come into the page cache
        for variant in variants:
            variant.seconds.clear()
        race(variants, ROUNDS.value)
    print(f"{name}: {len(paths)} recordings, {workers} processes, {ROUNDS.value} rounds")
    for variant in variants:
        low, high = variant.quartiles
        rate = len(paths) / variant.median
        compared = ratio_by_round(variants[0], variant)
        print(
            f"  {variant.name:<32} {variant.median:6.2f} s ({low:.2f}-{high:.2f})  {rate:6.1f} per second"
            f"  our rate / its: {1 / compared:.3f}"
        )


def peak_mib(command: list[str]) -> float:
    """The largest sum of the resident memory of a process and its children, in MiB; shared pages count in each."""
    import psutil

    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    peak, done = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        parent = psutil.Process(process.pid)
        while not done.wait(0.02):
            total = 0
            for one in [parent, *parent.children(recursive=True)]:
                try:
                    total += one.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            peak = max(peak, total)

    watcher = threading.Thread(target=watch)
    watcher.start()
    _, errors = process.communicate()
    done.set()
    watcher.join()
    if process.returncode:
        raise InputError(f"{' '.join(command)} failed:\n{errors[-2000:]}")
    return peak / 2**20


def memory(sizes: Sequence[int], workers: int) -> None:
    """Prints the peak memory of preparing corpora of several sizes."""
    program = Path(__file__).resolve().parents[1] / "prepare.py"
    with tempfile.TemporaryDirectory() as folder:
        random = np.random.default_rng(0)
        noise = (0.1 * random.standard_normal((16, 8000))).astype(np.float32)
        for size in sizes:
            for i in range(size):
                path = Path(folder, "many", FOUR_EMOTIONS[i % 4], f"s{i % 20}", f"{i}.wav")
                if not path.exists():
                    path.parent.mkdir(parents=True, exist_ok=True)
                    soundfile.write(path, noise[i % 16] * random.random(), 16000)
            data = f"{folder}/data{size}"
            flags_ = [f"--manual_dir={folder}", f"--data_dir={data}", f"--workers={workers}", "--corpora=folder/many"]
            start = time.perf_counter()
            peak = peak_mib([sys.executable, str(program), *flags_])
            print(f"{size:>7} recordings: peak {peak:6.0f} MiB in all processes, {time.perf_counter() - start:.0f} s")


def main() -> None:
    workers = WORKERS.value or cores()
    if not (CORPORA.value or MEMORY.value) or (CORPORA.value and not MANUAL_DIR.value):
        raise InputError("Give --corpora=NAMES with --manual_dir=FOLDER, or --memory=NUMBERS.")
    for name in CORPORA.value:
        speed(name, MANUAL_DIR.value, workers)
    if MEMORY.value:
        if not all(size.isdigit() for size in MEMORY.value):
            raise InputError(f"--memory: got {MEMORY.value}, expected numbers of recordings.")
        memory([int(size) for size in MEMORY.value], workers)


if __name__ == "__main__":
    for name in ("corpora", "manual_dir", "rounds", "workers", "memory"):
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flags.FLAGS[name])
    program_flags.run(main)
