"""A lock between processes, which ends with the process that has it, however it ends."""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from metaser_jax.errors import InputError


@contextlib.contextmanager
def hold(path: Path, what: str, seconds: float | None, advice: str, log: Callable[[str], None]) -> Iterator[None]:
    """Keep what a path stands for to this process. A file system without locks is gone on with without.

    Args:
      path: a folder, which is there, or a file, which is made if it is missing.
      what: another process does while this one waits: "X is being written".
      seconds: to wait for it: it may be ending. None: until it ends.
      advice: a sentence for who has waited in vain.
      log: is told when it has to wait.

    Raises:
      InputError: another process still holds it, or the path cannot be opened.
    """
    told, end = False, None if seconds is None else time.monotonic() + seconds
    # A pipe somebody put there must not be waited for.
    how = os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT | os.O_NONBLOCK
    try:
        descriptor = os.open(path, how, 0o666)
    except OSError as error:
        raise InputError(f"{path} cannot be opened: {error.strerror}. Remove it, or make room.") from error
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if end is not None and time.monotonic() > end:
                    raise InputError(f"{what} by another process, which still runs. {advice}") from error
            except OSError:
                break
            if not told:
                limit = "" if seconds is None else f", {seconds:.0f} s at most"
                log(f"{what} by another process; waiting for its end{limit}.")
                told = True
            time.sleep(1.0 if seconds is None else min(1.0, seconds))
        yield
    finally:
        os.close(descriptor)
