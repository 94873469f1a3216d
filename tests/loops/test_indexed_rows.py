"""Chunks of an unknown number of utterances, against numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metaser_jax import Batch
from metaser_jax.loops.finetuning import Rows, apply_to_rows, mean_over_rows

RNG = np.random.default_rng(0)
X, Y, INDEX = RNG.normal(size=(9, 3)).astype(np.float32), np.arange(9, dtype=np.int32), np.array([8, 3, 3, 0, 5, 1, 2])


def mean(batch: Batch, position: jax.Array):
    weight = batch.weight / jnp.maximum(jnp.sum(batch.weight), 1e-9)
    return {"x": weight @ batch.x, "y": weight @ batch.y.astype(jnp.float32), "position": weight @ position}


@pytest.mark.parametrize("chunk", [0, 1, 3, 4, 100])
@pytest.mark.parametrize(("start", "stop"), [(0, 7), (2, 5), (6, 7), (3, 3)])
@pytest.mark.usefixtures("strict_promotion")
def test_mean_over_rows(chunk, start, stop):
    weights = (None, RNG.uniform(size=9).astype(np.float32))
    for weight in weights:

        @jax.jit
        def of(start, stop, weight=weight):
            def function(batch, position):
                return mean(batch, position.astype(jnp.float32))

            data = Batch(jnp.asarray(X), jnp.asarray(Y), None if weight is None else jnp.asarray(weight))
            return mean_over_rows(function, data, jnp.asarray(INDEX), start, stop, at_most=7, chunk=chunk)

        got, rows = of(start, stop), INDEX[start:stop]
        by = None if weight is None else weight[rows]
        for name, values in (("x", X[rows]), ("y", Y[rows]), ("position", np.arange(start, stop))):
            expected = np.average(values, axis=0, weights=by) if len(rows) else np.zeros_like(got[name])
            np.testing.assert_allclose(got[name], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("chunk", [0, 1, 3, 100])
def test_apply_to_rows(chunk):
    matrix = RNG.normal(size=(3, 2)).astype(np.float32)
    of = jax.jit(
        lambda n: apply_to_rows(lambda p, x: x @ p, matrix, jnp.asarray(X), Rows(jnp.asarray(INDEX), n), chunk)
    )
    for n in (7, 3, 0):
        got = of(n)
        assert got.shape == (7, 2)
        np.testing.assert_allclose(got[:n], X[INDEX[:n]] @ matrix, rtol=1e-5)
