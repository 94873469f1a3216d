"""Features of many files, in order, by several processes and in bounded memory."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from metaser_jax import features
from metaser_jax.datasets.files import CorpusFile
from metaser_jax.errors import InputError
from metaser_jax.features import Extraction, RecordingError
from metaser_jax.processes import cores, spawn_pool

# Starting processes takes seconds (each imports librosa), which a small corpus does not pay back.
MIN_FILES_FOR_PROCESSES = 64
_CHUNK = 8


def extract_all(paths: Sequence[Path | CorpusFile], workers: int = 0) -> Iterator[Extraction | RecordingError]:
    """Extracts each file; the results are the same, to the bit, for any number of workers.

    Args:
      paths: the files, on disk or in archives.
      workers: number of processes; 0 takes one per core, 1 works in this process.

    Yields:
      One result per path, in the order of `paths`; for a file that cannot be used, the error.

    Raises:
      InputError: a worker process died.
    """
    workers = min(workers or cores(), -(-len(paths) // _CHUNK))
    if workers <= 1 or len(paths) < MIN_FILES_FOR_PROCESSES:
        for path in paths:
            yield _extract(path)
        return
    chunks = (paths[i : i + _CHUNK] for i in range(0, len(paths), _CHUNK))
    pending = deque()
    pool = spawn_pool(workers)
    try:
        for chunk in chunks:
            pending.append(pool.submit(_extract_chunk, chunk))
            if len(pending) > 2 * workers:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()
    except BrokenProcessPool as error:
        raise InputError(
            "A worker process died: out of memory, killed, or started from a script without "
            '`if __name__ == "__main__":`. Try --workers=1.'
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _extract(path: Path | CorpusFile) -> Extraction | RecordingError:
    try:
        return features.extract(path)
    except RecordingError as error:
        return RecordingError(error.path, error.reason)  # without the traceback, which keeps the samples alive


def _extract_chunk(paths: Sequence[Path | CorpusFile]) -> list[Extraction | RecordingError]:
    return [_extract(path) for path in paths]
