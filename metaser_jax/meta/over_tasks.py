"""A function of each task, and its mean over the tasks of an episode: at once, or one after another."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from metaser_jax.meta.accumulate import scan_sum, typed_as
from metaser_jax.types import Episode


def map_some(function: Callable[[Any], Any], xs: Any, at_once: int) -> Any:
    """Return function(x) of each x, stacked: one after another, or so many at once.

    Args:
      function: x -> pytree of arrays.
      xs: pytree of arrays, [n, ...].
      at_once: how many.
    """
    # jax.lax.map's batch_size of 1 would be a vmap over one, whose loops run all their branches.
    options = {"batch_size": at_once} if at_once > 1 else {}
    return jax.lax.map(function, xs, **options)


def mean_over_tasks(
    function: Callable[[Episode], tuple[Any, Any]], episode: Episode, how: str | None
) -> tuple[Any, Any]:
    """Average over tasks.

    Args:
      function: one task -> (values, info), pytrees of arrays.
      episode: x [task, n, ...], y [task, n, ...].
      how: "vmap" or "scan", as Execution.resolve gives it.

    Returns:
      The mean of values over the tasks, of their types; info stacked, [task, ...].
    """
    if how == "vmap":
        values, info = jax.vmap(function)(episode)
        return jax.tree.map(lambda v: jnp.mean(v, axis=0), values), info

    total, info, types = scan_sum(function, episode)
    tasks = episode.support.y.shape[0]
    return typed_as(types, jax.tree.map(lambda v: v / tasks, total)), info
