"""The input of networks and machines: silence trimmed and changes added as by hand, normalised by the right frames."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from fakes import fake_corpus
from scipy import stats

from metaser_jax import InputError
from metaser_jax.data import inputs
from metaser_jax.data.corpus import UNKNOWN_SPEAKER
from metaser_jax.specs import FrontEnd
from metaser_jax.specs.voice import columns

DB = np.sqrt(128)  # of MFCC 0, per dB of the mean over 128 mel bands


def corpus_of(levels, frames=8):
    """Utterances of the given mean levels in dB, each frame known by its coefficient 1."""
    mfcc = np.zeros((len(levels), frames, 20), np.float32)
    for i, of_utterance in enumerate(levels):
        mfcc[i, : len(of_utterance), 0] = np.multiply(of_utterance, DB)
        mfcc[i, : len(of_utterance), 1] = 1 + np.arange(len(of_utterance))
    n_frames = np.array([len(of_utterance) for of_utterance in levels], np.int32)
    return dataclasses.replace(fake_corpus().take(np.arange(len(levels))), mfcc=mfcc, n_frames=n_frames)


def trimmed(corpus, db):
    return inputs.make_input(corpus, FrontEnd(trim_db=db), np.arange(1))


def with_deltas(corpus):
    return inputs.make_input(corpus, FrontEnd(deltas=True), np.arange(1))


@pytest.mark.parametrize(
    ("levels", "kept"),
    [
        ([-60, -60, -39, -10, -41, -60], [3, 4]),  # leading and trailing; 29 and 31 below
        ([-10, -60, -60, -20, -60], [1, 2, 3, 4]),  # the gap inside stays
        ([-60, -12, -60, -60], [2]),  # one loud frame
        ([-60, -20, -60, -60, -60, -60, -60, -10], [2, 3, 4, 5, 6, 7, 8]),  # all frames of the array are real
        ([-500], [1]),
        ([-70, -70, -70], [1, 2, 3]),  # as loud everywhere
    ],
)
def test_trim_by_hand(levels, kept):
    other = [-5, -5]
    result = trimmed(corpus_of([other, levels]), 30.0)
    assert result.n_frames.tolist() == [2, len(kept)], "each by its own loudest frame"
    assert result.n_frames.dtype == np.int32
    assert result.mfcc.dtype == np.float32
    assert result.mfcc[1, : len(kept), 1].tolist() == kept
    np.testing.assert_allclose(result.mfcc[1, : len(kept), 0], DB * np.array(levels)[np.array(kept) - 1], rtol=1e-6)
    assert (result.mfcc[1, len(kept) :] == 0).all()


def test_deltas_by_hand():
    corpus = corpus_of([[-10, -40, -20], [-10]])
    result = with_deltas(corpus)
    assert result.mfcc.shape == (2, 8, 40)
    assert result.mfcc.dtype == np.float32
    np.testing.assert_array_equal(result.mfcc[..., :20], corpus.mfcc)
    np.testing.assert_allclose(result.mfcc[0, :, 20], DB * np.array([30, 30, 20, 0, 0, 0, 0, 0]), rtol=1e-6)
    np.testing.assert_allclose(result.mfcc[0, :, 21], [1, 1, 1, 0, 0, 0, 0, 0])
    assert (result.mfcc[0, :, 22:] == 0).all()
    assert (result.mfcc[1, :, 20:] == 0).all(), "one frame does not change"


@pytest.mark.parametrize("mode", ["none", "corpus", "speaker", "utterance", "auto"])
def test_trimmed_then_changes_added_then_normalised(mode):
    corpus, train = fake_corpus(), np.arange(0, 48, 3)
    result = inputs.make_input(corpus, FrontEnd(trim_db=0.05, deltas=True, normalise=mode), train)
    expected = inputs.normalise(with_deltas(trimmed(corpus, 0.05)), mode, train)
    np.testing.assert_array_equal(result.mfcc, expected.mfcc)
    assert result.mfcc.shape == (48, 10, 40)
    assert result.mfcc.dtype == np.float32
    assert (result.n_frames < corpus.n_frames).any(), "the threshold is one that cuts"
    padding = np.arange(10) >= result.n_frames[:, None]
    assert (result.mfcc[padding] == 0).all()
    for field in ("label", "speaker", "file", "seconds"):
        assert getattr(result, field) is getattr(corpus, field)


@pytest.mark.parametrize("settings", [{"trim_db": 0.05, "deltas": True}, {"features": "voice"}])
def test_the_same_of_numpy_and_jax(settings):
    how, corpus = FrontEnd(**settings), fake_corpus()
    given = inputs.given_of(corpus, how)
    for ours, jaxs in zip(inputs.make_x(how, *given), inputs.make_x(how, *map(jnp.asarray, given)), strict=True):
        assert ours.dtype == jaxs.dtype
        np.testing.assert_array_equal(ours, jaxs)


def test_utterance_statistics_are_scipys():
    rng = np.random.default_rng(0)
    x, n_frames = rng.normal(size=(9, 120, 20)).astype(np.float32), rng.integers(1, 121, 9)
    x[np.arange(120) >= n_frames[:, None]] = 1e6  # the padding is not looked at
    found = inputs.utterance_statistics(x, n_frames)
    assert found.shape == (9, 140)
    for one, frames, n in zip(found.reshape(9, 7, 20), x.astype(float), n_frames, strict=True):
        real = frames[:n]
        np.testing.assert_allclose(one[0], real.mean(0))
        np.testing.assert_allclose(one[1], stats.tstd(real, axis=0, ddof=0) if n > 1 else 0, atol=1e-12)
        for row, p in zip(one[2:], (10, 25, 50, 75, 90), strict=True):
            np.testing.assert_allclose(row, [stats.scoreatpercentile(real[:, c], p) for c in range(20)])


EVERYTHING = np.arange(48)


def test_statistics_are_one_row():
    corpus = fake_corpus()
    how = FrontEnd(features="voice", normalise="speaker", track_groups=("pitch", "mfcc"))
    seen = inputs.make_input(corpus, how, EVERYTHING)
    assert seen.mfcc.shape == (48, how.rows, how.coefs) == (48, 1, len(columns(("pitch", "mfcc"))))
    group = np.unique(corpus.speaker, return_inverse=True)[1]
    raw = corpus.voice[:, None, columns(("pitch", "mfcc"))]
    mean, std = inputs.shrunk_scales(raw, seen.n_frames, group, np.ones(48, bool))
    np.testing.assert_allclose(seen.mfcc[:, 0], np.clip((raw[:, 0] - mean[group]) / std[group], -5, 5), atol=1e-5)
    # The voice alone is enough, and an outlier is no more than CLIP.
    corpus = dataclasses.replace(corpus, voice=corpus.voice.copy())
    corpus.voice[0, 0] = 1e6
    how = FrontEnd(features="voice", track_groups=("pitch",), normalise="none")
    seen = inputs.make_input(corpus, how, np.arange(3))
    expected = corpus.voice[:, columns(("pitch",))].clip(-inputs.CLIP, inputs.CLIP)
    np.testing.assert_array_equal(seen.mfcc[:, 0], expected)
    seen = inputs.make_input(corpus, FrontEnd(features="voice", normalise="corpus"), EVERYTHING[1:])
    assert seen.mfcc[0, 0, 0] == inputs.CLIP


def real_frames(corpus, index):
    return np.concatenate([corpus.mfcc[i, : corpus.n_frames[i]] for i in index]).astype(np.float64)


def is_standard(frames):
    np.testing.assert_allclose(frames.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(frames.std(0), 1, atol=1e-4)


def test_normalised_by_the_training_part_or_by_ones_own():
    base = fake_corpus()
    loud = np.where(base.speaker == "s1", 5.0, 1.0)[:, None, None]  # speakers differ
    corpus = dataclasses.replace(base, mfcc=(base.mfcc * loud).astype(np.float32))
    train = EVERYTHING[::2]
    result, frames = inputs.normalise(corpus, "corpus", train), real_frames(corpus, train)
    is_standard(real_frames(result, train))
    expected = (corpus.mfcc[1, 0] - frames.mean(0)) / frames.std(0)
    np.testing.assert_allclose(result.mfcc[1, 0], expected, rtol=1e-4, atol=1e-5)
    for mode, group in {"speaker": corpus.speaker, "utterance": corpus.file}.items():
        result = inputs.normalise(corpus, mode, np.arange(3))
        for one in np.unique(group):
            is_standard(real_frames(result, np.flatnonzero(group == one)))


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
        ({"s": [0, 1], "t": [2], "u": [3]}, "corpus"),  # mean 1.5
        ({"s": range(4), "t": [0], "u": [1], "v": [2]}, "speaker"),  # mean 19 / 7: of utterances, not of speakers
        ({"s": range(4), UNKNOWN_SPEAKER: range(4)}, "corpus"),
    ],
)
def test_auto_is_what_the_speakers_allow(emotions_of_speaker, expected):
    corpus = spoken(emotions_of_speaker)
    everything = np.arange(len(corpus))
    assert inputs.resolve(corpus, "auto", everything) == expected
    np.testing.assert_array_equal(
        inputs.normalise(corpus, "auto", everything).mfcc, inputs.normalise(corpus, expected, everything).mfcc
    )
    for mode in ("none", "corpus", "speaker", "utterance"):
        assert inputs.resolve(corpus, mode, everything) == mode


def test_auto_looks_at_the_training_parts_labels_alone():
    corpus = spoken({"s": range(4), "t": range(4)}, utterances=1)
    assert inputs.resolve(corpus, "auto", np.arange(4)) == "speaker"
    assert inputs.resolve(corpus, "auto", np.array([0, 5])) == "corpus", "there, each says one"
    other = dataclasses.replace(corpus, label=np.where(np.isin(EVERYTHING[:8], [0, 5]), corpus.label, 0))
    assert inputs.resolve(other, "auto", np.array([0, 5])) == "corpus"
    with pytest.raises(InputError, match=r"normalise: got 'auo'.*Did you mean 'auto'"):
        inputs.make_input(fake_corpus(), FrontEnd(normalise="auo"), np.arange(3))


def test_a_voices_mean_is_shrunk_to_everybodys():
    rng = np.random.default_rng(0)
    group = np.repeat([0, 1, 2], [1, 4, 20])
    x = (rng.normal(size=(25, 1, 3)) + group[:, None, None]).astype(np.float32)
    ones, all_of = np.ones(25, np.int32), np.ones(25, bool)
    means = np.stack([x[group == g, 0].mean(0, dtype=float) for g in range(3)])
    found, everybody = inputs.shrunk_scales(x, ones, group, all_of), inputs.everybodys_scale(x, ones, group, all_of)
    np.testing.assert_allclose(everybody.mean, means.mean(0))
    for g, n in enumerate((1, 4, 20)):
        np.testing.assert_allclose(found.mean[g], (n * means[g] + inputs.SHRINK * everybody.mean) / (n + inputs.SHRINK))
    pooled = np.sqrt(np.square(x[:, 0] - means[group]).sum(0) / (25 - 3))
    np.testing.assert_allclose(everybody.std, pooled)
    np.testing.assert_allclose(found.std[0], pooled, err_msg="one clip says nothing of deviations")
    # A voice that comes later, towards those.
    one = inputs.shrunk_to(everybody, x[1:3], ones[1:3], np.zeros(2, int), np.ones(2, bool))
    expected = (2 * x[1:3, 0].mean(0) + inputs.SHRINK * everybody.mean) / (2 + inputs.SHRINK)
    np.testing.assert_allclose(one.mean[0], expected, rtol=1e-6)
    var = (x[1:3, 0].var(0, ddof=1) + inputs.SHRINK_STD * pooled**2) / (1 + inputs.SHRINK_STD)
    np.testing.assert_allclose(one.std[0], np.sqrt(var), rtol=1e-5)
    # One clip of each voice leaves the deviation between them.
    _, std = inputs.shrunk_scales(x[:6], np.ones(6, int), np.arange(6), np.ones(6, bool))
    np.testing.assert_allclose(std[0], x[:6, 0].std(0), rtol=1e-5)
