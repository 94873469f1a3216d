"""The network's input: silence trimmed and changes added as by hand, in that order, and the paper's input untouched."""

import dataclasses

import numpy as np
import pytest
from fakes import fake_corpus, fake_voice

from metaser_jax import InputError
from metaser_jax.data.inputs import CLIP, add_deltas, make_input, trim
from metaser_jax.data.normalise import normalise
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


@pytest.mark.parametrize(
    ("levels", "kept"),
    [
        ([-60, -60, -20, -10, -41, -60], [3, 4]),  # leading and trailing; -41 is 31 below
        ([-10, -60, -60, -20, -60], [1, 2, 3, 4]),  # the gap inside stays
        ([-60, -12, -60, -60], [2]),  # one loud frame
        ([-60, -20, -60, -60, -60, -60, -60, -10], [2, 3, 4, 5, 6, 7, 8]),  # all frames of the array are real
        ([-39, -10, -41], [1, 2]),
        ([-500], [1]),
        ([-70, -70, -70], [1, 2, 3]),  # as loud everywhere
    ],
)
def test_trim_by_hand(levels, kept):
    other = [-5, -5]
    result = trim(corpus_of([other, levels]), 30.0)
    assert result.n_frames.tolist() == [2, len(kept)], "each by its own loudest frame"
    assert result.n_frames.dtype == np.int32
    assert result.mfcc.dtype == np.float32
    assert result.mfcc[1, : len(kept), 1].tolist() == kept
    np.testing.assert_allclose(result.mfcc[1, : len(kept), 0], DB * np.array(levels)[np.array(kept) - 1], rtol=1e-6)
    assert (result.mfcc[1, len(kept) :] == 0).all()


def test_the_padding_is_not_taken_for_loud():
    """Real levels are negative, the padding's zeros are not."""
    assert trim(corpus_of([[-60, -20, -21, -60]]), 30.0).n_frames.tolist() == [2]


def test_a_higher_threshold_keeps_more():
    corpus = corpus_of([[-80, -50, -30, -10, -35, -60, -90]])
    kept = [trim(corpus, db).n_frames[0] for db in (10.0, 25.0, 45.0, 55.0, 75.0, 100.0)]
    assert kept == [1, 3, 4, 5, 6, 7]


def test_deltas_by_hand():
    corpus = corpus_of([[-10, -40, -20], [-10]])
    result = add_deltas(corpus)
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
    result = make_input(corpus, FrontEnd(trim_db=0.05, deltas=True, normalise=mode), train)
    expected = normalise(add_deltas(trim(corpus, 0.05)), mode, train)
    np.testing.assert_array_equal(result.mfcc, expected.mfcc)
    assert result.mfcc.shape == (48, 10, 40)
    assert result.mfcc.dtype == np.float32
    assert (result.n_frames < corpus.n_frames).any(), "the threshold is one that cuts"
    padding = np.arange(10) >= result.n_frames[:, None]
    assert (result.mfcc[padding] == 0).all()
    for field in ("label", "speaker", "file", "seconds"):
        assert getattr(result, field) is getattr(corpus, field)


def test_the_papers_input_is_untouched():
    corpus = fake_corpus()
    assert make_input(corpus, FrontEnd(), np.arange(3)) is corpus


def test_how():
    assert (FrontEnd().coefs, FrontEnd(deltas=True).coefs) == (20, 40)
    of_split = {
        mode for mode in ("none", "corpus", "speaker", "utterance", "auto") if FrontEnd(normalise=mode).of_split
    }
    assert of_split == {"corpus", "auto"}


def test_unknown_normalisation():
    with pytest.raises(InputError, match=r"normalise: got 'auo'.*Did you mean 'auto'"):
        make_input(fake_corpus(), FrontEnd(normalise="auo"), np.arange(3))


def test_the_voice_alone_is_enough_for_its_statistics():
    corpus = dataclasses.replace(fake_corpus(), voice=fake_voice(fake_corpus().label))
    how = FrontEnd(features="voice", track_groups=("pitch",), normalise="none")
    seen = make_input(corpus, how, np.arange(3))
    np.testing.assert_array_equal(seen.mfcc[:, 0], corpus.voice[:, columns(("pitch",))].clip(-CLIP, CLIP))
    for features in ("tracks", "both"):
        with pytest.raises(InputError, match=f"fake: got MFCC alone, expected what --features={features} is made of"):
            make_input(corpus, dataclasses.replace(how, features=features), np.arange(3))
