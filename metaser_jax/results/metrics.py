"""Scores of predictions, as scikit-learn has them, and temperature scaling: probabilities that mean what they say.

  p = softmax(logits / T),    T minimises the negative log-likelihood of clips that the model has not learned from

Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", ICML 2017. Of a handful of clips all may be
right, and the best T then is 0, which makes every probability 1. So log T has a normal prior around 0, no change: the
fewer the clips, the nearer is T to 1. And a temperature that helps the clips it was fitted on need not help others, so
it is judged on clips that it was not fitted on, and left alone where it does not help those.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.metrics import confusion_matrix

from metaser_jax.errors import InputError, check_choice

SCORES = ("macro_f1", "uar", "accuracy", "weighted_f1")


def scores(label: np.ndarray, predicted: np.ndarray, classes: int) -> dict[str, float | list[list[int]]]:
    """Return macro F1, unweighted average recall, accuracy, weighted F1 and the confusion matrix.

    Args:
      label: [n] int, true classes.
      predicted: [n] int.
      classes: number of classes; one that is never predicted has F1 0.

    Returns:
      macro_f1, uar, accuracy, weighted_f1 in [0, 1]; confusion [classes][classes] counts, rows true, columns predicted.
    """
    confusion = confusion_matrix(label, predicted, labels=np.arange(classes))
    return {score: float(score_of(confusion, score)) for score in SCORES} | {"confusion": confusion.tolist()}


def score_of(confusion: np.ndarray, score: str) -> np.ndarray:
    """Return a score of confusion matrices, as scikit-learn's with labels=all classes and zero_division=0.

    Args:
      confusion: [..., class, class] counts or sums of them, rows true, columns predicted.
      score: one of SCORES.

    Returns:
      [...] float.
    """
    check_choice("score", score, SCORES)
    confusion = np.asarray(confusion, float)
    hit = np.diagonal(confusion, axis1=-2, axis2=-1)
    true, predicted = confusion.sum(-1), confusion.sum(-2)
    if score == "accuracy":
        return _ratio(hit.sum(-1), true.sum(-1))
    if score == "uar":
        return _ratio(hit, true).mean(-1)
    f1 = _ratio(2 * hit, true + predicted)
    return f1.mean(-1) if score == "macro_f1" else _ratio((f1 * true).sum(-1), true.sum(-1))


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a / b, and 0 where b is 0."""
    return np.divide(a, b, out=np.zeros_like(a), where=b > 0)


def speaker_oracle(
    train_label: np.ndarray, train_speaker: np.ndarray, test_speaker: np.ndarray, classes: int
) -> np.ndarray:
    """Guess each test utterance's emotion from who speaks: the speaker's most frequent one in training.

    It hears nothing. What it scores is what a split gives away by its speakers. A speaker not in training gets the
    most frequent emotion of all; ties go to the lower class.

    Args:
      train_label: [m] int. train_speaker: [m] str. test_speaker: [n] str.

    Returns:
      [n] int, predicted classes.
    """

    def most_frequent(labels: np.ndarray) -> int:
        return int(np.bincount(labels, minlength=classes).argmax())

    of_speaker = {s: most_frequent(train_label[train_speaker == s]) for s in np.unique(train_speaker)}
    unseen = most_frequent(train_label)
    return np.array([of_speaker.get(s, unseen) for s in test_speaker])


# What a temperature may be; at either end hardly anything changes any more.
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 50.0
# Standard deviation of log T before any clip is seen.
PRIOR = 0.35
BINS = 10


class Calibration(NamedTuple):
    """Temperature scaling, and what it changes on clips that neither the model nor the temperature was fitted on.

    Attributes:
      temperature: the logits' divisor; 1 where `tried` does not help.
      n: clips it was found with.
      nll_before, nll_after: mean negative log-likelihood in nats, with temperature 1 and as the model is now.
      ece_before, ece_after: expected calibration error, see `calibration_error`.
      tried: the temperature that was fitted; nll_tried, ece_tried: with temperatures fitted in the same way.
    """

    temperature: float
    n: int
    nll_before: float
    nll_after: float
    ece_before: float
    ece_after: float
    tried: float
    nll_tried: float
    ece_tried: float

    def verdict(self) -> str:
        """Return what was done and what it does, in plain words."""
        changes = (
            f"negative log-likelihood {self.nll_before:.2f} without it and {self.nll_tried:.2f} with it, expected "
            f"calibration error {self.ece_before:.2f} and {self.ece_tried:.2f}"
        )
        held_out = "clips that neither the model nor the temperature had learned from"
        if self.temperature == self.tried:
            return f"Calibrated with temperature {self.tried:.2f}. On {held_out}: {changes}."
        return (
            f"Probabilities are left as they are (temperature 1): the temperature that fits these clips, "
            f"{self.tried:.2f}, does not help on {held_out}: {changes}."
        )


def calibrate(logits: np.ndarray, label: np.ndarray, parts: Sequence[Sequence[np.ndarray]]) -> Calibration:
    """Fit a temperature to held-out clips, and keep it only if it helps clips that it was not fitted on.

    The clips of each part are scored with the temperature that fits the others. It helps if that makes the negative
    log-likelihood smaller, which is a proper score, and the calibration error, which of few clips is noise, no larger.

    Args:
      logits: [run, n, class], of models that had not learned from the clip.
      label: [n] int.
      parts: [run][part] of [m] int, two parts or more that together are the n clips.

    Raises:
      InputError: as fit_temperature.
    """
    logits = np.asarray(logits, np.float64)
    fitted = fit_temperature(logits, label)
    temperature = np.ones(logits.shape[:2])
    for run, tests in enumerate(parts):
        for test in tests:
            others = np.setdiff1d(np.arange(len(label)), test)
            temperature[run, test] = fit_temperature(logits[:, others], label[others])

    def held_out(temperature: np.ndarray | float) -> tuple[float, float]:
        """Return negative log-likelihood and calibration error."""
        probabilities = np.exp(log_softmax(logits / temperature, axis=-1)).reshape(-1, logits.shape[-1])
        labels = np.tile(label, len(logits))
        return log_loss(probabilities, labels), calibration_error(probabilities, labels)

    before, tried = held_out(1.0), held_out(temperature[..., None])
    helps = tried[0] < before[0] and tried[1] <= before[1]
    after = tried if helps else before
    changes = (before[0], after[0], before[1], after[1])
    return Calibration(fitted if helps else 1.0, len(label), *changes, fitted, *tried)


def fit_temperature(logits: np.ndarray, label: np.ndarray) -> float:
    """Return the temperature that fits held-out clips, the maximum a posteriori under the prior.

    Args:
      logits: [run, n, class], of models that had not learned from the clip.
      label: [n] int.

    Raises:
      InputError: no clips, shapes that do not fit, or logits that are not finite.
    """
    logits, label = np.asarray(logits, np.float64), np.asarray(label)
    n = label.size
    if logits.ndim != 3 or not logits.size or logits.shape[1:2] != label.shape or not np.isfinite(logits).all():
        raise InputError(
            f"fit_temperature: got logits {logits.shape} and labels {label.shape}, expected finite [run, n, class] and "
            "[n] with n > 0."
        )

    def loss(log_temperature: float) -> float:
        likelihood = log_softmax(logits / np.exp(log_temperature), axis=-1)[:, np.arange(n), label].mean()
        return float((log_temperature / PRIOR) ** 2 / (2 * n) - likelihood)

    best: Any = minimize_scalar(loss, bounds=np.log([MIN_TEMPERATURE, MAX_TEMPERATURE]), method="bounded")
    return float(np.exp(best.x))


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
