"""Normalisation: statistics over the real frames of the right utterances, and untouched padding."""

import dataclasses

import numpy as np
import pytest
from fakes import fake_corpus

from metaser_jax import InputError
from metaser_jax.normalise import normalise


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


@pytest.mark.parametrize("mode", ["none", "corpus", "speaker", "utterance"])
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
