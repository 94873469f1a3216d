"""Predictor: what a model makes of recordings, whatever they are given together with."""

import dataclasses

import jax
import numpy as np
import pytest
import soundfile
from fakes import fake_model

from metaser_jax import InputError
from metaser_jax.audio import clips
from metaser_jax.audio.clips import HOP_SECONDS, Clip, Quality
from metaser_jax.data.normalise import scales
from metaser_jax.errors import RecordingError
from metaser_jax.recogniser.folder import save_model
from metaser_jax.recogniser.forward import make_forward, make_x
from metaser_jax.recogniser.predictor import BATCH, MIN_SPEAKER_SECONDS, Predictor

# The fake network is very sure of itself.
SOFT = 60.0


def fake_clip(frames=90, seed=0, quiet=slice(0)) -> Clip:
    """A clip of so many frames, those of `quiet` without a voice."""
    mfcc = np.random.default_rng(seed).normal(size=(frames, 20), scale=20).astype(np.float32)
    mfcc[:, 0] -= 200
    mfcc[quiet, 0] -= 800
    return Clip(mfcc, frames * HOP_SECONDS, 16000, f"{seed:064x}", Quality(0.5, 0.0, -20.0, 1))


def softmax(z):
    return np.exp(z) / np.exp(z).sum(-1, keepdims=True)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(fake_model(temperature=SOFT))


def test_a_short_clip_is_the_calibrated_softmax_of_the_network(predictor):
    model = predictor.model
    mfcc, n = clips.first_window(fake_clip())
    logits = make_forward(model.settings)(model.params, model.scale, mfcc[None], np.array([n], np.int32))
    (got,) = predictor.predict_clips([fake_clip()])
    np.testing.assert_allclose(got.probabilities, softmax(np.asarray(logits[0]) / SOFT), atol=1e-5)
    assert got.label == model.settings.emotions[got.probabilities.argmax()]
    assert (got.start, got.end, len(got.track)) == (0.0, 90 * HOP_SECONDS, 1)


def test_the_temperature_changes_how_sure_it_is_and_not_the_label():
    one, ten = (Predictor(fake_model(temperature=t)).predict_clips([fake_clip()])[0] for t in (SOFT, 10 * SOFT))
    assert one.label == ten.label
    assert ten.probabilities.max() < one.probabilities.max()


def test_probabilities_are_the_mean_over_windows_that_are_not_silent(predictor):
    # Windows 0-119, 60-179 (silent), 120-239 (silent), 180-299.
    clip = fake_clip(300, quiet=slice(60, 240))
    (got,) = predictor.predict_clips([clip])
    assert [window.silent for window in got.track] == [False, True, True, False]
    spoken = [window.probabilities for window in got.track if not window.silent]
    np.testing.assert_allclose(got.probabilities, np.mean(spoken, axis=0), atol=1e-6)
    assert np.abs(got.probabilities - np.mean([w.probabilities for w in got.track], axis=0)).max() > 1e-3
    assert [window.start for window in got.track] == [k * 60 * HOP_SECONDS for k in range(4)]
    assert got.end == got.track[-1].end == 300 * HOP_SECONDS


def test_the_first_window_alone(predictor):
    (got,) = predictor.predict_clips([fake_clip(300)], windows="first")
    (same,) = predictor.predict_clips([fake_clip(300)._replace(frames=fake_clip(300).frames[:120])])
    np.testing.assert_array_equal(got.probabilities, same.probabilities)
    assert (got.start, got.end) == (0.0, 120 * HOP_SECONDS)
    # Also where nothing is said yet: it is what was asked for.
    (silent,) = predictor.predict_clips([fake_clip(300, quiet=slice(120))], windows="first")
    assert silent.track[0].silent
    np.testing.assert_array_equal(silent.probabilities, silent.track[0].probabilities)


@pytest.mark.parametrize("settings", [{}, {"normalise": "none"}, {"normalise": "utterance", "pooling": "last"}])
def test_a_prediction_is_the_same_to_the_bit_in_any_company(settings):
    predictor = Predictor(fake_model(temperature=SOFT, **settings))
    some = [fake_clip(20 + 11 * i, seed=i) for i in range(BATCH + 3)]
    together = predictor.predict_clips(some)
    for clip, prediction in list(zip(some, together, strict=True))[::7]:
        (alone,) = predictor.predict_clips([clip])
        for a, b in zip(alone.track, prediction.track, strict=True):
            np.testing.assert_array_equal(a.probabilities, b.probabilities)
    assert predictor._forward._cache_size() == 1, "another number of windows is another program"


def test_models_of_the_same_settings_share_a_program():
    assert Predictor(fake_model(seed=1))._forward is Predictor(fake_model(seed=2))._forward


def test_no_clip_is_no_prediction(predictor):
    assert predictor.predict_clips([]) == []
    assert predictor.logits(np.zeros((0, 120, 20), np.float32), np.zeros(0, np.int32)).shape == (0, 4)


def test_a_speaker_with_enough_is_normalised_by_his_own_statistics():
    model = fake_model(normalise="speaker", temperature=SOFT)
    predictor = Predictor(model)
    # The last two of four windows are silent.
    own = [fake_clip(300, seed=i, quiet=slice(120, 300)) for i in range(4)]
    short = fake_clip(int(MIN_SPEAKER_SECONDS / HOP_SECONDS), seed=9)
    got = predictor.predict_clips([*own, short], speakers=["a"] * 4 + ["b"])

    parts = [clips.windows(clip) for clip in own]
    spoken = [~part.silent for part in parts]
    mfcc = np.concatenate([part.mfcc[s] for part, s in zip(parts, spoken, strict=True)])
    x, n = make_x(model.settings, mfcc, np.concatenate([p.n_frames[s] for p, s in zip(parts, spoken, strict=True)]))
    scale = jax.tree.map(lambda a: a[0], scales(x, n, np.zeros(len(x), int), np.ones(len(x), bool)))
    expected = Predictor(dataclasses.replace(model, scale=scale)).predict_clips([*own, short])
    by_model = predictor.predict_clips([*own, short])
    for i in range(4):
        np.testing.assert_allclose(got[i].probabilities, expected[i].probabilities, atol=1e-5)
    np.testing.assert_array_equal(got[4].probabilities, by_model[4].probabilities)
    assert np.abs(got[0].probabilities - by_model[0].probabilities).max() > 1e-3


@pytest.mark.parametrize(("normalise", "speaker"), [("corpus", "a"), ("speaker", "unknown")])
def test_other_models_and_unknown_speakers_take_the_models_statistics(normalise, speaker):
    predictor = Predictor(fake_model(normalise=normalise, temperature=SOFT))
    some = [fake_clip(600, seed=i) for i in range(2)]
    for a, b in zip(predictor.predict_clips(some), predictor.predict_clips(some, speakers=[speaker] * 2), strict=True):
        np.testing.assert_array_equal(a.probabilities, b.probabilities)


def test_a_folder_and_a_file_and_samples(tmp_path, predictor):
    save_model(tmp_path / "model", predictor.model)
    samples = (0.1 * np.random.default_rng(0).normal(size=(20000, 2))).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", samples, 16000, subtype="FLOAT")
    of_file = Predictor.load(tmp_path / "model").predict_file(tmp_path / "a.wav")
    of_samples = predictor.predict(samples, 16000)
    np.testing.assert_array_equal(of_file.probabilities, of_samples.probabilities)
    assert of_file.end == of_samples.end == 1.25
    first = predictor.predict_file(tmp_path / "a.wav", windows="first")
    assert first.label == of_file.label


def test_what_cannot_be_predicted(tmp_path, predictor):
    with pytest.raises(RecordingError, match=r"waveform: digital silence, expected speech"):
        predictor.predict(np.zeros(16000, np.float32), 16000)
    soundfile.write(tmp_path / "silence.wav", np.zeros(16000), 16000)
    with pytest.raises(RecordingError, match=r"silence\.wav: digital silence"):
        predictor.predict_file(tmp_path / "silence.wav")
    with pytest.raises(InputError, match="expected"):
        predictor.predict(np.full(16000, np.nan, np.float32), 16000)
    with pytest.raises(InputError, match=r"windows: got 'frist', expected one of: all, first.*Did you mean 'first'"):
        predictor.predict_clips([fake_clip()], windows="frist")
    with pytest.raises(InputError, match="speakers: got 1 for 2 clips"):
        predictor.predict_clips([fake_clip(), fake_clip()], speakers=["a"])
