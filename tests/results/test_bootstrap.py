"""Scores from confusions against scikit-learn's, and the bootstrap over speakers."""

import functools

import numpy as np
import pytest
from sklearn import metrics

from metaser_jax import InputError
from metaser_jax.results.bootstrap import bootstrap as bootstrap_of
from metaser_jax.results.bootstrap import choose_units, confusions, intervals_of
from metaser_jax.results.metrics import SCORES, scores, speaker_oracle
from metaser_jax.results.significance import SCORE, seed_interval

bootstrap = functools.partial(bootstrap_of, classes=4)


def made_up(speakers=6, per_emotion=5, runs=3, right=0.6, seed=0):
    rng = np.random.default_rng(seed)
    label = np.tile(np.repeat(np.arange(4), per_emotion), speakers)
    speaker = np.repeat([f"s{i}" for i in range(speakers)], 4 * per_emotion)
    hit = rng.random((runs, len(label))) < right
    return label, np.where(hit, label, rng.integers(0, 4, hit.shape)), speaker


def test_scores_equal_scikit_learns():
    """Also of an emotion that nobody says or predicts, one never predicted, one predicted and not said."""
    for label, runs in (made_up()[:2], (np.array([0, 0, 2, 2, 2]), np.array([[0, 1, 0, 0, 1]]))):
        for predicted in runs:
            of, found = {"labels": range(4), "zero_division": 0}, scores(label, predicted, 4)
            assert found["macro_f1"] == pytest.approx(metrics.f1_score(label, predicted, average="macro", **of))
            assert found["uar"] == pytest.approx(metrics.recall_score(label, predicted, average="macro", **of))
            assert found["weighted_f1"] == pytest.approx(metrics.f1_score(label, predicted, average="weighted", **of))
            assert found["accuracy"] == metrics.accuracy_score(label, predicted)
    assert scores([0, 0, 1], [0, 1, 1], 3)["confusion"] == [[1, 1, 0], [0, 1, 0], [0, 0, 0]], "true, predicted"


@pytest.mark.parametrize("score", SCORES)
def test_the_value_is_the_mean_over_runs(score):
    label, predicted, speaker = made_up()
    found = bootstrap(label, predicted, speaker, score=score)
    assert found.value == pytest.approx(np.mean([scores(label, p, 4)[score] for p in predicted]))
    assert found.interval.low < found.value < found.interval.high
    assert (found.by, found.units) == ("speakers", 6)


def test_of_a_mean_it_is_the_textbooks():
    """Accuracy with as many utterances of each speaker is a mean over speakers, whose interval it must be."""
    label, predicted, speaker = made_up(speakers=4, runs=1)
    found = bootstrap(label, predicted, speaker, score="accuracy", resamples=20_000)
    of_speaker = [(predicted[0] == label)[speaker == s].mean() for s in np.unique(speaker)]
    expected = seed_interval(of_speaker, ends=SCORE).interval
    width = expected.high - expected.low
    assert found.interval[:2] == pytest.approx((expected.low, expected.high), abs=0.02 * width)


def difference(label, a, b, speaker, score="macro_f1"):
    """The mean score of a minus that of b, as results.comparison has it."""
    units = choose_units(label, speaker)
    tensors = [
        np.stack([confusions(label, run, units.of, 4, units.number) for run in np.atleast_2d(predicted)])
        for predicted in (a, b)
    ]
    return intervals_of(tensors, units, (score,))[score]


def test_an_interval_stays_within_what_scores_can_be():
    label, speaker = np.tile(np.arange(4), 3), np.repeat(["a", "b", "c"], 4)
    wrong = np.where(speaker == "a", 0, label)
    # One speaker of three is always wrong: t alone would go from .3 below to .7 above what can be.
    for predicted in (wrong, (wrong + 1) % 4):
        found = bootstrap(label, predicted, speaker)
        assert 0 < found.interval.low < found.value < found.interval.high < 1
        assert found.interval.high - found.interval.low > 0.5
    assert difference(label, label, (label + 1) % 4, speaker).interval == (1, 1, 0.95)
    assert difference(label, label, wrong, speaker).interval.low < 0


@pytest.mark.parametrize(("easy", "speakers"), [(0, 6), (3, 3)])
def test_intervals_cover_other_speakers(easy, speakers):
    """Speakers whose emotions differ in difficulty: of 100 corpora, about 95 intervals have the truth.

    The second is near the end of the scale (macro F1 .93), where t without the logit covers 88 and exceeds 1.
    """
    rng = np.random.default_rng(0)

    def corpus(speakers, runs):
        ability = 1 / (1 + np.exp(-rng.normal(easy, 1, speakers)))
        label = np.tile(np.arange(4), (speakers, 6))
        right = rng.random((runs, *label.shape)) < ability[:, None]
        predicted = np.where(right, label, (label + rng.integers(1, 4, right.shape)) % 4)
        return label.ravel(), predicted.reshape(runs, -1), np.repeat(np.arange(speakers).astype(str), 24)

    label, predicted, _ = corpus(20_000, 1)
    truth = scores(label, predicted[0], 4)["macro_f1"]
    covered = 0
    for seed in range(100):
        low, high, _ = bootstrap(*corpus(speakers, 2), resamples=200, seed=seed).interval
        assert 0 <= low <= high <= 1
        covered += low <= truth <= high
    assert 90 <= covered <= 99


def test_difference_is_paired():
    label, a, speaker = made_up(right=0.7)
    # One right answer of each speaker less, whoever it is: the speakers' difficulty cancels out.
    b = a.copy()
    for s in np.unique(speaker):
        for run in b:
            at = np.flatnonzero((speaker == s) & (run == label))[0]
            run[at] = (label[at] + 1) % 4
    found = difference(label, a, b, speaker, score="accuracy")
    assert found.value == pytest.approx(1 / 20)
    assert found.interval[:2] == pytest.approx((1 / 20, 1 / 20))
    alone = bootstrap(label, a, speaker, score="accuracy").interval
    assert alone.high - alone.low > 0.05
    assert difference(label, a, a, speaker) == (0, (0, 0, 0.95), "speakers", 6)
    assert difference(label, a, b[:1], speaker).value != 0, "methods may differ in their number of runs"


def test_units():
    label, _, speaker = made_up()
    assert choose_units(label, np.where(speaker == "s0", "unknown", speaker))[1:] == ("utterances", 120)
    for of, units in (
        (speaker < "s9", ("speakers", 6)),
        (speaker < "s2", ("utterances", 40)),
        (speaker < "s3", ("speakers", 3)),
        # Anger of one speaker in six: a third of the resamples would have none. Of 5 in 6: one in 47,000.
        ((label > 0) | (speaker == "s0"), ("utterances", 95)),
        ((label > 0) | (speaker != "s0"), ("speakers", 6)),
    ):
        assert choose_units(label[of], speaker[of])[1:] == units


def test_degenerate_cases_say_something():
    label, predicted, speaker = made_up()
    assert bootstrap(label, predicted, speaker, seed=3) == bootstrap(label, predicted, speaker, seed=3)
    assert bootstrap(label, predicted, speaker, seed=3) != bootstrap(label, predicted, speaker, seed=4)
    perfect = bootstrap(label, label, speaker)
    assert (perfect.value, perfect.interval) == (1, (1, 1, 0.95))
    same = bootstrap(label, np.zeros_like(label), speaker)
    assert same.value == pytest.approx(0.1)  # F1 of anger .4, of the others 0
    assert 0 <= same.interval.low <= same.interval.high <= 1
    one_speaker = bootstrap(label, predicted, np.full(len(label), "me"))
    assert (one_speaker.by, one_speaker.units) == ("utterances", 120)
    assert bootstrap([1], [1], ["me"], classes=4) == (0.25, None, "utterances", 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"score": "f1"}, "score: got 'f1'"),
        ({"resamples": 1}, "resamples: got 1"),
        ({"confidence": 95}, "confidence: got 95"),
    ],
)
def test_bad_input(changes, message):
    with pytest.raises(InputError, match=message):
        bootstrap(**dict(zip(("label", "predicted", "speaker"), made_up(), strict=True)) | changes)


def test_speaker_oracle():
    label, speaker = np.array([3, 3, 1, 2, 3]), np.array(["a", "a", "a", "b", "c"])
    test = np.array(["b", "a", "unseen"])
    assert speaker_oracle(label, speaker, test, classes=4).tolist() == [2, 3, 3]
