"""The end of a job: when a scheduler wants the machine back, and when one of its processes is lost.

After a scheduler's SIGTERM a job writes a checkpoint and leaves. A lost process leaves the others in a collective: gloo
(CPU) raises there within a second, NCCL waits. Either way JAX's coordination service misses its heartbeat, and then JAX
aborts every process. What this adds: the lost process is named, the exit code is LOST_PEER, and no process waits in
JAX's shutdown barrier for one that never comes.
"""

import contextlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

import jax
from jax.experimental import multihost_utils

from metaser_jax.errors import LOST_PEER, PREEMPTED, InputError, Preempted
from metaser_jax.training.cluster import agreement

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

    def __exit__(self, *_: object) -> None:
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


# Seconds between questions, and until an answer of the coordinator is missed.
_EVERY, _MISSED = 1.0, 3.0
# Seconds that an error which should be in all processes waits for the others.
_FOR_OTHERS = 5.0


@contextlib.contextmanager
def guard() -> Iterator[None]:
    """Surround what a job does after `start`: leave the job at the end, and end it if a process is lost.

    Nothing with one process. An InputError and Preempted are raised in all processes (`attempt`), and leave in order;
    any other error ends this process here, and by that the others.

    A lost process is known by its heartbeat (--heartbeat_timeout): then each process says which on stderr, and exits
    with LOST_PEER. NOTE JAX's own abort comes at the same moment. Where it is first it names the process too (a number
    alone in a line), and the exit code is that of SIGABRT.
    """
    if not jax.distributed.is_initialized():
        yield
        return
    watch = _Watch()
    watch.start()
    try:
        yield
        agreement.all_leave()
    except (InputError, Preempted) as error:
        if not agreement.all_leave(_FOR_OTHERS):
            kind, code = ("error", 2) if isinstance(error, InputError) else ("Preempted", PREEMPTED)
            _exit(f"{kind}: {error}\nThe other processes did not stop here; they end by losing this one.", code)
        _leave(watch)
        raise
    except KeyboardInterrupt:
        _exit("Interrupted.", 130)
    except Exception as error:
        said, text = "".join(traceback.format_exception_only(error)).splitlines()[0], traceback.format_exc()
        print(f"Process {agreement.process_id()}: {said}\nAsking whether one is lost ...", file=sys.stderr, flush=True)
        watch.wait_for_all()
        _exit(f"error: this is no lost process:\n{text}", 1)
    else:
        _leave(watch)


def _leave(watch: "_Watch") -> None:
    """Close the connection; all processes do, at the same time.

    A SIGTERM is ignored meanwhile, and one caught just before is known to all: otherwise the service would wait for the
    processes that have closed theirs already, for three minutes.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(_KNOWN)
    watch.stop()
    jax.distributed.shutdown()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _exit(message: str, code: int) -> NoReturn:
    """End the process without its exit handlers, which would wait for the other processes."""
    sys.stdout.flush()
    print(message, file=sys.stderr, flush=True)
    os._exit(code)


class _Watch:
    """Threads that ask which processes live."""

    def __init__(self) -> None:
        self._leaving = threading.Event()
        self._round = threading.Condition()
        self._begun = self._answered = 0
        self._last: int | None = None
        asking = [self._ask_for_all] if agreement.process_id() == 0 else [self._ask_for_all, self._ask_coordinator]
        self._threads = [threading.Thread(target=ask, name=ask.__name__, daemon=True) for ask in asking]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the threads, when all processes stop theirs.

        A round waits for all, so all do the same number of rounds. None may be open when the connection closes, or when
        the interpreter ends: a thread inside XLA at that moment aborts the process.
        """
        with self._round:  # no round begins
            self._last = max(int(begun) for begun in agreement.gather(str(self._begun)))
        self._leaving.set()
        for thread in self._threads:
            thread.join()

    def wait_for_all(self) -> None:
        """Return once every process is known to have lived after this call; else this process ends."""
        with self._round:
            target = self._begun + 1
            self._round.wait_for(lambda: self._answered >= target)

    def _ask_for_all(self) -> None:
        everyone = set(range(agreement.num_processes()))
        while True:
            self._leaving.wait(_EVERY)
            with self._round:
                if self._begun == self._last:
                    return
                self._begun += 1
            try:
                lost = sorted(everyone - agreement.live_processes())
            except RuntimeError as error:
                _end(f"process 0, the coordinator, is lost ({str(error).splitlines()[0]})")
            if lost:
                _end(f"process {', '.join(map(str, lost))} of {len(everyone)} is lost: it ended, or its heart stopped")
            with self._round:
                self._answered = self._begun
                self._round.notify_all()

    def _ask_coordinator(self) -> None:
        while not self._leaving.is_set():
            late = threading.Timer(_MISSED, _say_late)
            late.daemon = True
            try:
                agreement.hold_coordinator(_EVERY)
                late.start()
                agreement.ask_coordinator()
            except RuntimeError as error:
                _end(f"process 0, the coordinator, is lost ({str(error).splitlines()[0]})")
            finally:
                late.cancel()


def _say_late() -> None:
    # JAX's own message, when it then misses the heartbeat, does not say whose.
    text = f"no answer from process 0, the coordinator, for {_MISSED:.0f} s; the job ends if it stays so."
    print(f"Process {agreement.process_id()}: {text}", file=sys.stderr, flush=True)


def _end(message: str) -> NoReturn:
    advice = f"the same command goes on from the last checkpoint (exit code {LOST_PEER})"
    _exit(f"error: {message}. Process {agreement.process_id()} ends; {advice}.", LOST_PEER)
