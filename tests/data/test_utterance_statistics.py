"""Statistics of an utterance: numpy's and scipy's on hand-made input, and nothing of the padding."""

import numpy as np
import pytest
from scipy import stats

from metaser_jax import InputError
from metaser_jax.data.utterance_statistics import NAMES, utterance_statistics


def test_by_hand():
    x = np.zeros((1, 6, 2))
    x[0, :5, 0] = [4, 0, 2, 1, 3]
    x[0, :5, 1] = 7
    mean, deviation, *percentiles = utterance_statistics(x, np.array([5])).reshape(len(NAMES), 2)
    assert mean.tolist() == [2, 7]
    np.testing.assert_allclose(deviation, [np.sqrt(2), 0])
    np.testing.assert_allclose(np.array(percentiles)[:, 0], [0.4, 1, 2, 3, 3.6])
    assert (np.array(percentiles)[:, 1] == 7).all()


def test_against_scipy_utterance_by_utterance():
    rng = np.random.default_rng(0)
    x, n_frames = rng.normal(size=(9, 120, 20)).astype(np.float32), rng.integers(1, 121, 9)
    found = utterance_statistics(x, n_frames)
    assert found.shape == (9, 140)
    for one, frames, n in zip(found.reshape(9, 7, 20), x.astype(float), n_frames, strict=True):
        real = frames[:n]
        np.testing.assert_allclose(one[0], real.mean(0))
        np.testing.assert_allclose(one[1], stats.tstd(real, axis=0, ddof=0) if n > 1 else 0, atol=1e-12)
        for row, p in zip(one[2:], (10, 25, 50, 75, 90), strict=True):
            np.testing.assert_allclose(row, [stats.scoreatpercentile(real[:, c], p) for c in range(20)])


def test_padding_is_not_looked_at():
    x, n_frames = np.random.default_rng(0).normal(size=(3, 10, 4)), np.array([1, 4, 10])
    other = x.copy()
    other[np.arange(10) >= n_frames[:, None]] = 1e6
    longer = np.pad(x, ((0, 0), (0, 5), (0, 0)))
    np.testing.assert_array_equal(utterance_statistics(other, n_frames), utterance_statistics(x, n_frames))
    np.testing.assert_array_equal(utterance_statistics(longer, n_frames), utterance_statistics(x, n_frames))


@pytest.mark.parametrize("frames", [0, 11])
def test_a_number_of_frames_that_cannot_be(frames):
    with pytest.raises(InputError, match=f"utterance 1 has {frames} real frames, expected 1 to 10"):
        utterance_statistics(np.ones((2, 10, 4)), np.array([3, frames]))


def test_arrays_that_do_not_fit():
    with pytest.raises(InputError, match=r"got x \(2, 10, 4\) and n_frames \(3,\)"):
        utterance_statistics(np.ones((2, 10, 4)), np.ones(3, int))
