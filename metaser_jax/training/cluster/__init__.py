"""A job of several processes: its start, what its processes agree on, and how it ends.

JAX's multi-controller runtime is the engine: every process runs the same program, and all reach the same collectives in
the same order (https://docs.jax.dev/en/latest/multi_process.html). So a process must not fail alone: what may fail in
one goes through `attempt`, and a process that is lost ends the others, through `guard`.
"""

from metaser_jax.errors import LOST_PEER, PREEMPTED, NotAllCameError, Preempted
from metaser_jax.training.cluster.agreement import agree, attempt, broadcast, is_primary
from metaser_jax.training.cluster.ending import Preemption, guard
from metaser_jax.training.cluster.start import start

__all__ = [
    "LOST_PEER",
    "PREEMPTED",
    "NotAllCameError",
    "Preempted",
    "Preemption",
    "agree",
    "attempt",
    "broadcast",
    "guard",
    "is_primary",
    "start",
]
