"""The classifier: shapes, pooling over real frames only, and names that are errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metaser_jax import EmotionLSTM, InputError, frame_mask
from metaser_jax.lstm import LSTMParams, lstm

pytestmark = pytest.mark.usefixtures("strict_promotion")
KEY = jax.random.key(0)


def utterances(n=3, real=(12, 7, 1)):
    x = jax.random.normal(KEY, (n, 12, 20))
    return jnp.where(jnp.arange(12)[None, :, None] < jnp.array(real)[:, None, None], x, 0)


def test_frame_mask_ends_after_the_last_frame_that_is_not_zero():
    x = utterances().at[0, 3].set(0)  # a silent frame inside counts as real
    np.testing.assert_array_equal(frame_mask(x).sum(1), [12, 7, 1])
    np.testing.assert_array_equal(frame_mask(jnp.zeros((1, 4, 2))).sum(1), [0])


def test_shapes_and_names():
    params = EmotionLSTM().init(KEY, jnp.zeros((1, 120, 20)))
    shapes = jax.tree.map(jnp.shape, params["params"])
    assert shapes == {
        "lstm_1": {"kernel_input": (20, 512), "kernel_recurrent": (128, 512), "bias": (512,)},
        "lstm_2": {"kernel_input": (128, 512), "kernel_recurrent": (128, 512), "bias": (512,)},
        "hidden": {"kernel": (128, 128), "bias": (128,)},
        "output": {"kernel": (128, 4), "bias": (4,)},
    }
    assert EmotionLSTM().apply(params, jnp.zeros((5, 120, 20))).shape == (5, 4)


def test_the_papers_network_step_by_step():
    x = utterances()
    model = EmotionLSTM(hidden_dim=6)
    params = model.init(KEY, x)
    p = params["params"]
    states = jnp.swapaxes(x, 0, 1)
    for name in ("lstm_1", "lstm_2"):
        states = lstm(LSTMParams(**p[name]), states)
    hidden = states[-1] @ p["hidden"]["kernel"] + p["hidden"]["bias"]
    expected = hidden @ p["output"]["kernel"] + p["output"]["bias"]
    np.testing.assert_allclose(model.apply(params, x), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("pooling", ["mean", "mean_std"])
def test_pooling_ignores_the_padding(pooling):
    model = EmotionLSTM(hidden_dim=6, pooling=pooling)
    x = utterances()
    params = model.init(KEY, x)
    longer = jnp.pad(x, ((0, 0), (0, 30), (0, 0)))
    np.testing.assert_allclose(model.apply(params, x), model.apply(params, longer), rtol=1e-5, atol=1e-6)


def test_the_papers_pooling_does_not_ignore_it():
    model = EmotionLSTM(hidden_dim=6)
    x = utterances()
    params = model.init(KEY, x)
    assert jnp.abs(model.apply(params, x) - model.apply(params, jnp.pad(x, ((0, 0), (0, 30), (0, 0))))).max() > 1e-3


def test_mean_and_deviation_by_numpy():
    states = jax.random.normal(KEY, (12, 3, 5))
    mask = frame_mask(utterances())
    from metaser_jax.models import POOLINGS

    pooled = POOLINGS["mean_std"](states, mask)
    for n, real in enumerate((12, 7, 1)):
        of_real = np.asarray(states[:real, n], np.float64)
        expected = np.concatenate([of_real.mean(0), np.sqrt(of_real.var(0) + 1e-5)])
        np.testing.assert_allclose(pooled[n], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pooling", ["last", "mean", "mean_std"])
def test_batch_composition_does_not_matter(pooling):
    model = EmotionLSTM(hidden_dim=6, pooling=pooling)
    x = utterances()
    params = model.init(KEY, x)
    np.testing.assert_allclose(model.apply(params, x)[1:2], model.apply(params, x[1:2]), rtol=1e-5, atol=1e-6)


def test_unknown_names():
    with pytest.raises(InputError, match="pooling: got 'max', expected one of: last, mean, mean_std"):
        EmotionLSTM(pooling="max")
    with pytest.raises(InputError, match="activation: got 'gelu'"):
        EmotionLSTM(activation="gelu")
    with pytest.raises(InputError, match="recurrence: got 'loop', expected one of: interpret, kernel, scan"):
        EmotionLSTM(recurrence="loop")
