"""Cross-entropy: smoothed labels, whole numbers or one-hot, of one network or several."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from metaser_jax import Batch, cross_entropy

RNG = np.random.default_rng(4)
CLASSES = 4


@pytest.mark.parametrize("members", [0, 3])
@pytest.mark.parametrize("one_hot", [False, True])
def test_smoothed_labels_are_those_of_optax(members, one_hot):
    shape = (6, members, CLASSES) if members else (6, CLASSES)
    logits = jnp.asarray(RNG.normal(size=shape, scale=2), "float32")
    y = jnp.asarray(RNG.integers(0, CLASSES, 6), "int32")
    weight = jnp.asarray(RNG.uniform(0.5, 2, 6), "float32")
    labels = jax.nn.one_hot(y, CLASSES)
    batch = Batch(logits, labels if one_hot else y, weight)

    smoothed = optax.smooth_labels(labels, 0.3)
    of_each = optax.softmax_cross_entropy(logits, smoothed[:, None] if members else smoothed)
    expected = np.average(of_each.mean(1) if members else of_each, weights=weight)
    np.testing.assert_allclose(cross_entropy(lambda params, x: x, 0.3)({}, batch), expected, rtol=1e-5)
    hard = cross_entropy(lambda params, x: x)({}, batch)
    np.testing.assert_array_equal(cross_entropy(lambda params, x: x, 0.0)({}, batch), hard)
    assert abs(hard - expected) > 1e-3
