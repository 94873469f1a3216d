"""Normalisation: statistics over the real frames of the right utterances, and untouched padding."""

import dataclasses

import numpy as np
import pytest
from fakes import fake_corpus

from metaser_jax import InputError
from metaser_jax.data.corpus import UNKNOWN_SPEAKER
from metaser_jax.data.normalise import SHRINK, everybodys_scale, normalise, resolve, shrunk_scales, shrunk_to


@pytest.fixture
def corpus():
    base = fake_corpus()
    loud = np.where(base.speaker == "s1", 5.0, 1.0)[:, None, None]  # speakers differ
    return dataclasses.replace(base, mfcc=(base.mfcc * loud).astype(np.float32))


def real_frames(corpus, index):
    return np.concatenate([corpus.mfcc[i, : corpus.n_frames[i]] for i in index]).astype(np.float64)


def is_standard(frames):
    np.testing.assert_allclose(frames.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(frames.std(0), 1, atol=1e-4)


def test_corpus_statistics_come_from_the_training_part(corpus):
    train = np.arange(0, len(corpus), 2)
    result = normalise(corpus, "corpus", train)
    is_standard(real_frames(result, train))
    frames = real_frames(corpus, train)
    expected = (corpus.mfcc[1, 0] - frames.mean(0)) / frames.std(0)
    np.testing.assert_allclose(result.mfcc[1, 0], expected, rtol=1e-4, atol=1e-5)


def test_speaker_statistics(corpus):
    result = normalise(corpus, "speaker", np.arange(3))
    for speaker in np.unique(corpus.speaker):
        is_standard(real_frames(result, np.flatnonzero(corpus.speaker == speaker)))


def test_utterance_statistics(corpus):
    result = normalise(corpus, "utterance", np.arange(3))
    for i in range(len(corpus)):
        is_standard(real_frames(result, [i]))


@pytest.mark.parametrize("mode", ["none", "corpus", "speaker", "utterance", "auto"])
def test_padding_stays_zero_and_type_float32(corpus, mode):
    result = normalise(corpus, mode, np.arange(len(corpus)))
    assert result.mfcc.dtype == np.float32
    for i in range(len(corpus)):
        assert (result.mfcc[i, corpus.n_frames[i] :] == 0).all()
        assert (result.mfcc[i, corpus.n_frames[i] - 1] != 0).any()


def test_none_changes_nothing(corpus):
    assert normalise(corpus, "none", np.arange(3)) is corpus


def test_constant_coefficients_are_not_blown_up(corpus):
    constant = dataclasses.replace(corpus, mfcc=np.where(corpus.mfcc != 0, np.float32(7), np.float32(0)))
    assert np.abs(normalise(constant, "corpus", np.arange(len(corpus))).mfcc).max() < 1


def test_unknown_mode(corpus):
    with pytest.raises(InputError, match="normalise: got 'speakers'"):
        normalise(corpus, "speakers", np.arange(3))


def spoken(emotions_of_speaker, utterances=2):
    """A corpus in which each speaker says each of the given emotions so many times."""
    said = [(name, e) for name, emotions in emotions_of_speaker.items() for e in emotions for _ in range(utterances)]
    base = fake_corpus(per_emotion=-(-len(said) // 4)).take(np.arange(len(said)))
    speaker, label = (np.array(values) for values in zip(*said, strict=True))
    return dataclasses.replace(base, speaker=speaker, label=label.astype(np.int32))


@pytest.mark.parametrize(
    ("emotions_of_speaker", "expected"),
    [
        ({"s": range(4), "t": range(4)}, "speaker"),
        ({"s": [0, 1], "t": [2, 3]}, "speaker"),  # half of them
        ({"s": [0], "t": [1], "u": [2], "v": [3]}, "corpus"),
        ({"s": [0, 1, 2], "t": [3]}, "speaker"),  # mean 2.5
        ({"s": [0, 1], "t": [2], "u": [3]}, "corpus"),  # mean 1.5
        ({"s": range(4), "t": [0], "u": [1], "v": [2]}, "speaker"),  # mean 19 / 7: of utterances, not of speakers
        ({"s": range(4), UNKNOWN_SPEAKER: range(4)}, "corpus"),
    ],
)
def test_auto_is_what_the_speakers_allow(emotions_of_speaker, expected):
    corpus = spoken(emotions_of_speaker)
    everything = np.arange(len(corpus))
    assert resolve(corpus, "auto", everything) == expected
    np.testing.assert_array_equal(
        normalise(corpus, "auto", everything).mfcc, normalise(corpus, expected, everything).mfcc
    )
    for mode in ("none", "corpus", "speaker", "utterance"):
        assert resolve(corpus, mode, everything) == mode


def test_auto_looks_at_the_training_parts_labels_alone():
    corpus = spoken({"s": range(4), "t": range(4)}, utterances=1)
    assert resolve(corpus, "auto", np.arange(4)) == "speaker"
    assert resolve(corpus, "auto", np.array([0, 5])) == "corpus", "there, each says one"
    rng = np.random.default_rng(0)
    for train in (np.arange(4), np.array([0, 5])):
        label = rng.integers(0, 4, len(corpus)).astype(np.int32)
        label[train] = corpus.label[train]
        other = dataclasses.replace(corpus, label=label)
        assert resolve(other, "auto", train) == resolve(corpus, "auto", train)


def test_a_voices_mean_is_shrunk_to_everybodys():
    rng = np.random.default_rng(0)
    group = np.repeat([0, 1, 2], [1, 4, 20])
    x = (rng.normal(size=(25, 1, 3)) + group[:, None, None]).astype(np.float32)
    ones, all_of = np.ones(25, np.int32), np.ones(25, bool)
    means = np.stack([x[group == g, 0].mean(0, dtype=float) for g in range(3)])
    found, everybody = shrunk_scales(x, ones, group, all_of), everybodys_scale(x, ones, group, all_of)
    np.testing.assert_allclose(everybody.mean, means.mean(0))
    for g, n in enumerate((1, 4, 20)):
        np.testing.assert_allclose(found.mean[g], (n * means[g] + SHRINK * everybody.mean) / (n + SHRINK))
    pooled = np.sqrt(np.square(x[:, 0] - means[group]).sum(0) / (25 - 3))
    np.testing.assert_allclose(found.std, np.broadcast_to(pooled, (3, 3)))
    np.testing.assert_array_equal(everybody.std, found.std[0])
    # A voice that comes later, towards those.
    one = shrunk_to(everybody, x[1:3], ones[1:3], np.zeros(2, int), np.ones(2, bool))
    np.testing.assert_allclose(one.mean[0], (2 * x[1:3, 0].mean(0) + SHRINK * everybody.mean) / (2 + SHRINK), rtol=1e-6)
    np.testing.assert_array_equal(one.std[0], everybody.std)
