"""Sums over a loop."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def scan_sum(
    function: Callable[[Any], tuple[Any, Any]], xs: Any, weight: Callable[[Any], jax.Array] | None = None
) -> tuple[Any, Any, Any]:
    """Add up values as they come; stacked first, gradients would take the parameters' size times the steps.

    Args:
      function: x -> (value, info), pytrees of arrays.
      xs: pytree of arrays, [steps, ...], the x of each step.
      weight: x -> scalar, how much its value counts; None: all count one.

    Returns:
      The sum of the values, in float32 where they are of fewer bits, with weights a pair (sum of the weights, of the
      values); info stacked, [steps, ...]; and the values' shapes and types, jax.ShapeDtypeStruct.
    """
    function = jax.jit(function, inline=True)  # traced once, for its types and for the loop

    def add(total, x):
        value, info = function(x)
        value = widened(value) if weight is None else weighted(weight(x), value)
        return jax.tree.map(jnp.add, total, value), info

    first = jax.tree.map(lambda a: a[0], xs)
    value, _ = jax.eval_shape(function, first)
    total = jax.tree.map(lambda v: jnp.zeros(v.shape, v.dtype), value)
    total = widened(total) if weight is None else weighted(jnp.zeros_like(weight(first)), total)
    return *jax.lax.scan(add, total, xs), value


def weighted(weight: jax.Array, tree: Any) -> tuple[jax.Array, Any]:
    """Return a weight, and the arrays times it."""
    return weight, jax.tree.map(lambda v: weight.astype(v.dtype) * v, widened(tree))


def widened(tree: Any) -> Any:
    """Return arrays in float32 where they are of fewer bits, for sums of them."""
    return jax.tree.map(lambda v: v.astype(jnp.float32) if v.dtype.itemsize < 4 else v, tree)


def typed_as(like: Any, tree: Any) -> Any:
    """Return the arrays of tree in the types of those of `like`."""
    return jax.tree.map(lambda of, v: v.astype(of.dtype), like, tree)
