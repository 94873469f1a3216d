"""Temperature scaling and what is measured of it."""

import numpy as np
import pytest
from scipy.special import softmax

from metaser_jax import InputError
from metaser_jax.results import metrics
from metaser_jax.results.metrics import calibrate, calibration_error, log_loss


def fit_temperature(logits, label):
    """Of one model."""
    return metrics.fit_temperature(np.asarray(logits)[None], label)


def drawn(n, temperature, seed=0):
    """Logits, and labels drawn from what they say once they are divided by the temperature."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=3, size=(n, 4))
    label = np.array([rng.choice(4, p=p) for p in softmax(logits / temperature, -1)])
    return logits, label


def in_parts(n, parts=5, seed=0):
    """One run's parts of n clips."""
    return [np.array_split(np.random.default_rng(seed).permutation(n), parts)]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_finds_the_temperature_of_many_clips(temperature):
    logits, label = drawn(20_000, temperature)
    assert fit_temperature(logits, label) == pytest.approx(temperature, rel=0.05)


def test_the_fewer_clips_the_nearer_to_no_change():
    logits, label = 3 * np.eye(4)[[0, 1, 2, 3]], np.array([0, 1, 2, 3])
    one, many = fit_temperature(logits, label), fit_temperature(np.tile(logits, (20, 1)), np.tile(label, 20))
    assert 0.05 < many < one < 1
    # All are right, and 4 clips make no certainty of it; 80 are surer.
    assert softmax(logits / one, -1).max() < 0.96 < softmax(logits / many, -1).max() < 1 - 1e-4
    wrong = fit_temperature(logits[[1, 2, 3, 0]], label)
    assert 1 < wrong < fit_temperature(np.tile(logits[[1, 2, 3, 0]], (20, 1)), np.tile(label, 20)) <= 50


def test_what_is_too_sure_is_calibrated():
    logits, label = drawn(200, 3.0)
    found = calibrate(logits[None], label, in_parts(200))
    assert found.temperature == found.tried == fit_temperature(logits, label) > 2
    assert found.nll_after == found.nll_tried < found.nll_before
    assert found.ece_after == found.ece_tried < found.ece_before
    assert found.n == 200
    assert found.verdict().startswith(f"Calibrated with temperature {found.tried:.2f}.")


def test_what_does_not_help_clips_it_was_not_fitted_on_is_not_applied():
    """Of the clips of one voice the logits are too sure, of the other's not sure enough."""
    logits, label = drawn(40, 1.0)
    voices = [np.arange(20), np.arange(20, 40)]
    logits[voices[0]] *= 4
    logits[voices[1]] /= 4
    found = calibrate(logits[None], label, [voices])
    assert found.tried != found.temperature == 1
    assert found.nll_tried > found.nll_before == found.nll_after
    assert found.ece_after == found.ece_before
    assert "left as they are (temperature 1)" in found.verdict()
    assert f"{found.nll_before:.2f} without it and {found.nll_tried:.2f} with it" in found.verdict()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_no_score_that_is_said_gets_worse(temperature, seed):
    logits, label = drawn(20, temperature, seed)
    found = calibrate(logits[None], label, in_parts(20, seed=seed))
    assert found.nll_after <= found.nll_before
    assert found.ece_after <= found.ece_before
    assert found.temperature in (1, found.tried)


def test_a_clip_is_scored_by_the_temperature_of_the_others():
    logits, label = drawn(12, 2.0)
    parts = in_parts(12, parts=3)
    t = np.ones(12)
    for part in parts[0]:
        t[part] = fit_temperature(np.delete(logits, part, 0), np.delete(label, part))
    by_hand = log_loss(softmax(logits / t[:, None], -1), label)
    assert calibrate(logits[None], label, parts).nll_tried == pytest.approx(by_hand)


def test_calibration_error_by_hand():
    # Two bins: .9 and .9, of which one is right; .6, which is right.
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]])
    assert calibration_error(probabilities, np.array([0, 1, 1])) == pytest.approx((2 * 0.4 + 0.4) / 3)
    assert calibration_error(np.eye(3), np.arange(3)) == 0
    assert log_loss(np.array([[0.25, 0.75], [0.5, 0.5]]), np.array([1, 0])) == pytest.approx(-np.log(0.375) / 2)
    assert np.isfinite(log_loss(np.eye(2), np.array([1, 0])))


@pytest.mark.parametrize(("shape", "clips"), [((0, 4), 0), ((3, 4), 2), ((2, 4), 2), ((4,), 4)])
def test_bad_input(shape, clips):
    """No clips; too few labels; logits that are no numbers; logits of no classes."""
    with pytest.raises(InputError, match="fit_temperature: got logits"):
        fit_temperature(np.full(shape, np.nan if shape == (2, 4) else 0), np.zeros(clips, int))
