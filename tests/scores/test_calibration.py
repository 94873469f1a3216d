"""Temperature scaling and what is measured of it."""

import numpy as np
import pytest

from metaser_jax import InputError
from metaser_jax.scores.calibration import (
    MAX_TEMPERATURE,
    MIN_TEMPERATURE,
    calibration_error,
    fit_temperature,
    log_loss,
)


def softmax(logits):
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def drawn(n, temperature, seed=0):
    """Logits, and labels drawn from what they say once they are divided by the temperature."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=3, size=(n, 4))
    label = np.array([rng.choice(4, p=p) for p in softmax(logits / temperature)])
    return logits, label


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_finds_the_temperature_of_many_clips(temperature):
    logits, label = drawn(20_000, temperature)
    found = fit_temperature(logits, label)
    assert found.temperature == pytest.approx(temperature, rel=0.05)
    assert found.nll_after <= found.nll_before + 1e-9
    assert found.ece_after < 0.015
    assert found.n == 20_000


def test_several_runs_of_the_same_clips():
    logits, label = drawn(500, 2.0)
    one, three = fit_temperature(logits, label), fit_temperature(np.stack([logits] * 3), label)
    assert three == pytest.approx(one)


def test_few_clips_that_are_all_right_make_no_certainty():
    logits = 3 * np.eye(4)[[0, 1, 2, 3, 0, 1, 2, 3]]
    found = fit_temperature(logits, np.array([0, 1, 2, 3] * 2))
    # Smoothed as Platt's: the best that n clips can say of the right emotion is (n + 1) / (n + 4).
    assert softmax(logits / found.temperature).max() == pytest.approx(9 / 12, abs=1e-3)


def test_few_clips_that_are_all_wrong_say_nothing():
    found = fit_temperature(3 * np.eye(4)[[1, 2, 3, 0]], np.arange(4))
    assert found.temperature == pytest.approx(MAX_TEMPERATURE, rel=0.01)
    assert found.temperature > MIN_TEMPERATURE


def test_calibration_error_by_hand():
    # Two bins: .9 and .9, of which one is right; .6, which is right.
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]])
    assert calibration_error(probabilities, np.array([0, 1, 1])) == pytest.approx((2 * 0.4 + 0.4) / 3)
    assert calibration_error(np.eye(3), np.arange(3)) == 0
    assert log_loss(np.array([[0.25, 0.75], [0.5, 0.5]]), np.array([1, 0])) == pytest.approx(-np.log(0.375) / 2)
    assert np.isfinite(log_loss(np.eye(2), np.array([1, 0])))


@pytest.mark.parametrize(
    ("logits", "label"),
    [
        (np.zeros((0, 4)), np.zeros(0, int)),
        (np.zeros((3, 4)), np.zeros(2, int)),
        (np.full((2, 4), np.nan), np.zeros(2, int)),
        (np.zeros(4), np.zeros(4, int)),
    ],
)
def test_bad_input(logits, label):
    with pytest.raises(InputError, match=r"fit_temperature: got logits .* expected finite \[run, n, class\]"):
        fit_temperature(logits, label)
