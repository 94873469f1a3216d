"""Peak memory of a call, measured in a fresh process."""

import multiprocessing
import resource
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path


def peak_growth(prepare: Callable[..., tuple[Callable, Callable]], arguments: tuple, limit: float) -> int | None:
    """Bytes by which a call's resident memory grows at its peak (Linux).

    Args:
      prepare: a module's function: arguments -> (warm-up, call).
      arguments: of prepare; pickled.
      limit: bytes that the process may take.

    Returns:
      The growth, or None if the limit was too low.

    Raises:
      RuntimeError: the call failed for another reason.
    """
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_measure, args=(theirs, prepare, arguments, int(limit)))
    process.start()
    theirs.close()
    try:
        growth = ours.recv()
    except EOFError:  # it ended without an answer
        growth = None
    process.join()
    if growth is None and process.exitcode not in (0, -signal.SIGKILL):
        raise RuntimeError(f"Measuring the memory of {arguments[0]} failed; its traceback is above.")
    return growth


def _measure(connection: Connection, prepare: Callable, arguments: tuple, limit: int) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (limit, resource.RLIM_INFINITY))
    try:
        warm_up, call = prepare(*arguments)
        warm_up()
        # Not getrusage's ru_maxrss: a new process starts with that of the process which started it.
        Path("/proc/self/clear_refs").write_text("5")
        before = _resident_bytes("VmRSS")
        call()
        connection.send(_resident_bytes("VmHWM") - before)
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "allocate" not in str(error):
            raise
        connection.send(None)


def _resident_bytes(field: str) -> int:
    line = next(ln for ln in Path("/proc/self/status").read_text().splitlines() if ln.startswith(field + ":"))
    return int(line.split()[1]) * 1024
