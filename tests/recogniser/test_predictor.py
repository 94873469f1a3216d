"""Predictor: what a model makes of recordings, whatever they are given together with."""

import dataclasses

import jax
import numpy as np
import pytest
import soundfile
from fakes import fake_corpus, fake_model
from scipy.special import log_softmax
from sounds import noise

from metaser_jax import InputError
from metaser_jax.audio import clips
from metaser_jax.audio.clips import HOP_SECONDS, Clip, Quality
from metaser_jax.audio.tracks import STEP
from metaser_jax.data.corpus import UNKNOWN_SPEAKER
from metaser_jax.data.inputs import (
    CLIP,
    MIN_VOICE_STD,
    Scale,
    bounded,
    given,
    make_input,
    make_x,
    rescale,
    scales,
    shrunk_to,
    weights,
)
from metaser_jax.data.together import Together, label_together, voices_of
from metaser_jax.emotions import FOUR_EMOTIONS
from metaser_jax.errors import RecordingError
from metaser_jax.models.classifier import make_network
from metaser_jax.recogniser import predictor as predictors
from metaser_jax.recogniser.folder import save_model
from metaser_jax.recogniser.hearing import hear
from metaser_jax.recogniser.predictor import BATCH, MIN_SPEAKER_SECONDS, Predictor, make_forward

# The fake network is very sure of itself.
SOFT = 60.0


def fake_clip(frames=90, seed=0, quiet=slice(0)) -> Clip:
    """A clip of so many frames, those of `quiet` without a voice."""
    mfcc = np.random.default_rng(seed).normal(size=(frames, 20), scale=20).astype(np.float32)
    mfcc[:, 0] -= 200
    mfcc[quiet, 0] -= 800
    tracks = np.random.default_rng([seed, frames]).normal(size=(2 * frames, 19)).astype(np.float32)
    return Clip(mfcc, frames * HOP_SECONDS, 16000, f"{seed:064x}", Quality(0.5, 0.0, -20.0, 1), tracks)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(fake_model(temperature=SOFT))


@pytest.mark.parametrize("features", ["mfcc", "voice"])
def test_a_short_clip_is_the_calibrated_softmax_of_the_network(features):
    model = fake_model(features=features, normalise="corpus", temperature=SOFT)
    part = clips.windows(fake_clip()) if features == "mfcc" else clips.voice_windows(fake_clip())
    arrays = [getattr(part, name) for name in given(model.settings)]
    logits = np.asarray(make_forward(model.settings)(model.params, model.scale, *arrays)[0])
    (got,) = Predictor(model).predict_clips([fake_clip()])
    np.testing.assert_allclose(got.probabilities, np.exp(logits / SOFT) / np.exp(logits / SOFT).sum(), atol=1e-5)
    assert got.label == model.settings.emotions[got.probabilities.argmax()]
    assert (got.start, got.end, len(got.track)) == (0.0, 90 * HOP_SECONDS, 1)


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


SETTINGS = [{}, {"normalise": "none"}, {"normalise": "utterance", "pooling": "last"}]
SETTINGS += [{"features": "voice", "members": 5}, {"features": "voice", "members": 1, "normalise": "none"}]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_a_prediction_is_the_same_to_the_bit_in_any_company(settings):
    predictor = Predictor(fake_model(temperature=SOFT, **settings))
    some = [fake_clip(20 + 11 * i, seed=i) for i in range(BATCH + 3)]
    together = predictor.predict_clips(some)
    for clip, prediction in list(zip(some, together, strict=True))[::7]:
        (alone,) = predictor.predict_clips([clip])
        jax.tree.map(np.testing.assert_array_equal, alone.track, prediction.track)
    assert predictor._forward._cache_size() == 1, "another number of windows is another program"


def test_a_voice_is_heard_whole_or_in_windows():
    predictor = Predictor(fake_model(features="voice", normalise="corpus", temperature=SOFT))
    short, long = fake_clip(300), fake_clip(430, seed=1)  # 7 s and 10 s
    whole, windows = predictor.predict_clips([short, long])
    assert len(whole.track) == 1
    assert [window.start for window in windows.track] == pytest.approx([i * 215 * STEP for i in range(3)])
    assert (windows.start, windows.end) == (0.0, pytest.approx(430 * HOP_SECONDS))
    (first,) = predictor.predict_clips([long], windows="first")
    np.testing.assert_array_equal(first.probabilities, windows.track[0].probabilities)
    with pytest.raises(InputError, match="tracks"):
        predictor.predict_clips([short._replace(tracks=None)])


def test_the_network_is_given_what_it_was_trained_on():
    """As data/inputs.make_input, which training has, outliers clipped."""
    model = fake_model(features="voice", track_groups=("pitch", "loudness"), normalise="corpus")
    support = model.support
    voice = support.voice
    corpus = dataclasses.replace(fake_corpus().take(np.arange(len(support))), voice=voice)
    seen = make_input(corpus, model.settings.front_end, np.arange(len(support)))
    x, n = make_x(model.settings, voice)
    one = scales(x, n, np.zeros(len(x), int), np.ones(len(x), bool), MIN_VOICE_STD)
    scale = Scale(one.mean[0], one.std[0] / 4)  # so that something is clipped
    got = Predictor(dataclasses.replace(model, scale=scale)).logits(voice)
    expected = make_network(model.settings).apply(model.params, (4 * seen.mfcc).clip(-CLIP, CLIP))
    assert (np.abs(4 * seen.mfcc) > CLIP).any()
    np.testing.assert_allclose(got, expected, atol=1e-4)


def test_a_voice_is_normalised_by_its_own_mean_from_one_clip_on():
    model = fake_model(features="voice", normalise="speaker", temperature=SOFT)
    predictor = Predictor(model)
    corpus = dataclasses.replace(model, settings=dataclasses.replace(model.settings, normalise="corpus"))
    # Of the last, two of three windows are silent.
    some = [fake_clip(100, seed=0), fake_clip(120, seed=1), fake_clip(430, seed=2, quiet=slice(105, 430))]
    got = predictor.predict_clips(some, speakers=["a", "b", "b"])
    parts = [clips.voice_windows(clip) for clip in some]
    assert parts[2].silent.tolist() == [False, True, True]
    for which, of in (([0], [parts[0].voice]), ([1, 2], [parts[1].voice, parts[2].voice[:1]])):
        voice = np.concatenate(of)[:, None].astype(float)
        n = len(voice)
        own = shrunk_to(model.scale, voice, np.ones(n, int), np.zeros(n, int), np.ones(n, bool))
        alone = Predictor(dataclasses.replace(corpus, scale=Scale(own.mean[0], own.std[0])))
        for i, expected in zip(which, alone.predict_clips([some[i] for i in which]), strict=True):
            np.testing.assert_allclose(got[i].probabilities, expected.probabilities, atol=1e-4)
    # A clip of whose voice there is no other is the same, whether the voice has a name or not.
    alone, of_two = (np.abs(got[i].probabilities - predictor.predict_clips([some[i]])[0].probabilities) for i in (0, 1))
    assert alone.max() < 1e-6
    assert of_two.max() > 1e-4


def of_voices(count=12, seed=0, frames=100):
    """Clips of voices a and b, one window each, and whose each is."""
    return [fake_clip(frames, seed=100 * seed + i) for i in range(count)], ["a", "b"] * (count // 2)


@pytest.fixture(scope="module")
def together():
    return Predictor(fake_model(features="voice", normalise="speaker", temperature=SOFT))


def test_clips_together_are_the_em_of_what_the_network_is_given(together):
    model, (some, speakers) = together.model, of_voices()
    group = np.array([name == "b" for name in speakers], int)
    voice, n = np.stack([clips.voice_of(clip) for clip in some])[:, None].astype(float), np.ones(len(some), int)
    own = shrunk_to(model.scale, voice, n, group, np.ones(len(some), bool))
    x = bounded(model.settings, rescale(voice, n, Scale(own.mean[group][:, None], own.std[group][:, None])))[:, 0]

    def answer(x):
        logits = np.asarray(make_network(model.settings).apply(model.params, x[:, None].astype(np.float32)), float)
        return log_softmax(logits / SOFT, axis=1)

    weight = weights(model.settings)
    expected = label_together(x, np.array(speakers), answer, model.shape, model.labelled, weight=weight)
    got = together.predict_together(some, speakers)
    found = np.array([prediction.probabilities for prediction in got.predictions])
    np.testing.assert_allclose(found, expected.posteriors, atol=1e-4)
    np.testing.assert_allclose(got.found.mix, expected.mix, atol=1e-4)
    assert (got.found.voices.tolist(), got.found.clips.tolist(), got.why_off) == (["a", "b"], [6, 6], None)
    for one, same in zip(got.alone, together.predict_clips(some, speakers=speakers), strict=True):
        np.testing.assert_array_equal(one.probabilities, same.probabilities)
    without = Predictor(dataclasses.replace(model, labelled=None)).predict_together(some, speakers)
    assert np.abs(without.found.posteriors - found).max() > 1e-3, "labelled clips count for nothing"


def test_silent_windows_and_unknown_voices_count_for_nothing_together(together):
    some, speakers = of_voices()
    # The last two of three windows are silent.
    long = fake_clip(430, seed=50, quiet=slice(105, 430))
    got = together.predict_together([*some, long, fake_clip(100, seed=51)], [*speakers, "a", UNKNOWN_SPEAKER])
    whole, unknown = got.predictions[-2:]
    assert [window.silent for window in whole.track] == [False, True, True]
    np.testing.assert_array_equal(whole.probabilities, whole.track[0].probabilities)
    for window, alone in zip(whole.track[1:], got.alone[-2].track[1:], strict=True):
        np.testing.assert_array_equal(window.probabilities, alone.probabilities)
    np.testing.assert_array_equal(unknown.probabilities, got.alone[-1].probabilities)
    assert (got.found.clips.tolist(), len(got.found.posteriors)) == ([7, 6], 14)
    changed = [fake_clip(100, seed=52)._replace(tracks=fake_clip(100, seed=52).tracks + 1)]
    other = together.predict_together([*some, long, *changed], [*speakers, "a", UNKNOWN_SPEAKER])
    np.testing.assert_array_equal(other.predictions[0].probabilities, got.predictions[0].probabilities)


@pytest.mark.parametrize(
    ("change", "speakers", "said"),
    [
        ({"normalise": "corpus"}, None, "'corpus'"),
        ({"shape": None}, None, "shape"),
        ({}, [UNKNOWN_SPEAKER] * 12, "whose voices"),
        ({}, [f"s{i}" for i in range(12)], "1.0 recordings of each voice are too few"),
    ],
    ids=str,
)
def test_where_clips_are_labelled_one_by_one(together, change, speakers, said):
    model = together.model
    if "normalise" in change:
        model = fake_model(features="voice", temperature=SOFT, **change)
    else:
        model = dataclasses.replace(model, **change)
    some, names = of_voices()
    got = Predictor(model).predict_together(some, speakers or names)
    assert said in got.why_off
    assert (got.found is None) == ("too few" not in said)
    if got.found is None:
        assert got.predictions == got.alone


def test_an_encoder_hears_a_window_once(monkeypatch):
    predictor = Predictor(fake_model(features="encoder", normalise="speaker", temperature=SOFT))
    some = [clips.clip_of(noise(1.0, seed=i).mean(1), 22050, features="encoder") for i in range(9)]
    heard = []
    monkeypatch.setattr(predictors, "hear", lambda encoder, mels: heard.append(len(mels)) or hear(encoder, mels))
    predictor.predict_together(some[:8], ["a"] * 8)
    again = predictor.predict_together(some, ["a"] * 9)
    assert heard == [8, 1]
    new = Predictor(predictor.model).predict_together(some, ["a"] * 9)
    np.testing.assert_allclose(new.found.posteriors, again.found.posteriors, atol=1e-4)


def test_how_uneven_voices_came_out_is_said():
    mix = np.array([[0.45, 0.2, 0.2, 0.15], [0.1, 0.1, 0.1, 0.7]])
    found = Together(np.zeros((15, 4)), np.array(["a", "b"]), mix, np.array([8, 7]))
    even, uneven = map(str, voices_of(found, FOUR_EMOTIONS).values())
    assert even == "voice a, 8 recordings: angry 45 %, happy 20 %, neutral 20 %, sad 15 %"
    assert uneven.endswith("(to be doubted: few, under 8; one emotion has over 60%)")


def test_a_speaker_with_enough_is_normalised_by_his_own_statistics():
    model = fake_model(normalise="speaker", temperature=SOFT)
    predictor = Predictor(model)
    # The last two of four windows are silent.
    own = [fake_clip(300, seed=i, quiet=slice(120, 300)) for i in range(4)]
    short = fake_clip(int(MIN_SPEAKER_SECONDS / HOP_SECONDS), seed=9)
    got = predictor.predict_clips([*own, short], speakers=["a"] * 4 + ["b"])

    parts = [clips.windows(clip) for clip in own]
    mfcc = np.concatenate([part.mfcc[~part.silent] for part in parts])
    x, n = make_x(model.settings, mfcc, np.concatenate([part.n_frames[~part.silent] for part in parts]))
    scale = jax.tree.map(lambda a: a[0], scales(x, n, np.zeros(len(x), int), np.ones(len(x), bool)))
    expected = Predictor(dataclasses.replace(model, scale=scale)).predict_clips([*own, short])
    by_model = predictor.predict_clips([*own, short])
    for i in range(4):
        np.testing.assert_allclose(got[i].probabilities, expected[i].probabilities, atol=1e-5)
    np.testing.assert_array_equal(got[4].probabilities, by_model[4].probabilities)
    assert np.abs(got[0].probabilities - by_model[0].probabilities).max() > 1e-3


@pytest.mark.parametrize("features", ["mfcc", "voice"])
@pytest.mark.parametrize(("normalise", "speaker"), [("corpus", "a"), ("speaker", "unknown")])
def test_other_models_and_unknown_speakers_take_the_models_statistics(normalise, speaker, features):
    predictor = Predictor(fake_model(features=features, normalise=normalise, temperature=SOFT))
    some = [fake_clip(600, seed=i) for i in range(2)]
    for a, b in zip(predictor.predict_clips(some), predictor.predict_clips(some, speakers=[speaker] * 2), strict=True):
        np.testing.assert_array_equal(a.probabilities, b.probabilities)


@pytest.mark.parametrize("features", ["mfcc", "voice"])
def test_a_folder_and_a_file_and_samples(tmp_path, features):
    predictor = Predictor(fake_model(features=features, temperature=SOFT))
    save_model(tmp_path / "model", predictor.model)
    samples = (0.1 * np.random.default_rng(0).normal(size=(20000, 2))).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", samples, 16000, subtype="FLOAT")
    of_file = Predictor.load(tmp_path / "model").predict_file(tmp_path / "a.wav")
    of_samples = predictor.predict(samples, 16000)
    np.testing.assert_array_equal(of_file.probabilities, of_samples.probabilities)
    assert of_file.end == of_samples.end == pytest.approx(1.25, abs=0 if features == "mfcc" else 0.02)


def test_what_cannot_be_predicted(tmp_path, predictor):
    soundfile.write(tmp_path / "silence.wav", np.zeros(16000), 16000)
    with pytest.raises(RecordingError, match=r"silence\.wav"):
        predictor.predict_file(tmp_path / "silence.wav")
    for samples, error in ((np.zeros(16000, np.float32), RecordingError), (np.full(16000, np.nan), InputError)):
        with pytest.raises(error):
            predictor.predict(samples, 16000)
    for match, wrong in (("'frist'", {"windows": "frist"}), ("speakers", {"speakers": ["a", "b"]})):
        with pytest.raises(InputError, match=match):
            predictor.predict_clips([fake_clip()], **wrong)
    assert predictor.predict_clips([]) == []
