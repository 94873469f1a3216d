"""The end of a job, also when one of its processes is lost.

A lost process leaves the others in a collective: gloo (CPU) raises there within a second, NCCL waits. Either way JAX's
coordination service misses its heartbeat, and then JAX aborts every process. What this adds: the lost process is named,
the exit code is LOST_PEER, and no process waits in JAX's shutdown barrier for one that never comes.
"""

import contextlib
import os
import sys
import threading
import traceback
from collections.abc import Iterator
from typing import NoReturn

import jax

from metaser_jax.cluster import runtime
from metaser_jax.cluster.preemption import Preempted
from metaser_jax.errors import InputError

LOST_PEER = 76
# Seconds between questions, and until an answer of the coordinator is missed.
_EVERY, _MISSED = 1.0, 3.0


@contextlib.contextmanager
def guard() -> Iterator[None]:
    """Around what a job does after `start`: leaves the job at the end, and ends it if a process is lost.

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
        _leave(watch)
    except (InputError, Preempted):
        _leave(watch)
        raise
    except KeyboardInterrupt:
        _exit("Interrupted.", 130)
    except Exception as error:
        text = traceback.format_exc()
        print(f"Process {runtime.process_id()}: {error}\nAsking which process is lost ...", file=sys.stderr, flush=True)
        watch.wait_for_all()
        _exit(f"error: no process of the job is lost.\n{text}", 1)


def _leave(watch: "_Watch") -> None:
    # First all are here, then none asks for the others, then the connection closes.
    runtime.gather("")
    watch.leaving.set()
    jax.distributed.shutdown()


def _exit(message: str, code: int) -> NoReturn:
    """Ends the process without its exit handlers, which would wait for the other processes."""
    sys.stdout.flush()
    print(message, file=sys.stderr, flush=True)
    os._exit(code)


class _Watch:
    """Threads that ask which processes live."""

    def __init__(self) -> None:
        self.leaving = threading.Event()
        self._changed = threading.Condition()
        self._begun = self._answered = 0

    def start(self) -> None:
        threading.Thread(target=self._ask_for_all, name="live processes", daemon=True).start()
        if runtime.process_id() != 0:
            threading.Thread(target=self._ask_coordinator, name="live coordinator", daemon=True).start()

    def wait_for_all(self) -> None:
        """Returns once every process is known to have lived after this call; else this process ends."""
        with self._changed:
            target = self._begun + 1
            self._changed.wait_for(lambda: self._answered >= target)

    def _ask_for_all(self) -> None:
        everyone = set(range(runtime.num_processes()))
        while not self.leaving.wait(_EVERY):
            with self._changed:
                self._begun += 1
                number = self._begun
            try:
                lost = sorted(everyone - runtime.live_processes())
            except RuntimeError as error:
                self._end(f"process 0, the coordinator, is lost ({str(error).splitlines()[0]})")
                return
            if lost:
                self._end(f"process {', '.join(map(str, lost))} of {len(everyone)} is lost: no heartbeat")
                return
            with self._changed:
                self._answered = number
                self._changed.notify_all()

    def _ask_coordinator(self) -> None:
        while not self.leaving.is_set():
            late = threading.Timer(_MISSED, self._say_late)
            late.daemon = True
            try:
                runtime.hold_coordinator(_EVERY)
                late.start()
                runtime.ask_coordinator()
            except RuntimeError as error:
                self._end(f"process 0, the coordinator, is lost ({str(error).splitlines()[0]})")
                return
            finally:
                late.cancel()

    def _say_late(self) -> None:
        # JAX's own message, when it then misses the heartbeat, does not say whose.
        if not self.leaving.is_set():
            text = f"no answer from process 0, the coordinator, for {_MISSED:.0f} s; the job ends if it stays so."
            print(f"Process {runtime.process_id()}: {text}", file=sys.stderr, flush=True)

    def _end(self, message: str) -> None:
        if not self.leaving.is_set():
            _exit(
                f"error: {message}. Process {runtime.process_id()} ends; the same command goes on from the last "
                f"checkpoint (exit code {LOST_PEER}).",
                LOST_PEER,
            )
