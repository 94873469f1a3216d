"""Agreement between the processes of a job, so that none goes on alone and none is left waiting.

The one place of jax's private modules: jax.process_index() and jax.process_count() start the backends, which is too
early for the number of CPU devices, and nothing public reads or writes the coordination service. Collectives are no
substitute: gloo gives up if the processes reach their first one more than 30 s apart.
"""

import itertools
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import jax
import numpy as np
from jax._src import distributed
from jax.experimental import multihost_utils

from metaser_jax.errors import InputError
from metaser_jax.training.parallel import is_key

# Longer than any job: a process that never comes is found by its heartbeat.
_FOR_EVER_MS = 30 * 24 * 3600 * 1000

_calls = itertools.count()


def _client() -> Any:
    """Return the client of the job's coordinator; there is one once this process has joined."""
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


T = TypeVar("T")


def is_primary() -> bool:
    """Return whether this is process 0, which alone writes logs, checkpoints and reports."""
    return process_id() == 0


def attempt(action: Callable[[], T]) -> T:
    """Do in every process what may fail in some: reading data, writing files, compiling.

    All processes wait for one another here, however long one takes.

    Returns:
      What `action` returns here.

    Raises:
      InputError: in all processes, if `action` raises InputError or OSError in one; with its message, or those of all.
    """
    try:
        result, failed = action(), None
    except (InputError, OSError) as error:
        result, failed = None, error
    if num_processes() == 1 and isinstance(failed, InputError):
        raise failed
    messages = gather("" if failed is None else str(failed) or repr(failed))
    bad = {process: message for process, message in enumerate(messages) if message}
    if not bad:
        return result
    if len(bad) == len(messages) and len(set(bad.values())) == 1:
        raise InputError(messages[0]) from failed
    raise InputError("\n".join(f"Process {p} of {len(messages)}: {text}" for p, text in bad.items())) from failed


def agree(what: str, value: Mapping[str, Any]) -> None:
    """Check that all processes have the same of something.

    Args:
      what: it, for the message ("The configuration").
      value: what must be the same; of what JSON can write.

    Raises:
      InputError: in all processes; names the keys that differ, with every process's value.
    """
    values = [json.loads(text) for text in gather(json.dumps(dict(value), sort_keys=True))]
    rows = []
    for key in sorted(set().union(*values)):
        shown = [json.dumps(one[key], sort_keys=True) if key in one else "has none" for one in values]
        if len(set(shown)) > 1:
            rows.append(f"{key}: " + ", ".join(f"process {p} {text}" for p, text in enumerate(shown)))
    if rows:
        raise InputError(f"{what}: not the same in all processes of this job; make it so. {'; '.join(rows)}.")


def broadcast(tree: Any) -> Any:
    """Return the arrays of process 0, in all processes, to the bit.

    Args:
      tree: pytree of numbers, host arrays, and arrays that are whole on a device of each process, typed PRNG keys among
        them; of the same shapes and types in all processes.

    Returns:
      The tree as numpy arrays; typed PRNG keys as typed keys.
    """
    leaves, structure = jax.tree.flatten(tree)
    data: list[Any] = [np.asarray(jax.random.key_data(leaf) if is_key(leaf) else leaf) for leaf in leaves]
    if num_processes() > 1 and data:
        gather("")  # gloo's first collective does not wait long for others
        # As bytes: jax adds the processes' arrays, others' zeros to process 0's, which would lose the sign of -0.0; and
        # without jax_enable_x64 it would halve 64-bit numbers.
        joined = np.frombuffer(b"".join(a.tobytes() for a in data), np.uint8)
        joined = np.asarray(multihost_utils.broadcast_one_to_all(joined), np.uint8)
        parts = np.split(joined, np.cumsum([a.nbytes for a in data])[:-1])
        data = [np.frombuffer(p.tobytes(), a.dtype).reshape(a.shape) for p, a in zip(parts, data, strict=True)]
    for i, leaf in enumerate(leaves):
        if is_key(leaf):
            data[i] = jax.random.wrap_key_data(data[i], impl=jax.random.key_impl(leaf))
    return jax.tree.unflatten(structure, data)
