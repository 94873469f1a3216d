"""How a handful of clips is divided, scored, and what is said of it."""

import dataclasses

import numpy as np
import pytest
from fakes import fake_model

from metaser_jax.adaptation.cross_validation import BY_CLIP, BY_SPEAKER, Parts, divide, validate
from metaser_jax.data.corpus import UNKNOWN_SPEAKER


@pytest.fixture
def support():
    return fake_model(clips=24).support


def spoken_by(support, speakers):
    return dataclasses.replace(support, speaker=np.array(speakers))


def test_by_clip_each_part_has_every_emotion(support):
    support = spoken_by(support, [UNKNOWN_SPEAKER] * 24)
    parts = divide(support, 3, 3, seed=0)
    assert (parts.by, len(parts.tests), {len(tests) for tests in parts.tests}) == (BY_CLIP, 3, {3})
    for tests in parts.tests:
        np.testing.assert_array_equal(np.sort(np.concatenate(tests)), np.arange(24))
        assert all(len(np.unique(support.label[test])) == 4 for test in tests)
    assert not np.array_equal(*map(np.array, parts.tests[:2])), "repeats differ"
    # Copies of a recording are in one part.
    twice = support.take(np.tile(np.arange(24), 2))
    for tests, copied in zip(parts.tests, divide(twice, 3, 3, seed=0).tests, strict=True):
        for one, both in zip(tests, copied, strict=True):
            np.testing.assert_array_equal(both, [*one, *(24 + one)])
    assert divide(twice.take(np.array([0, 24, 1, 25, 2, 3])), 3, 2, seed=0) is None, "one recording of each"
    others, angry = np.flatnonzero(support.label != 0), np.flatnonzero(support.label == 0)
    few = support.take(np.concatenate([others, angry[:3]]))
    assert len(divide(few, 5, 1, seed=0).tests[0]) == 3, "fewer parts"
    for index in (np.concatenate([others, angry[:1]]), angry):
        assert divide(support.take(index), 5, 2, seed=0) is None, "an emotion's only clip cannot be held out"


def test_by_speaker_no_voice_is_heard_before(support):
    support = spoken_by(support, [f"s{i // 4 % 3}" for i in range(24)])  # each of three says every emotion
    parts = divide(support, 5, 2, seed=0)
    assert (parts.by, len(parts.tests[0])) == (BY_SPEAKER, 3)
    for tests in parts.tests:
        np.testing.assert_array_equal(np.sort(np.concatenate(tests)), np.arange(24))
        for test in tests:
            others = np.setdiff1d(np.arange(24), test)
            assert not set(support.speaker[test]) & set(support.speaker[others])
            assert len(np.unique(support.label[others])) == 4
    alone = divide(spoken_by(support, [f"s{e}" for e in support.label]), 5, 2, seed=0)
    assert alone.by == BY_CLIP, "one speaker alone says an emotion"


def logits_for(support, repeats, right):
    answer = np.where(np.random.default_rng(0).random((repeats, len(support))) < right, support.label, 0)
    return np.eye(4)[answer]


def test_scores_and_their_sentences(support):
    support = spoken_by(support, [UNKNOWN_SPEAKER] * 24)
    parts = divide(support, 5, 2, seed=0)
    good = validate(support, parts, logits_for(support, 2, 1.0))
    assert (good["macro_f1"], good["accuracy"], good["uar"], good["chance"]) == (1, 1, 1, 0.25)
    assert np.array_equal(good["confusion"], 12 * np.eye(4))
    assert "of the same voices" in good["verdict"]
    bad = validate(support, parts, logits_for(support, 2, 0.0))
    assert bad["macro_f1"] == pytest.approx(0.1), "one emotion for all: F1 .4, 0, 0, 0"
    assert "do not show that anything was learned" in bad["verdict"]
    one = validate(spoken_by(support, ["anna"] * 24), parts, logits_for(support, 2, 0.9))
    assert "of the same one voice" in one["verdict"]


def test_an_emotion_without_clips_is_no_answer(support):
    three = spoken_by(support, [UNKNOWN_SPEAKER] * 24).take(support.label != 1)
    logits = logits_for(three, 1, 1.0)
    logits[..., 1] = 9
    for apart in (False, True):
        result = validate(three, divide(three, 5, 1, seed=0), logits, told_apart=apart)
        assert (result["emotions"], result["macro_f1"]) == (["angry", "neutral", "sad"], 1)
        assert result["chance"] == pytest.approx(1 / 3)
        assert "How it does on happy, of which there is no clip, is not known." in result["verdict"]
        assert ("--speakers" in result["verdict"]) == apart


def test_what_is_clearly_better_is_said(support):
    support = spoken_by(support, [f"s{i // 4 % 3}" for i in range(24)])
    right = np.tile(10.0 * np.eye(4)[support.label], (2, 1, 1))
    wrong = np.tile(10.0 * np.eye(4)[np.roll(support.label, 3)], (2, 1, 1))
    # All of one voice right, and of the others as many wrong: it may be chance.
    some = np.where((support.speaker == "s0")[:, None], right, wrong)
    tests = ((np.arange(0, 24, 2), np.arange(1, 24, 2)),) * 2
    for by, own, machine, said in (
        (BY_SPEAKER, wrong, right, "is clearly better, by"),
        (BY_SPEAKER, wrong, some, "do not prove"),
        (BY_SPEAKER, right, right, None),
        (BY_CLIP, wrong, right, None),  # with the same voices in all parts the machine may have learned the voices
    ):
        verdict = validate(support, Parts(by, tests), own, others={"svm": machine, "zero_shots": wrong})["verdict"]
        assert ("--model_kind=svm takes it" in verdict) == (said is not None)
        assert said is None or said in verdict
