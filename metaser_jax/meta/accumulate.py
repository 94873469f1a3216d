"""Sums over a loop."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def scan_sum(function: Callable[[Any], tuple[Any, Any]], xs: Any) -> tuple[Any, Any]:
    """Add up values as they come; stacked first, gradients would take the parameters' size times the steps.

    Args:
      function: x -> (value, info), pytrees of arrays.
      xs: pytree of arrays, [steps, ...], the x of each step.

    Returns:
      The sum of the values; info stacked, [steps, ...].
    """

    def add(total, x):
        value, info = function(x)
        return jax.tree.map(jnp.add, total, value), info

    value, _ = jax.eval_shape(function, jax.tree.map(lambda a: a[0], xs))
    return jax.lax.scan(add, jax.tree.map(lambda v: jnp.zeros(v.shape, v.dtype), value), xs)
