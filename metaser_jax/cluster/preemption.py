"""Preemption: a scheduler's SIGTERM, after which a job writes a checkpoint and leaves."""

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType, TracebackType

import jax
from jax.experimental import multihost_utils

# Seconds until all processes know of a SIGTERM that JAX's service caught: it looks once a second.
_KNOWN = 2.0


class Preemption:
    """Between its entry and its exit a SIGTERM does not end the process: `reached` says when to stop.

    With one process a flag. In a job, JAX's preemption service: it catches SIGTERM from `start` on, in any process, and
    chooses one point, not yet reached by any, at which all stop.
    """

    def __init__(self) -> None:
        self._asked = False
        self._calls = 0
        self._before = None
        self._handles = False
        self._in_job = jax.distributed.is_initialized()

    def __enter__(self) -> "Preemption":
        # Elsewhere than in the main thread Python allows no handler: SIGTERM then does what it did before.
        self._handles = not self._in_job and threading.current_thread() is threading.main_thread()
        if self._handles:
            self._before = signal.signal(signal.SIGTERM, self._ask)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._handles:
            # None: what was there is not Python's, and cannot be put back.
            signal.signal(signal.SIGTERM, signal.SIG_DFL if self._before is None else self._before)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self._asked = True

    def reached(self) -> bool:
        """Return whether to write the checkpoint now and raise Preempted; all processes ask equally often."""
        if not self._in_job:
            return self._asked
        # The service chooses the highest number so far plus one, and says so at that very number: a count without gaps
        # is needed, which episodes in intervals are not.
        self._calls += 1
        return multihost_utils.reached_preemption_sync_point(self._calls)


@contextlib.contextmanager
def no_more_preemption() -> Iterator[None]:
    """Surround the close of a job's connection: a SIGTERM is ignored, and one caught just before is known to all.

    Otherwise the service would wait for the processes that have closed theirs already, for three minutes.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(_KNOWN)
    yield
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
