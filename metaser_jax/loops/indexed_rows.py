"""Some utterances of many, by their indices, and what is computed of them in chunks, as many as there really are.

A CPU has small chunks, whose intermediates stay in the cache, and few utterances do not pay for the padding. Elsewhere
they are there for the memory alone.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from metaser_jax.types import Batch, Params


class Rows(NamedTuple):
    """Utterances of a run; where index is as long, runs of other numbers share a program.

    Attributes:
      index: [n_max] int32, n_max >= 1, rows of the data; those from n on are padding, and any row.
      n: scalar int32, how many are real.
    """

    index: jax.Array
    n: jax.Array


def mean_over_rows(
    function: Callable[[Batch, jax.Array], Any],
    data: Batch,
    index: jax.Array,
    start: jax.Array | int,
    stop: jax.Array | int,
    *,
    at_most: int,
    chunk: int = 0,
) -> Any:
    """Return the mean of a function over data[index[start:stop]], weighted where the data are; of none it is zero.

    Args:
      function: (batch, position [chunk] int32 in index) -> pytree of arrays, each a weighted mean over the batch (or
        linear in such means). Padding in the batch has weight 0.
      data: x [m, ...], y [m], optional weight [m].
      index: [n_max] int32.
      start, stop: of index, traced.
      at_most: what stop - start never exceeds.
      chunk: utterances computed at once; 0: all.
    """
    size = _size(at_most, chunk)

    def of_chunk(number: jax.Array | int):
        position = start + number * size + jnp.arange(size, dtype=jnp.int32)
        rows = index[jnp.minimum(position, index.shape[0] - 1)]
        weight = (position < stop).astype(data.x.dtype)
        if data.weight is not None:
            weight = weight * data.weight[rows]
        value = function(Batch(data.x[rows], data.y[rows], weight), position)
        total = jnp.sum(weight)
        return total, jax.tree.map(lambda v: total.astype(v.dtype) * v, value)

    if size == at_most:
        total = of_chunk(0)
    else:
        zeros = jax.tree.map(lambda v: jnp.zeros(v.shape, v.dtype), jax.eval_shape(of_chunk, 0))
        chunks = (stop - start + size - 1) // size
        total = jax.lax.fori_loop(0, chunks, lambda c, sums: jax.tree.map(jnp.add, sums, of_chunk(c)), zeros)
    weight, value = total
    return jax.tree.map(lambda v: v / jnp.where(weight > 0, weight, 1).astype(v.dtype), value)


def apply_to_rows(
    apply: Callable[[Params, jax.Array], jax.Array], params: Params, x: jax.Array, rows: Rows, chunk: int = 0
) -> jax.Array:
    """Return what a model makes of some utterances, such as logits.

    Args:
      apply: (params, x [n, ...]) -> [n, out].
      x: [m, ...].
      rows: of x.
      chunk: as in mean_over_rows.

    Returns:
      [n_max, out]; that of the padding is zero or of any row.
    """
    (n_max,) = rows.index.shape
    size = _size(n_max, chunk)
    index = jnp.pad(rows.index, (0, -n_max % size))
    like = jax.eval_shape(apply, params, x[:1])

    def of_chunk(number: jax.Array, out: jax.Array) -> jax.Array:
        start = number * size
        values = apply(params, x[jax.lax.dynamic_slice_in_dim(index, start, size)])
        return jax.lax.dynamic_update_slice_in_dim(out, values, start, 0)

    zeros = jnp.zeros((len(index), *like.shape[1:]), like.dtype)
    return jax.lax.fori_loop(0, (rows.n + size - 1) // size, of_chunk, zeros)[:n_max]


def _size(at_most: int, chunk: int) -> int:
    return min(chunk or at_most, at_most)
