"""Features of many files, in order, by several processes and in bounded memory."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TypeVar

from metaser_jax.audio.decoding import Source
from metaser_jax.audio.extraction import Extraction, extract
from metaser_jax.errors import InputError, RecordingError
from metaser_jax.processes import cores, spawn_pool

# Starting processes takes half a second, which a small corpus does not pay back.
MIN_FILES_FOR_PROCESSES = 64
# Files that a process is given at once.
CHUNK = 8

Result = TypeVar("Result")


def extract_all(
    paths: Sequence[Path | Source],
    workers: int = 0,
    *,
    min_files: int = MIN_FILES_FOR_PROCESSES,
    chunk: int = CHUNK,
    pool: Callable[[int], Any] = spawn_pool,
) -> Iterator[Extraction | RecordingError]:
    """Extract each file: read_each of extraction.extract."""
    return read_each(extract, paths, workers, min_files=min_files, chunk=chunk, pool=pool)


def read_each(
    read: Callable[[Any], Result],
    sources: Sequence[Any],
    workers: int = 0,
    *,
    min_files: int = MIN_FILES_FOR_PROCESSES,
    chunk: int = CHUNK,
    pool: Callable[[int], Any] = spawn_pool,
) -> Iterator[Result | RecordingError]:
    """Read each recording; the results are the same, to the bit, for any number of workers.

    Args:
      read: source -> result, or RecordingError; a function of a module, or a partial one, since it is pickled.
      sources: the files, on disk or in archives.
      workers: number of processes; 0 takes one per core, 1 works in this process.
      min_files: fewer are read in this process.
      chunk: files that a process is given at once.
      pool: number of processes -> something to submit to.

    Yields:
      One result per source, in their order; for a file that cannot be used, the error.

    Raises:
      InputError: a worker process died.
    """
    workers = processes_for(len(sources), workers, min_files, chunk)
    if workers <= 1:
        for source in sources:
            yield _attempt(read, source)
        return
    chunks = (sources[i : i + chunk] for i in range(0, len(sources), chunk))
    pending = deque()
    processes = pool(workers)
    try:
        for part in chunks:
            pending.append(processes.submit(_read_chunk, read, part))
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
        processes.shutdown(cancel_futures=True)


def processes_for(number: int, workers: int, min_files: int = MIN_FILES_FOR_PROCESSES, chunk: int = CHUNK) -> int:
    """Return how many processes read_each starts for so many sources; 1: none, it works in this one."""
    return 1 if number < min_files else min(workers or cores(), -(-number // chunk))


def _attempt(read: Callable[[Any], Result], source: Any) -> Result | RecordingError:
    try:
        return read(source)
    except RecordingError as error:
        return RecordingError(*error.args)  # without the traceback, which keeps the samples alive


def _read_chunk(read: Callable[[Any], Result], sources: Sequence[Any]) -> list[Result | RecordingError]:
    return [_attempt(read, source) for source in sources]
