"""What the processes of a job agree on, so that none goes on alone and none is left waiting."""

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from metaser_jax.cluster import runtime
from metaser_jax.devices.parallel import is_key
from metaser_jax.errors import InputError

T = TypeVar("T")


def is_primary() -> bool:
    """Return whether this is process 0, which alone writes logs, checkpoints and reports."""
    return runtime.process_id() == 0


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
    if runtime.num_processes() == 1 and isinstance(failed, InputError):
        raise failed
    messages = runtime.gather("" if failed is None else str(failed) or repr(failed))
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
    values = [json.loads(text) for text in runtime.gather(json.dumps(dict(value), sort_keys=True))]
    differ = [key for key in sorted(set().union(*values)) if len({_shown(v, key) for v in values}) > 1]
    if differ:
        rows = [f"{key}: " + ", ".join(f"process {p} {_shown(v, key)}" for p, v in enumerate(values)) for key in differ]
        raise InputError(f"{what}: not the same in all processes of this job; make it so. {'; '.join(rows)}.")


def _shown(value: Mapping[str, Any], key: str) -> str:
    return json.dumps(value[key], sort_keys=True) if key in value else "has none"


def broadcast(tree: Any) -> Any:
    """Return the arrays of process 0, in all processes, to the bit.

    Args:
      tree: pytree of numbers, host arrays, and arrays that are whole on a device of each process, typed PRNG keys among
        them; of the same shapes and types in all processes.

    Returns:
      The tree as numpy arrays; typed PRNG keys as typed keys.
    """
    leaves, structure = jax.tree.flatten(tree)
    data = [np.asarray(jax.random.key_data(leaf) if is_key(leaf) else leaf) for leaf in leaves]
    if runtime.num_processes() > 1:
        data = _of_primary(data)
    return jax.tree.unflatten(structure, [_like(leaf, a) for leaf, a in zip(leaves, data, strict=True)])


def _of_primary(arrays: list[np.ndarray]) -> list[np.ndarray]:
    runtime.gather("")  # gloo's first collective does not wait long for others
    # As bytes: jax adds the processes' arrays, others' zeros to process 0's, which would lose the sign of -0.0; and
    # without jax_enable_x64 it would halve 64-bit numbers.
    joined = np.frombuffer(b"".join(a.tobytes() for a in arrays), np.uint8)
    joined = np.asarray(multihost_utils.broadcast_one_to_all(joined), np.uint8)
    parts = np.split(joined, np.cumsum([a.nbytes for a in arrays])[:-1]) if arrays else []
    return [np.frombuffer(p.tobytes(), a.dtype).reshape(a.shape) for p, a in zip(parts, arrays, strict=True)]


def _like(leaf: Any, data: np.ndarray) -> Any:
    return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf)) if is_key(leaf) else data
