"""What jax knows about the job, before and without its backends.

The one place of jax's private modules: jax.process_index() and jax.process_count() start the backends, which is too
early for the number of CPU devices, and nothing public reads or writes the coordination service. Collectives are no
substitute: gloo gives up if the processes reach their first one more than 30 s apart.
"""

import itertools
import json
import time
from typing import Any

import jax
from jax._src import distributed

# Longer than any job: a process that never comes is found by its heartbeat.
_FOR_EVER_MS = 30 * 24 * 3600 * 1000

_calls = itertools.count()


def _client() -> Any:
    """Return what this process talks to the job's coordinator with; there is one once it has joined."""
    return distributed.global_state.client


def process_id() -> int:
    """Return this process's number, from 0; also after the job's end."""
    return distributed.global_state.process_id


def num_processes() -> int:
    """Return the number of processes that this one is in a job with."""
    return distributed.global_state.num_processes if jax.distributed.is_initialized() else 1


def live_processes() -> set[int]:
    """Wait until all processes ask this, or are known to be lost by their heartbeat; return those that are not.

    Raises:
      RuntimeError: the coordinator cannot be asked any more.
    """
    return set(_client().get_live_nodes(list(range(num_processes()))))


def ask_coordinator() -> None:
    """Return once the coordinator has answered.

    Raises:
      RuntimeError: it cannot be asked any more.
    """
    _client().key_value_dir_get("metaser_jax/nothing")


def hold_coordinator(seconds: float) -> None:
    """Wait with a question open, so that the coordinator's end is known at once.

    Raises:
      RuntimeError: it cannot be asked any more.
    """
    try:
        _client().blocking_key_value_get("metaser_jax/nothing", int(1000 * seconds))
    except jax.errors.JaxRuntimeError as error:
        if not str(error).startswith("DEADLINE_EXCEEDED"):
            raise


def all_leave(within: float | None = None) -> bool:
    """Say that this process leaves, and wait for all to say so; return whether all did, within so many seconds."""
    client = _client()
    client.key_value_set(f"metaser_jax/leave/{process_id()}", "")
    end = None if within is None else time.monotonic() + within
    for process in range(num_processes()):
        left = _FOR_EVER_MS if end is None else max(1, int(1000 * (end - time.monotonic())))
        try:
            client.blocking_key_value_get(f"metaser_jax/leave/{process}", left)
        except jax.errors.JaxRuntimeError:
            return False
    return True


def gather(text: str) -> list[str]:
    """Return the texts of all processes, in all of them.

    Waits for all, however long one takes. All call it equally often.
    """
    if num_processes() == 1:
        return [text]
    client, call = _client(), next(_calls)
    mine, joined = f"metaser_jax/{call}/{process_id()}", f"metaser_jax/{call}/all"
    client.key_value_set(mine, text)
    if process_id() == 0:
        # Joined here: if each asked for each, 512 processes would be 262,144 questions.
        each = range(num_processes())
        texts = [client.blocking_key_value_get(f"metaser_jax/{call}/{p}", _FOR_EVER_MS) for p in each]
        client.key_value_set(joined, json.dumps(texts))
        # All are in this call, so none reads the one before any more; the coordinator would keep all of them.
        client.key_value_delete(f"metaser_jax/{call - 1}/all")
    else:
        texts = json.loads(client.blocking_key_value_get(joined, _FOR_EVER_MS))
    client.key_value_delete(mine)
    return texts
