"""Statistics over frames: which are real, pooling, statistics of the input against numpy, and their standardisation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metaser_jax import InputError, frame_mask
from metaser_jax.models.frames import SLOPE, THRESHOLDS, Standardise, input_statistics

pytestmark = pytest.mark.usefixtures("strict_promotion")
REAL = (12, 7, 1)


@pytest.fixture(scope="module")
def x():
    values = np.random.default_rng(0).normal(size=(3, 12, 40)).astype(np.float32)
    return values * (np.arange(12) < np.array(REAL)[:, None])[..., None]


@pytest.mark.parametrize("coefs", [20, 40])
def test_statistics_of_the_input_by_numpy(x, coefs):
    """Whatever the padding."""
    x = x[..., :coefs]
    expected = []
    for frames, real in zip(x.astype(np.float64), REAL, strict=True):
        of_real = frames[:real]
        shares = [(1 / (1 + np.exp(-SLOPE * (of_real[:, :20] - t)))).mean(0) for t in THRESHOLDS]
        expected.append(np.concatenate([of_real.mean(0), *shares]))
    mask, longer = frame_mask(x), jnp.pad(x, ((0, 0), (0, 30), (0, 0)))
    np.testing.assert_allclose(input_statistics(jnp.asarray(x), mask, 20), expected, rtol=1e-5, atol=1e-6)
    noisy = longer.at[:, 12:].set(9)
    np.testing.assert_allclose(input_statistics(noisy, frame_mask(longer), 20), expected, rtol=1e-5, atol=1e-6)
    assert (input_statistics(jnp.asarray(x), jnp.zeros_like(mask), 20) == 0).all(), "no real frames"


def test_standardised_over_the_utterances_of_init():
    values = np.random.default_rng(0).normal(3, 5, (50, 8)).astype(np.float32)
    values[:, 4] = 7 + 1e-4 * values[:, 4]  # what hardly varies is not blown up
    params = Standardise().init(jax.random.key(0), jnp.asarray(values))
    others = Standardise().apply(params, jnp.asarray(values[:3] + 1))
    expected = (values[:3] + 1 - values.mean(0)) / np.maximum(values.std(0), 1e-2)
    np.testing.assert_allclose(others, expected, rtol=1e-4, atol=1e-4)
    one = jnp.full((1, 4), 5.0)
    params = Standardise().init(jax.random.key(0), one)
    np.testing.assert_array_equal(Standardise().apply(params, one), one, "one utterance changes nothing")


@pytest.mark.parametrize("dtype", ["float16", "int8", "uint8", "bool", "complex64"])
def test_frame_mask_takes_sequences_of_any_features(dtype):
    """It ends after the last frame that is not zero, whatever zeros are inside."""
    x = np.zeros((2, 3, 5, 7), dtype)
    x[1, 2, 3, 6] = 1
    mask = np.zeros((2, 3, 5), bool)
    mask[1, 2, :4] = True
    np.testing.assert_array_equal(frame_mask(x), mask)
    np.testing.assert_array_equal(frame_mask(jnp.asarray(x[1, 2])), mask[1, 2])
    with pytest.raises(InputError, match=r"frame_mask: got shape \(5,\)"):
        frame_mask(x[0, 0, :, 0])
