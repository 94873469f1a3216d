"""What jax knows about the job, before and without its backends.

The one place of jax's private modules: jax.process_index() and jax.process_count() start the backends, which is too
early for the number of CPU devices, and nothing public reads or writes the coordination service. Collectives are no
substitute: gloo gives up if the processes reach their first one more than 30 s apart.
"""

import itertools

import jax
from jax._src import distributed

# Longer than any job: a process that never comes is found by its heartbeat.
_FOR_EVER_MS = 30 * 24 * 3600 * 1000

_calls = itertools.count()


def process_id() -> int:
    """This process's number, from 0."""
    return distributed.global_state.process_id if jax.distributed.is_initialized() else 0


def num_processes() -> int:
    """The job's number of processes."""
    return distributed.global_state.num_processes if jax.distributed.is_initialized() else 1


def live_processes() -> set[int]:
    """Waits until all processes ask this, or are known to be lost by their heartbeat; returns those that are not.

    Raises:
      RuntimeError: the coordinator cannot be asked any more.
    """
    return set(distributed.global_state.client.get_live_nodes(list(range(num_processes()))))


def ask_coordinator() -> None:
    """Returns once the coordinator has answered.

    Raises:
      RuntimeError: it cannot be asked any more.
    """
    distributed.global_state.client.key_value_dir_get("metaser_jax/nothing")


def hold_coordinator(seconds: float) -> None:
    """Waits with a question open, so that the coordinator's end is known at once.

    Raises:
      RuntimeError: it cannot be asked any more.
    """
    try:
        distributed.global_state.client.blocking_key_value_get("metaser_jax/nothing", int(1000 * seconds))
    except jax.errors.JaxRuntimeError as error:
        if not str(error).startswith("DEADLINE_EXCEEDED"):
            raise


def gather(text: str) -> list[str]:
    """The texts of all processes, in all of them; waits for all, however long one takes. All call it equally often."""
    if num_processes() == 1:
        return [text]
    client, call = distributed.global_state.client, next(_calls)
    client.key_value_set(f"metaser_jax/{call}/{process_id()}", text)
    return [client.blocking_key_value_get(f"metaser_jax/{call}/{p}", _FOR_EVER_MS) for p in range(num_processes())]
