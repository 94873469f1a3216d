"""Which clips are scored, and the scores, on cases that can be counted by hand."""

import dataclasses

import numpy as np
import pytest
from fakes import fake_model

from metaser_jax.audio import clips
from metaser_jax.audio.clips import HOP_SECONDS, Clip, Quality
from metaser_jax.recogniser.evaluation import HEARD, NEW, UNKNOWN, Predicted, evaluate, kinds_of, learned_from

EMOTIONS = ("angry", "happy", "neutral", "sad")


def fake_clip(seed, frames=50):
    mfcc = np.random.default_rng(seed).normal(size=(frames, 20)).astype(np.float32)
    return Clip(mfcc, frames * HOP_SECONDS, 16000, f"{seed:064x}", Quality(0.5, 0.0, -20.0, 1))


def sure(label, p=0.85):
    """[n, class]: p for `label`, the rest shared."""
    return np.where(np.eye(4, dtype=bool)[label], p, (1 - p) / 3)


def predicted(label, said, speaker):
    return Predicted(np.array(label), sure(np.array(said)), np.array(speaker))


def test_clips_are_known_by_their_bytes_or_by_their_features():
    given = [fake_clip(seed) for seed in range(4)]
    mfcc, n_frames = zip(*map(clips.first_window, given), strict=True)
    support = dataclasses.replace(
        fake_model(clips=2).support,
        mfcc=np.stack([mfcc[0] + 1, mfcc[1]]),
        n_frames=np.array(n_frames[:2]),
        sha256=np.array([given[0].sha256, "0" * 64]),
    )
    # The first's features are others (by another version of a library), the second's file is.
    assert learned_from(given, support).tolist() == [True, True, False, False]
    assert learned_from(given, None).tolist() == [False] * 4
    longer = given[1]._replace(frames=np.concatenate([given[1].frames, np.zeros((1, 20), np.float32)]))
    assert learned_from([longer], support).tolist() == [False], "a frame of zeros is not padding"


def test_speakers_are_told_apart_where_they_are_known():
    support = dataclasses.replace(fake_model(clips=2).support, speaker=np.array(["a", "b"]))
    of = np.array(["a", "c", "unknown"])
    assert kinds_of(of, support).tolist() == [HEARD, NEW, UNKNOWN]
    one_unknown = dataclasses.replace(support, speaker=np.array(["a", "unknown"]))
    assert kinds_of(of, one_unknown).tolist() == [HEARD, UNKNOWN, UNKNOWN]
    assert kinds_of(of, None).tolist() == [UNKNOWN] * 3


def test_scores_counted_by_hand():
    # angry: 2 of 2 right; happy: 1 of 2, the other said to be angry; neutral: 0 of 1, said to be angry; sad: none.
    given = predicted([0, 0, 1, 1, 2], [0, 0, 1, 0, 0], ["a", "b", "a", "b", "b"])
    found = evaluate(given, np.array([HEARD, NEW, HEARD, NEW, NEW]), EMOTIONS)
    expected = (5, 3 / 5, (1 + 1 / 2) / 4, (2 * 2 / (2 + 4) + 2 * 1 / (2 + 1)) / 4)
    assert tuple(found[key] for key in ("n", "accuracy", "uar", "macro_f1")) == pytest.approx(expected)
    assert found["confusion"] == [[2, 0, 0, 0], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    assert found["per_emotion"] == {
        "angry": {"n": 2, "recall": 1.0, "precision": 0.5},
        "happy": {"n": 2, "recall": 0.5, "precision": 1.0},
        "neutral": {"n": 1, "recall": 0.0, "precision": None},
        "sad": {"n": 0, "recall": None, "precision": None},
    }
    # .85 sure of all, right 3 times of 5.
    nll = -(3 * np.log(0.85) + 2 * np.log(0.05)) / 5
    assert found["calibration"] == pytest.approx({"ece": 0.85 - 3 / 5, "nll": nll, "bins": 10})
    each = {kind: (of["n"], of["accuracy"]) for kind, of in found["by_speakers"].items()}
    assert each == {HEARD: (2, 1.0), NEW: (3, pytest.approx(1 / 3))}


def test_the_interval_is_over_speakers_where_they_allow_it():
    label = np.tile(np.arange(4), 6)
    said = np.where(np.arange(24) % 5 == 0, 0, label)
    by_speaker = evaluate(predicted(label, said, np.repeat(list("abcdef"), 4)), np.full(24, NEW), EMOTIONS)
    assert (by_speaker["by"], by_speaker["units"]) == ("speakers", 6)
    low, high = by_speaker["interval"]
    assert 0 < low < by_speaker["macro_f1"] < high <= 1
    by_clip = evaluate(predicted(label, said, ["unknown"] * 24), np.full(24, UNKNOWN), EMOTIONS)
    assert (by_clip["by"], by_clip["units"]) == ("utterances", 24)
    assert (by_clip["speakers"], by_clip["over_speakers"]) == (None, None)
    # Both intervals are there, and the wider one is to be published.
    assert (by_speaker["speakers"], by_speaker["over_speakers"]) == (6, by_speaker["interval"])
    assert by_speaker["over_clips"] == by_clip["interval"] == by_clip["over_clips"]


def test_few_speakers_have_no_interval_over_them_and_a_single_clip_none():
    label, speaker = np.tile(np.arange(4), 42), np.repeat(list("abc"), 56)
    said = np.where(speaker == "a", (label + 1) % 4, label)
    found = evaluate(predicted(label, said, speaker), np.full(168, NEW), EMOTIONS)
    assert (found["by"], found["units"], found["speakers"], found["over_speakers"]) == ("utterances", 168, 3, None)
    low, high = found["interval"]
    assert 0.55 < low < found["macro_f1"] < high < 0.75
    assert evaluate(predicted([0], [0], ["a"]), np.array([NEW]), EMOTIONS)["interval"] is None
