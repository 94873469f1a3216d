"""Worker processes of the host: how many, and how they start and end."""

import multiprocessing
import multiprocessing.util
import os
import signal
import sys
import threading
from concurrent.futures import ProcessPoolExecutor


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
