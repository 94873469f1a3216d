"""Scores of a set of predictions, by scikit-learn."""

import numpy as np
from sklearn import metrics


def scores(label: np.ndarray, predicted: np.ndarray, classes: int) -> dict[str, float | list[list[int]]]:
    """Return macro F1, unweighted average recall, accuracy, weighted F1 and the confusion matrix.

    Args:
      label: [n] int, true classes.
      predicted: [n] int.
      classes: number of classes; one that is never predicted has F1 0.

    Returns:
      macro_f1, uar, accuracy, weighted_f1 in [0, 1]; confusion [classes][classes] counts, rows true, columns predicted.
    """
    labels = np.arange(classes)
    f1 = {
        average: metrics.f1_score(label, predicted, labels=labels, average=average, zero_division=0)
        for average in ("macro", "weighted")
    }
    return {
        "macro_f1": float(f1["macro"]),
        "uar": float(metrics.recall_score(label, predicted, labels=labels, average="macro", zero_division=0)),
        "accuracy": float(metrics.accuracy_score(label, predicted)),
        "weighted_f1": float(f1["weighted"]),
        "confusion": metrics.confusion_matrix(label, predicted, labels=labels).tolist(),
    }


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
