"""Probabilities that mean what they say: temperature scaling, and how far off they are.

  p = softmax(logits / T),    T minimises the negative log-likelihood of clips that the model has not learned from

Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", ICML 2017. Of a handful of clips all may be
right, and the best T then is 0, which makes every probability 1. So the targets are smoothed by the number of clips, as
Platt's (1999) are for two classes: n clips of K emotions count as (n + 1) / (n + K) for the right one.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from metaser_jax.errors import InputError

# What a temperature may be; at either end hardly anything changes any more.
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 50.0
BINS = 10


class Calibration(NamedTuple):
    """Temperature scaling, and what it changed on the clips that it was found with.

    Attributes:
      temperature: the logits' divisor.
      n: clips it was found with.
      nll_before, nll_after: mean negative log-likelihood in nats, with temperature 1 and with this one.
      ece_before, ece_after: expected calibration error, see `calibration_error`.
    """

    temperature: float
    n: int
    nll_before: float
    nll_after: float
    ece_before: float
    ece_after: float


def fit_temperature(logits: np.ndarray, label: np.ndarray) -> Calibration:
    """Return the temperature of held-out clips.

    Args:
      logits: [run, n, class], of models that had not learned from the clip; or [n, class] of one.
      label: [n] int.

    Raises:
      InputError: no clips, shapes that do not fit, or logits that are not finite.
    """
    logits, label = np.asarray(logits, np.float64), np.asarray(label)
    if logits.ndim == 2:
        logits = logits[None]
    runs, n, classes = logits.shape if logits.ndim == 3 else (0, 0, 0)
    if not runs * n or label.shape != (n,) or not np.isfinite(logits).all():
        raise InputError(
            f"fit_temperature: got logits {logits.shape} and labels {label.shape}, expected finite [run, n, class] and "
            "[n] with n > 0."
        )
    right = (n + 1) / (n + classes)
    target = np.full((n, classes), (1 - right) / (classes - 1))
    target[np.arange(n), label] = right

    def loss(log_temperature: float) -> float:
        return -float((target * log_softmax(logits / np.exp(log_temperature), axis=-1)).sum(-1).mean())

    bounds = np.log([MIN_TEMPERATURE, MAX_TEMPERATURE])
    temperature = float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))
    before, after = (
        np.exp(log_softmax(logits / t, axis=-1)).reshape(-1, classes).astype(np.float64) for t in (1.0, temperature)
    )
    labels = np.tile(label, runs)
    return Calibration(
        temperature,
        n,
        log_loss(before, labels),
        log_loss(after, labels),
        calibration_error(before, labels),
        calibration_error(after, labels),
    )


def log_loss(probabilities: np.ndarray, label: np.ndarray) -> float:
    """Return mean negative log-likelihood in nats; probabilities [n, class], label [n] int."""
    of_label = np.asarray(probabilities, np.float64)[np.arange(len(label)), label]
    return float(-np.log(np.maximum(of_label, np.finfo(np.float64).tiny)).mean())


def calibration_error(probabilities: np.ndarray, label: np.ndarray, bins: int = BINS) -> float:
    """Return expected calibration error: how far the highest probability is from being right that often, in [0, 1].

    The clips are put into `bins` bins of equal width by their highest probability; the error is the mean over clips of
    |share right - mean probability| in the clip's bin (Guo et al., eq. 3). With few clips chance alone makes it large.

    Args:
      probabilities: [n, class]. label: [n] int.
    """
    probabilities = np.asarray(probabilities, np.float64)
    highest, right = probabilities.max(-1), probabilities.argmax(-1) == label
    number = np.minimum((highest * bins).astype(int), bins - 1)
    difference = np.zeros(bins)
    np.add.at(difference, number, right - highest)
    return float(np.abs(difference).sum() / len(label))
