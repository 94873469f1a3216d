"""Processes of the host: locks between them; workers, how many, and how they start and end."""

import contextlib
import fcntl
import multiprocessing
import multiprocessing.util
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from metaser_jax.errors import InputError


def cores() -> int:
    """Return number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def spawn_pool(workers: int) -> ProcessPoolExecutor:
    """Return a pool whose processes leave Ctrl-C to the parent and end with it.

    They are spawned: a script must use it below `if __name__ == "__main__":`.
    """
    # Not fork: the parent's threads (BLAS, a GPU's) may hold locks at that moment.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)


def _start_worker() -> None:
    # Ctrl-C reaches every process of the terminal; the parent alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A parent that is killed cannot stop its workers, and they would wait for work for ever.
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Last of what a process does at its end. Taking numba and scipy apart again would be a third of a second.
    multiprocessing.util.Finalize(None, _end, exitpriority=-(2**31))


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


def _end() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


@contextlib.contextmanager
def hold(path: Path, what: str, seconds: float | None, advice: str, log: Callable[[str], None]) -> Iterator[None]:
    """Hold an exclusive lock on a path between processes; it ends with this process, however that ends.

    On file systems without locking, proceed unlocked.

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
