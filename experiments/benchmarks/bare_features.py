"""A bare loop of librosa over files, in processes: what preparing and predicting are measured against.

python experiments/benchmarks/bare_features.py FOLDER WORKERS
"""

import multiprocessing
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

_CHUNK = 8


def bare_chunk(paths: Sequence[Path], threads: int | None) -> int:
    """What the loop does with a few files, with a limit on BLAS's threads or without."""
    import librosa
    import threadpoolctl

    n = 0
    with threadpoolctl.threadpool_limits(threads):
        for path in paths:
            samples, rate = librosa.load(path)
            n += librosa.feature.mfcc(y=samples, sr=rate, n_mfcc=20).shape[1]
    return n


def bare_loop(paths: Sequence[Path], workers: int, threads: int | None) -> int:
    """Frames of all files, by a pool of processes."""
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        chunks = [paths[i : i + _CHUNK] for i in range(0, len(paths), _CHUNK)]
        return sum(pool.map(bare_chunk, chunks, [threads] * len(chunks)))


if __name__ == "__main__":
    folder, workers = sys.argv[1:]
    print(bare_loop(sorted(Path(folder).iterdir()), int(workers), 1))
