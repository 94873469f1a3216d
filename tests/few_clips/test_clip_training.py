"""Adapting to a handful of clips: finetune.py's model, its calibration, and once more with other clips."""

import dataclasses

import jax
import numpy as np
import pytest
from fakes import fake_corpus, fake_model, fake_voice

from metaser_jax import InputError
from metaser_jax.adaptation.engine import Case, train_and_predict
from metaser_jax.adaptation.few_clips import Adaptation, adapt_again, adapt_model
from metaser_jax.adaptation.starts import Init
from metaser_jax.data.corpus import CLIPS, UNKNOWN_SPEAKER
from metaser_jax.data.inputs import GIVEN, Scale, make_x, shrunk_to
from metaser_jax.data.splits import split
from metaser_jax.data.target import Target
from metaser_jax.models.classifier import take_head
from metaser_jax.recogniser.model import Start
from metaser_jax.recogniser.predictor import make_forward
from metaser_jax.results.outcomes import Amount
from metaser_jax.specs import FinetuneSpec

HOW = Adaptation(max_epochs=3, repeats=2, folds=3)
CORPUS = fake_corpus(per_emotion=14, speakers=7, frames=12, noise=1.5, seed=3)
# Its voices differ, so that it matters what they are normalised by.
_BY_VOICE = np.random.default_rng(1).normal(size=(7, 171))[[int(name[1:]) for name in CORPUS.speaker]]
VOICES = dataclasses.replace(CORPUS, voice=(fake_voice(CORPUS.label, 3, 1.5) + _BY_VOICE).astype(np.float32))


@pytest.fixture(scope="module")
def start():
    """Small parameters, so that a few steps do not diverge."""
    model = fake_model(hidden_dim=3, trim_db=0.5)
    small = jax.tree.map(lambda p: p / 4, model.start.params)
    rates = jax.tree.map(lambda p: p / 4, model.start.rates)
    return Start(small, rates), model.settings


@pytest.fixture(scope="module")
def voice_start():
    model = fake_model(hidden_dim=5, features="voice", track_groups=("pitch", "tilt", "mfcc"), members=3)
    small = jax.tree.map(lambda p: p / 8, model.start.params)
    return Start(small, model.start.rates), model.settings


def clips(index, corpus=CORPUS):
    one = corpus.take(index)
    sha256 = np.array([f"{i:064x}" for i in index])
    return dataclasses.replace(one, name=CLIPS, sha256=sha256)


def some(per_emotion, corpus=CORPUS):
    return np.sort(np.concatenate([np.flatnonzero(corpus.label == e)[:per_emotion] for e in range(4)]))


def predict(model, corpus=CORPUS, scale=None):
    forward = jax.jit(make_forward(model.settings))
    given = (getattr(corpus, name) for name in GIVEN[model.settings.features])
    return np.asarray(forward(model.params, scale or model.scale, *given))


def by_voice(model, corpus=VOICES):
    """What a model over the voice that normalises by speaker is to normalise each utterance by."""
    speaker = np.unique(corpus.speaker, return_inverse=True)[1]
    x, n = make_x(model.settings, corpus.voice)
    each = shrunk_to(model.scale, x, n, speaker, np.ones(len(x), bool))
    return Scale(each.mean[speaker][:, None], each.std[speaker][:, None])


def finetuned(start, settings, ready, drawn, **changes):
    """What experiments/finetune.py predicts of the test part."""
    how = {"optimizer": "inner", "lr": 0.05, "max_epochs": 3, "validation": "none", **changes}
    spec = FinetuneSpec(**dataclasses.asdict(settings), **how)
    case = Case(0, Amount("shots", 2), 0, (drawn, drawn[:0]))
    ((logits, _, _),) = train_and_predict(spec, [Init(start.params, {}, start.rates)], [ready], [case])
    return logits


@pytest.mark.parametrize("normalise", ["corpus", "none", "utterance"])
@pytest.mark.parametrize("by", ["drawn", "train"])
def test_the_model_is_finetunes(start, normalise, by):
    start, settings = start
    settings = dataclasses.replace(settings, normalise=normalise)
    ready, drawn = Target(CORPUS, split(CORPUS, "random"), ""), some(2)
    drawn = np.concatenate([ready.split.train[CORPUS.label[ready.split.train] == e][:2] for e in range(4)])
    expected = finetuned(start, settings, ready, drawn, normalise_by=by)
    unlabelled = None
    if by == "train" and normalise == "corpus":
        rest = CORPUS.take(np.setdiff1d(ready.split.train, drawn))
        unlabelled = rest
    model = adapt_model(start, settings, HOW, clips(drawn), unlabelled=unlabelled)
    got = predict(model)[ready.split.test]
    np.testing.assert_allclose(got, expected, atol=1e-4)
    assert np.abs(predict(dataclasses.replace(model, params=start.params))[ready.split.test] - expected).max() > 1e-2


@pytest.mark.parametrize("normalise", ["corpus", "none"])
@pytest.mark.parametrize("by", ["drawn", "train"])
def test_a_voice_model_is_finetunes(voice_start, normalise, by):
    start, settings = voice_start
    settings = dataclasses.replace(settings, normalise=normalise)
    ready = Target(VOICES, split(VOICES, "random"), "")
    drawn = np.concatenate([ready.split.train[VOICES.label[ready.split.train] == e][:2] for e in range(4)])
    expected = finetuned(start, settings, ready, drawn, normalise_by=by)
    unlabelled = None
    if by == "train" and normalise == "corpus":
        rest = VOICES.take(np.setdiff1d(ready.split.train, drawn))
        unlabelled = rest
    model = adapt_model(start, settings, HOW, clips(drawn, VOICES), unlabelled=unlabelled)
    np.testing.assert_allclose(predict(model, VOICES)[ready.split.test], expected, atol=1e-4)
    untrained = dataclasses.replace(model, params=start.params)
    assert np.abs(predict(untrained, VOICES)[ready.split.test] - expected).max() > 1e-3


def test_a_voice_model_by_speaker_is_finetunes(voice_start):
    """Where all of a corpus's clips are given, those without labels, too."""
    start, settings = voice_start
    settings = dataclasses.replace(settings, normalise="speaker")
    ready, drawn = Target(VOICES, split(VOICES, "random"), ""), some(2)
    expected = finetuned(start, settings, ready, drawn)
    rest = VOICES.take(np.setdiff1d(np.arange(len(VOICES)), drawn))
    model = adapt_model(start, settings, HOW, clips(drawn, VOICES), unlabelled=rest)
    test = VOICES.take(ready.split.test)
    got = predict(model, test, jax.tree.map(lambda a: a[ready.split.test], by_voice(model)))
    np.testing.assert_allclose(got, expected, atol=1e-4)
    assert np.abs(predict(model, test) - expected).max() > 1e-2


def test_again_a_voice_model_is_normalised_as_it_was_by_unlabelled_recordings(voice_start):
    start, settings = voice_start
    rest = VOICES.take(some(14)[30:])
    nobodys = np.full(len(rest), UNKNOWN_SPEAKER)
    for normalise in ("corpus", "speaker"):
        how = dataclasses.replace(settings, normalise=normalise)
        model = adapt_model(
            start,
            how,
            HOW,
            clips(some(3), VOICES),
            unlabelled=dataclasses.replace(rest, speaker=nobodys, voice=rest.voice + np.float32(2)),
        )
        alone = adapt_model(start, how, HOW, clips(some(3), VOICES))
        assert np.abs(model.scale.mean - alone.scale.mean).max() > 0.2
        again = adapt_again(model, model.support)
        np.testing.assert_array_equal(again.scale.mean, model.scale.mean)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), again.params, model.params)
        moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), alone.params, model.params)
        assert max(jax.tree.leaves(moved)) > 1e-3


def test_a_voice_models_clips_without_their_voice(voice_start):
    start, settings = voice_start
    with pytest.raises(InputError, match="the clips: got MFCC alone"):
        adapt_model(start, settings, HOW, clips(some(2), dataclasses.replace(CORPUS, voice=None)))


def test_a_voice_models_head_alone(voice_start):
    start, settings = voice_start
    model = adapt_model(start, settings, HOW._replace(adapt="head"), clips(some(3), VOICES))
    before, after = (params["params"] for params in (start.params, model.params))
    jax.tree.map(np.testing.assert_array_equal, before["voice"], after["voice"])
    assert not np.array_equal(before["output"]["kernel"], after["output"]["kernel"])


def test_the_head_alone(start):
    start, settings = start
    model = adapt_model(start, settings, HOW._replace(adapt="head"), clips(some(3)))
    heads = [take_head(params)["params"] for params in (model.params, start.params)]
    assert not all(jax.tree.leaves(jax.tree.map(np.array_equal, *heads)))
    for layer in model.params["params"].keys() - heads[0].keys():
        jax.tree.map(np.testing.assert_array_equal, model.params["params"][layer], start.params["params"][layer])


def test_scored_and_calibrated_on_what_it_has_not_learned(start):
    start, settings = start
    how, start = HOW._replace(max_epochs=150, lr=0.1), start._replace(rates=None)
    right = clips(some(6))
    model = adapt_model(start, settings, how, right, about={"language": "Esperanto"})
    scored, calibration = model.about["cross_validation"], model.about["calibration"]
    assert (scored["n"], scored["folds"], scored["repeats"]) == (24, 3, 2)
    assert np.sum(scored["confusion"]) == 48
    assert model.temperature == calibration["temperature"]
    assert calibration["nll_after"] <= calibration["nll_before"]
    assert calibration["ece_after"] <= calibration["ece_before"]
    assert f"temperature {calibration['tried']:.2f}" in calibration["verdict"]
    assert model.about["language"] == "Esperanto"
    assert model.about["support"]["n_per_emotion"] == {"angry": 6, "happy": 6, "neutral": 6, "sad": 6}
    assert scored["macro_f1"] > 0.6
    # Labels that no sound explains can be learned by heart, and not be foretold.
    wrong = dataclasses.replace(right, label=np.random.default_rng(0).permutation(right.label))
    by_heart = adapt_model(start, settings, how, wrong)
    learned = predict(by_heart, CORPUS.take(some(6))).argmax(-1)
    assert np.mean(learned == wrong.label) > 0.9
    assert by_heart.about["cross_validation"]["macro_f1"] < 0.4
    assert by_heart.temperature > model.temperature


def test_one_clip_each_is_neither_scored_nor_calibrated(start):
    start, settings = start
    model = adapt_model(start, settings, HOW, clips(some(1)))
    assert (model.about["cross_validation"], model.about["calibration"], model.temperature) == (None, None, 1.0)


def test_again_with_the_same_clips_is_the_same_model(start):
    start, settings = start
    model = adapt_model(start, settings, HOW, clips(some(3)), about={"language": "Esperanto", "warnings": ["noise"]})
    again = adapt_again(model, model.support)
    jax.tree.map(np.testing.assert_array_equal, again.params, model.params)
    assert (again.temperature, again.about["language"]) == (model.temperature, "Esperanto")
    assert again.about["warnings"] == ["noise"], "what is wrong with them still is"
    more = adapt_again(model, clips(some(4)))
    assert more.about["warnings"] == ["noise"]
    assert "warnings" not in adapt_again(model, clips(some(6)[1::2])).about, "they were about other clips"
    assert more.about["support"]["n_per_emotion"]["sad"] == 4
    assert np.abs(predict(more) - predict(model)).max() > 1e-3


def test_again_what_fewer_clips_score_is_of_the_same_parts(start):
    start, settings = start
    all_clips = clips(some(6))
    model = adapt_model(start, settings, HOW, all_clips.take(np.arange(len(all_clips)) % 6 < 3))
    again = adapt_again(model, all_clips)
    alone = adapt_model(start, settings, HOW, all_clips)
    jax.tree.map(np.testing.assert_array_equal, again.params, alone.params)
    scored = again.about["cross_validation"]
    before = scored.pop("before")
    assert scored == alone.about["cross_validation"]
    assert before["difference"] == pytest.approx(scored["macro_f1"] - before["macro_f1"])
    assert before["interval"][0] < before["difference"] < before["interval"][1]
    assert before["macro_f1"] != model.about["cross_validation"]["macro_f1"], "that is of other clips"
    assert "before" not in adapt_again(model, model.support).about["cross_validation"]


def test_what_waits_is_told_of_progress_and_may_end_it(start):
    start, settings = start
    told = []
    watched = adapt_model(start, settings, HOW, clips(some(3)), progress=lambda *of: told.append(of))
    alone = adapt_model(start, settings, HOW, clips(some(3)))
    jax.tree.map(np.testing.assert_array_equal, watched.params, alone.params)
    done, of = zip(*told, strict=True)
    # Of each part with its clips and without any, and of all.
    assert set(of) == {2 * 3 * HOW.repeats + 1}
    assert done[0] == 0
    assert done[-1] == of[0]
    assert len(done) >= 3
    assert list(done) == sorted(set(done))

    def end(done, of):
        if done:
            raise KeyError(done)

    with pytest.raises(KeyError):
        adapt_model(start, settings, HOW, clips(some(3)), progress=end)


def test_again_it_is_normalised_as_it_was_by_unlabelled_recordings(start):
    start, settings = start
    loud = CORPUS.take(some(14)[30:])
    unlabelled = dataclasses.replace(loud, mfcc=loud.mfcc + 2)
    model = adapt_model(start, settings, HOW, clips(some(3)), unlabelled=unlabelled)
    alone = adapt_model(start, settings, HOW, clips(some(3)))
    assert np.abs(model.scale.mean - alone.scale.mean).max() > 0.5
    again = adapt_again(model, model.support)
    np.testing.assert_array_equal(again.scale.mean, model.scale.mean)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), again.params, model.params)
    assert again.about["support"]["unlabelled"] == len(unlabelled)


def test_again_voices_of_which_there_is_little_are_normalised_as_they_were(start):
    start, settings = start
    loud = CORPUS.take(some(14)[30:])
    nobodys = np.full(len(loud), UNKNOWN_SPEAKER)
    unlabelled = dataclasses.replace(loud, mfcc=loud.mfcc + 2, speaker=nobodys)
    by_speaker = dataclasses.replace(settings, normalise="speaker")
    model = adapt_model(start, by_speaker, HOW, clips(some(3)), unlabelled=unlabelled)
    again = adapt_again(model, model.support)
    np.testing.assert_array_equal(again.scale.mean, model.scale.mean)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), again.params, model.params)
    assert again.about["support"]["unlabelled"] == len(unlabelled)


def test_again_the_clips_language_and_licence_are_still_known(start):
    start, settings = start
    model = adapt_model(start, settings, HOW, clips(some(2)))
    model.about["support"] |= {"language": "Esperanto", "licence": "CC0"}
    told = adapt_again(model, model.support).about["support"]
    assert (told["language"], told["licence"]) == ("Esperanto", "CC0")
    told = adapt_again(model, clips(some(3))).about["support"]
    assert (told["language"], told["licence"]) == ("Esperanto", "CC0; that of clips added later is not known")


def test_from_a_model_whose_start_is_not_known(start):
    model = dataclasses.replace(fake_model(hidden_dim=3, trim_db=0.5), start=None)
    again = adapt_again(model, clips(some(2)))
    jax.tree.map(np.testing.assert_array_equal, again.start.params, model.params)


def test_bad_input(start):
    start, settings = start
    with pytest.raises(InputError, match="Got clips of happy, expected two emotions or more"):
        adapt_model(start, settings, HOW, clips(np.flatnonzero(CORPUS.label == 1)[:3]))
    apart = dataclasses.replace(settings, normalise="speaker")
    nobodys = dataclasses.replace(clips(some(2)), speaker=np.array(["unknown"] + ["anna"] * 7))
    with pytest.raises(InputError, match=r"Of 1 clips, angry/.* the speaker is not known, and this model"):
        adapt_model(start, apart, HOW, nobodys)
    with pytest.raises(InputError, match=r"--lr=1e\+20: fine-tuning on the clips diverged"):
        adapt_model(start._replace(rates=None), settings, HOW._replace(lr=1e20), clips(some(2)))
