"""Recordings -> all that a prepared corpus keeps of them; and the same of many, by processes and in bounded memory."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any, NamedTuple, TypeVar

import numpy as np

from metaser_jax.audio.decoding import UTTERANCE, Limits, Readable, errors_of, read_sound
from metaser_jax.audio.encoder import layers, mel_of, require_encoder
from metaser_jax.audio.mfcc import frames, padded, resampled
from metaser_jax.audio.quality import Quality, why_unusable
from metaser_jax.audio.tracks import statistics, tracks
from metaser_jax.errors import InputError, RecordingError
from metaser_jax.processes import cores, spawn_pool

# Starting processes takes half a second, which a small corpus does not pay back.
MIN_FILES_FOR_PROCESSES = 64
# Files that a process is given at once, and that an encoder hears at once.
CHUNK, TOGETHER = 8, 16

Result = TypeVar("Result")


class Extraction(NamedTuple):
    """The features of one recording.

    Attributes:
      mfcc: [120, 20] float32, zero after the real frames.
      n_frames: number of real frames, 1 to 120.
      tracks: [frames, 19] float32, of the whole recording; see tracks.tracks.
      voice: [171] float32, their statistics; see tracks.statistics.
      seconds: duration of the whole recording.
      sample_rate: of the file, in Hz.
      sha256: of the file's bytes, hexadecimal.
      quality: of its sound; None where it was not looked at.
      vectors: [3, 256] float32, what a speech encoder hears; None where it was not asked.
    """

    mfcc: np.ndarray
    n_frames: int
    tracks: np.ndarray
    voice: np.ndarray
    seconds: float
    sample_rate: int
    sha256: str
    quality: Quality | None = None
    vectors: np.ndarray | None = None


def extract(path: Readable, limits: Limits = UTTERANCE) -> Extraction:
    """Read one recording and compute all that is kept of it, but for what an encoder hears.

    Raises:
      RecordingError: as decoding.decode, or it has no sound (digital silence, a constant), or less than a window.
    """
    return _extract(path, limits, mel=False)[0]


def _extract(path: Readable, limits: Limits = UTTERANCE, *, mel: bool = True) -> tuple[Extraction, np.ndarray | None]:
    """Return it with the mel bands without silence."""
    with errors_of(str(path)):
        sound, sha256 = read_sound(path, limits)
        if why := why_unusable(sound, silence=-np.inf):
            raise RecordingError(str(path), why)
        samples = resampled(sound.mono, sound.sample_rate)
        of_voice = tracks(samples)
        about = sound.seconds, sound.sample_rate, sha256, sound.quality
        bands = mel_of(sound.mono, sound.sample_rate) if mel else None
        found = Extraction(*padded(frames(samples)), of_voice, statistics(of_voice), *about)
        return found, bands and bands.frames[bands.kept]


def _extract_together(sources: Sequence[Any]) -> list[Extraction | RecordingError]:
    """Extract some files, and what the encoder hears of all at once, which takes half as long."""
    found = _read_chunk(_extract, sources)
    read = [one for one in found if not isinstance(one, RecordingError)]
    heard = iter(layers(require_encoder("The corpus"), [bands for _, bands in read if bands is not None]))
    return [one if isinstance(one, RecordingError) else one[0]._replace(vectors=next(heard)) for one in found]


def extract_all(
    sources: Sequence[Any], workers: int = 0, *, encoder: bool = False, **options: Any
) -> Iterator[Extraction | RecordingError]:
    """Extract each file.

    Args: encoder: whether what the speech encoder hears is kept, too; others, and Raises: as read_each.
    """
    if not encoder:
        yield from read_each(extract, sources, workers, **options)
        return
    groups = [sources[i : i + TOGETHER] for i in range(0, len(sources), TOGETHER)]
    few: dict[str, Any] = {"min_files": MIN_FILES_FOR_PROCESSES // TOGETHER, "chunk": 1}
    for group in read_each(_extract_together, groups, workers, **few | options):
        assert isinstance(group, list)  # errors are inside
        yield from group


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
            yield from _read_chunk(read, [source])
        return
    pending = deque()
    processes = pool(workers)
    try:
        for start in range(0, len(sources), chunk):
            pending.append(processes.submit(_read_chunk, read, sources[start : start + chunk]))
            if len(pending) > 2 * workers:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()
    except BrokenProcessPool as error:
        why = 'out of memory, killed, or started from a script without `if __name__ == "__main__":`'
        raise InputError(f"A worker process died: {why}. Try --workers=1.") from error
    finally:
        processes.shutdown(cancel_futures=True)


def processes_for(number: int, workers: int, min_files: int = MIN_FILES_FOR_PROCESSES, chunk: int = CHUNK) -> int:
    """Return how many processes read_each starts for so many sources; 1: none, it works in this one."""
    return 1 if number < min_files else min(workers or cores(), -(-number // chunk))


def _read_chunk(read: Callable[[Any], Result], sources: Sequence[Any]) -> list[Result | RecordingError]:
    results = []
    for source in sources:
        try:
            results.append(read(source))
        except RecordingError as error:
            results.append(RecordingError(*error.args))  # without the traceback, which keeps the samples alive
    return results
