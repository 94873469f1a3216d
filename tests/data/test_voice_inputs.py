"""What a network is given of a voice: normalised by speakers, shrunk, folded."""

import dataclasses

import numpy as np
import pytest
from fakes import fake_corpus

from metaser_jax import InputError
from metaser_jax.data.inputs import CLIP, make_input
from metaser_jax.data.normalise import SHRINK, shrunk_scales
from metaser_jax.specs import FrontEnd
from metaser_jax.specs.voice import columns, tracks_of

EVERYTHING = np.arange(48)


def test_a_voice_of_few_clips_is_shrunk_to_all():
    rng = np.random.default_rng(0)
    group = np.array([0] * 40 + [1] * 2)
    x = rng.normal(size=(42, 1, 3)) + np.where(group, 5, 1)[:, None, None]
    mean, std = shrunk_scales(x, np.ones(42, int), group, np.ones(42, bool))
    own = np.stack([x[group == g, 0].mean(0) for g in (0, 1)])
    for g, n in ((0, 40), (1, 2)):
        np.testing.assert_allclose(mean[g], (n * own[g] + SHRINK * own.mean(0)) / (n + SHRINK))
    within = np.square(x[:, 0] - own[group]).sum(0) / 40
    np.testing.assert_allclose(std, np.broadcast_to(np.sqrt(within), (2, 3)))


def test_one_clip_of_each_voice_leaves_the_deviation_between_them():
    x = np.random.default_rng(0).normal(size=(6, 1, 3))
    _, std = shrunk_scales(x, np.ones(6, int), np.arange(6), np.ones(6, bool))
    np.testing.assert_allclose(std[0], x[:, 0].std(0))


def test_statistics_are_one_row():
    corpus = fake_corpus()
    how = FrontEnd(features="voice", normalise="speaker", track_groups=("pitch", "mfcc"))
    seen = make_input(corpus, how, EVERYTHING)
    assert seen.mfcc.shape == (48, how.rows, how.coefs) == (48, 1, len(columns(("pitch", "mfcc"))))
    group = np.unique(corpus.speaker, return_inverse=True)[1]
    raw = corpus.voice[:, None, columns(("pitch", "mfcc"))]
    mean, std = shrunk_scales(raw, seen.n_frames, group, np.ones(48, bool))
    np.testing.assert_allclose(seen.mfcc[:, 0], np.clip((raw[:, 0] - mean[group]) / std[group], -5, 5), atol=1e-5)


def test_an_outlier_is_no_more_than_clip():
    corpus = fake_corpus()
    voice = corpus.voice.copy()
    voice[0, 0] = 1e6
    how = FrontEnd(features="voice", normalise="corpus")
    seen = make_input(dataclasses.replace(corpus, voice=voice), how, EVERYTHING[1:])
    assert seen.mfcc[0, 0, 0] == CLIP


def test_both_are_folded_statistics_before_tracks():
    corpus = fake_corpus()
    how = FrontEnd(features="both", normalise="corpus", track_groups=("pitch", "loudness"))
    both = make_input(corpus, how, EVERYTHING)
    voice = make_input(corpus, dataclasses.replace(how, features="voice"), EVERYTHING)
    tracks = make_input(corpus, dataclasses.replace(how, features="tracks"), EVERYTHING)
    k, rows = voice.mfcc.shape[-1], how.statistics_rows
    assert rows == -(-k // len(tracks_of(how.track_groups)))
    folded = both.mfcc[:, :rows].reshape(48, -1)
    np.testing.assert_array_equal(folded[:, :k], voice.mfcc[:, 0])
    assert not folded[:, k:].any()
    np.testing.assert_array_equal(both.mfcc[:, rows:], tracks.mfcc)
    np.testing.assert_array_equal(both.n_frames, tracks.n_frames + rows)


def test_a_corpus_of_mfcc_alone_is_refused():
    corpus = dataclasses.replace(fake_corpus(), voice=None)
    with pytest.raises(InputError, match="fake: got MFCC alone, expected what --features=voice is made of"):
        make_input(corpus, FrontEnd(features="voice"), EVERYTHING)
