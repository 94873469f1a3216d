"""Scores by hand, and the speaker oracle."""

import numpy as np
import pytest

from metaser_jax.scores.metrics import scores, speaker_oracle


def test_scores_by_hand():
    label, predicted = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 0, 2])
    result = scores(label, predicted, classes=4)
    f1 = [2 * 2 / (3 + 3), 2 * 1 / (2 + 2), 1.0, 0.0]  # the fourth class neither occurs nor is predicted
    assert result["macro_f1"] == pytest.approx(np.mean(f1))
    assert result["weighted_f1"] == pytest.approx(np.dot(f1, [3, 2, 1, 0]) / 6)
    assert result["accuracy"] == pytest.approx(4 / 6)
    assert result["uar"] == pytest.approx(np.mean([2 / 3, 1 / 2, 1, 0]))
    assert result["confusion"] == [[2, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]


def test_speaker_oracle():
    label, speaker = np.array([3, 3, 1, 2, 3]), np.array(["a", "a", "a", "b", "c"])
    test = np.array(["b", "a", "unseen"])
    assert speaker_oracle(label, speaker, test, classes=4).tolist() == [2, 3, 3]
