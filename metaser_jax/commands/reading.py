"""The recordings that a command is given: which they are, and reading them."""

import errno
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import NamedTuple, TextIO

from metaser_jax.audio.clips import Clip, Upload, read_all
from metaser_jax.audio.decoding import Source
from metaser_jax.audio.extraction import processes_for
from metaser_jax.datasets.files import MAX_BYTES
from metaser_jax.datasets.labelled_files import audio_files
from metaser_jax.errors import InputError, RecordingError
from metaser_jax.messages import progress_bar

STDIN = "-"
_MIN_FILES_FOR_BAR = 64

Read = tuple[Source, Clip | RecordingError]


class Nothing(NamedTuple):
    """What was named and has no recording: an error when it is read, so that it stops no other."""

    name: str
    reason: str

    def __str__(self) -> str:
        return self.name

    def read_bytes(self) -> bytes:
        """Raise OSError."""
        raise OSError(errno.ENOENT, self.reason, self.name)


def sources_of(arguments: Sequence[str], stdin: TextIO | None = None, max_bytes: int = MAX_BYTES) -> list[Source]:
    """Return what is to be read: files and folders as typed, or one recording from stdin.

    That is for "-" or, from a pipe, no argument. Folders in which there is nothing come first, as Nothing.

    Args:
      arguments: as typed.
      stdin: instead of sys.stdin.
      max_bytes: of one recording from stdin.

    Raises:
      InputError: nothing was named, or nothing that has a recording; "-" beside something else.
    """
    if STDIN in arguments and len(arguments) > 1:
        raise InputError(f"Got {STDIN} (one recording from stdin) and other recordings, expected one or the others.")
    stdin = sys.stdin if stdin is None else stdin
    if list(arguments) == [STDIN] or (not arguments and stdin is not None and not stdin.isatty()):
        # One byte more than may be: what is larger is an error of its own, and never fills the memory.
        data = stdin.buffer.read(max_bytes + 1)
        if len(data) > max_bytes:
            raise InputError(f"stdin: got more than {max_bytes:,} bytes, expected one recording. Give files instead.")
        return [Upload("stdin", data)]
    if not arguments:
        raise InputError("No recording was named, expected files or folders, or one recording from a pipe.")
    try:
        return audio_files(arguments)
    except InputError as error:
        failed = [(argument, _why_nothing(argument)) for argument in arguments]
        there = [argument for argument, why in failed if why is None]
        if not there:
            raise error
        return [*(Nothing(argument, why) for argument, why in failed if why is not None), *audio_files(there)]


@contextmanager
def read(sources: Sequence[Source], workers: int, voice: bool) -> Iterator[Iterator[Read]]:
    """Yield each source with what was read of it, in order; for one that cannot be used, or is silent, the error.

    `voice`: whether tracks are read, too, see clips.read_clip.
    Worker processes, where there are some, start at once and not at the first item: they import what reads while
    this process imports jax and loads a model.
    """
    results = read_all(sources, workers, voice=voice)
    with closing(results), ThreadPoolExecutor(1) as thread:
        # In this process, a second thread would import the same modules at the same time as the first.
        early = thread.submit(next, results) if processes_for(len(sources), workers) > 1 else None

        def each() -> Iterator[Clip | RecordingError]:
            if early is not None:
                yield early.result()
            yield from results

        yield zip(sources, each(), strict=True)


def _why_nothing(argument: str) -> str | None:
    """Return what is wrong with an argument; None: it names recordings."""
    try:
        audio_files([argument])
    except InputError as error:
        return str(error).rstrip(".")
    return None


def progress(recordings: Iterable[Read], number: int, shown: bool) -> Iterable[Read]:
    """Return the same, with a bar on a terminal if there are many and it is to be shown."""
    if not shown or number < _MIN_FILES_FOR_BAR or not sys.stderr.isatty():
        return recordings
    return progress_bar(recordings, total=number, unit="recording")
