"""Adapting to a handful of clips: fine-tuning's model, its calibration, and once more with other clips."""

import dataclasses

import jax
import numpy as np
import pytest
from fakes import fake_corpus, fake_model

from metaser_jax import InputError
from metaser_jax.adaptation.cross_validation import NAMES
from metaser_jax.adaptation.engine import Case, train_and_predict
from metaser_jax.adaptation.few_clips import adapt_again, adapt_model
from metaser_jax.adaptation.starts import Init
from metaser_jax.data.corpus import CLIPS, UNKNOWN_SPEAKER
from metaser_jax.data.inputs import Scale, given_of, make_x, shrunk_to
from metaser_jax.data.splits import split
from metaser_jax.data.target import Target
from metaser_jax.recogniser.card import model_card
from metaser_jax.recogniser.folder import describe, save_model
from metaser_jax.recogniser.model import Start
from metaser_jax.recogniser.predictor import Predictor, make_forward
from metaser_jax.results.outcomes import Amount
from metaser_jax.specs import FinetuneSpec
from metaser_jax.specs.commands import AdaptConfig

HOW = AdaptConfig(support="", out="", max_epochs=3, repeats=2, folds=3)
CORPUS = fake_corpus(per_emotion=14, speakers=7, frames=12, noise=1.5, seed=3)
# Its voices differ, so that it matters what they are normalised by.
_BY_VOICE = np.random.default_rng(1).normal(size=(7, 171))[[int(name[1:]) for name in CORPUS.speaker]]
_NAMED = {"name": CLIPS, "sha256": np.array([f"{i:064x}" for i in range(len(CORPUS))])}
CORPUS = dataclasses.replace(CORPUS, voice=CORPUS.voice + np.float32(_BY_VOICE), **_NAMED)
clips = CORPUS.take


def small(shrink, **settings):
    """A start of small parameters, so that a few steps do not diverge, and its settings."""
    model = fake_model(**settings)
    rates = jax.tree.map(lambda p: p / 4, model.start.rates)
    return Start(jax.tree.map(lambda p: p / shrink, model.start.params), rates), model.settings


VOICE = {"features": "voice", "track_groups": ("pitch", "tilt", "mfcc"), "members": 3}
STARTS = {"mfcc": {"shrink": 4, "hidden_dim": 3, "trim_db": 0.5}, "voice": {"shrink": 8, "hidden_dim": 5, **VOICE}}
START = small(**STARTS["mfcc"])


@pytest.fixture(params=STARTS)
def each_start(request):
    return small(**STARTS[request.param])


def some(per_emotion):
    return np.sort(np.concatenate([np.flatnonzero(CORPUS.label == e)[:per_emotion] for e in range(4)]))


def others(index, louder=0.0, **changes):
    rest, more = CORPUS.take(index), np.float32(louder)
    return dataclasses.replace(rest, mfcc=rest.mfcc + more, voice=rest.voice + more, **changes)


def predict(model, index=slice(None), scale=None):
    given = (array[index] for array in given_of(CORPUS, model.settings))
    return np.asarray(jax.jit(make_forward(model.settings))(model.params, scale or model.scale, *given))


def finetuned(start, settings, ready, drawn, **changes):
    """Predictions of the test part by metaser finetune."""
    how = {"optimizer": "inner", "lr": 0.05, "max_epochs": 3, "validation": "none", **changes}
    spec = FinetuneSpec(**dataclasses.asdict(settings), **how)
    case = Case(0, Amount("shots", 2), 0, (drawn, drawn[:0]))
    ((logits, _, _),) = train_and_predict(spec, [Init(start.params, {}, start.rates)], [ready], [case])
    return logits


@pytest.mark.parametrize(
    ("normalise", "by", "adapted"), [("corpus", "drawn", "all"), ("corpus", "train", "head"), ("none", "train", "all")]
)
def test_the_model_is_finetunes(each_start, normalise, by, adapted):
    start, settings = each_start
    settings = dataclasses.replace(settings, normalise=normalise)
    ready = Target(CORPUS, split(CORPUS, "random"), "")
    train = ready.split.train
    drawn = np.concatenate([train[CORPUS.label[train] == e][:2] for e in range(4)])
    expected = finetuned(start, settings, ready, drawn, normalise_by=by, adapt=adapted)
    unlabelled = others(np.setdiff1d(train, drawn)) if by == "train" and normalise == "corpus" else None
    how = dataclasses.replace(HOW, adapt=adapted)
    model = adapt_model(start, settings, how, clips(drawn), unlabelled=unlabelled)
    np.testing.assert_allclose(predict(model, ready.split.test), expected, atol=1e-4)
    untrained = dataclasses.replace(model, params=start.params)
    assert np.abs(predict(untrained, ready.split.test) - expected).max() > 1e-3


def test_a_voice_model_by_speaker_is_finetunes():
    start, settings = small(**STARTS["voice"], normalise="speaker")
    ready, drawn = Target(CORPUS, split(CORPUS, "random"), ""), some(2)
    expected, test = finetuned(start, settings, ready, drawn), ready.split.test
    unlabelled = others(np.setdiff1d(np.arange(len(CORPUS)), drawn))
    model = adapt_model(start, settings, HOW, clips(drawn), unlabelled=unlabelled)
    speaker = np.unique(CORPUS.speaker, return_inverse=True)[1]
    each = shrunk_to(model.scale, *make_x(settings, CORPUS.voice), speaker, np.ones(len(CORPUS), bool))
    by_voice = Scale(*(array[speaker[test]][:, None] for array in each))
    np.testing.assert_allclose(predict(model, test, by_voice), expected, atol=1e-4)
    assert np.abs(predict(model, test) - expected).max() > 1e-2


@pytest.mark.parametrize("normalise", ["corpus", "speaker"])
def test_again_it_is_normalised_as_it_was_by_unlabelled_recordings(each_start, normalise):
    start, settings = each_start
    settings = dataclasses.replace(settings, normalise=normalise)
    unlabelled = others(np.arange(30, 56), 2.0, speaker=np.full(26, UNKNOWN_SPEAKER))
    model, alone = (adapt_model(start, settings, HOW, clips(some(3)), unlabelled=rest) for rest in (unlabelled, None))
    assert np.abs(model.scale.mean - alone.scale.mean).max() > 0.2
    again = adapt_again(model, model.support)
    np.testing.assert_array_equal(again.scale.mean, model.scale.mean)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), again.params, model.params)
    assert again.about["support"]["unlabelled"] == len(unlabelled)


def test_scored_and_calibrated_on_what_it_has_not_learned():
    start, settings = START
    how, start = dataclasses.replace(HOW, max_epochs=150, lr=0.1), start._replace(rates=None)
    right = clips(some(6))
    model = adapt_model(start, settings, how, right)
    scored, calibration = model.about["cross_validation"], model.about["calibration"]
    assert (scored["n"], scored["folds"], scored["repeats"], np.sum(scored["confusion"])) == (24, 3, 2, 48)
    assert model.temperature == calibration["temperature"]
    assert calibration["nll_after"] <= calibration["nll_before"]
    assert model.about["support"]["n_per_emotion"] == {"angry": 6, "happy": 6, "neutral": 6, "sad": 6}
    assert scored["macro_f1"] > 0.6
    # Labels that no sound explains can be learned by heart, and not be foretold.
    wrong = dataclasses.replace(right, label=np.random.default_rng(0).permutation(right.label))
    by_heart = adapt_model(start, settings, how, wrong)
    assert np.mean(predict(by_heart, some(6)).argmax(-1) == wrong.label) > 0.9
    assert by_heart.about["cross_validation"]["macro_f1"] < 0.4
    assert by_heart.temperature > model.temperature


def test_again():
    model = adapt_model(*START, HOW, clips(some(3)), about={"language": "Esperanto", "warnings": ["noise"]})
    model.about["support"] |= {"language": "Esperanto", "licence": "CC0"}
    again = adapt_again(model, model.support)
    jax.tree.map(np.testing.assert_array_equal, again.params, model.params)
    assert (again.temperature, again.about["language"]) == (model.temperature, "Esperanto")
    assert again.about["warnings"] == ["noise"], "what is wrong with them still is"
    assert (again.about["support"]["language"], again.about["support"]["licence"]) == ("Esperanto", "CC0")
    assert "before" not in again.about["cross_validation"]
    # Of a model whose start is not known, it starts from its parameters.
    other = adapt_again(dataclasses.replace(model, start=None), clips(some(6)[1::2]))
    jax.tree.map(np.testing.assert_array_equal, other.start.params, model.params)
    assert "warnings" not in other.about, "they were about other clips"
    more = adapt_again(model, clips(some(6)))
    assert more.about["warnings"] == ["noise"]
    assert more.about["support"]["licence"].startswith("CC0; ")
    # Fewer clips are scored on the same parts.
    alone = adapt_model(*START, HOW, clips(some(6)))
    jax.tree.map(np.testing.assert_array_equal, more.params, alone.params)
    scored = more.about["cross_validation"]
    before = scored.pop("before")
    assert scored == alone.about["cross_validation"]
    assert before["difference"] == pytest.approx(scored["macro_f1"] - before["macro_f1"])
    assert before["interval"][0] < before["difference"] < before["interval"][1]
    assert before["macro_f1"] != model.about["cross_validation"]["macro_f1"], "that is of other clips"


def test_what_waits_is_told_of_progress_and_may_end_it():
    told = []
    watched = adapt_model(*START, HOW, clips(some(3)), progress=lambda *of: told.append(of))
    jax.tree.map(np.testing.assert_array_equal, watched.params, adapt_model(*START, HOW, clips(some(3))).params)
    runs = 2 * 3 * HOW.repeats + 1  # of each part with its clips and without any, and of all
    assert (told, told[0], told[-1]) == (sorted(set(told)), (0, runs), (runs, runs))

    def end(done, of):
        if done:
            raise KeyError(done)

    with pytest.raises(KeyError):
        adapt_model(*START, HOW, clips(some(3)), progress=end)


@pytest.mark.parametrize("kind", NAMES)
def test_every_kind_of_model_is_a_folder_and_learns(kind, tmp_path):
    start, settings = small(**STARTS["voice"])
    support = dataclasses.replace(fake_model(features="voice", clips=24).support, emotions=settings.emotions)
    how = dataclasses.replace(HOW, model_kind=kind, optimizer="inner", max_epochs=80)
    save_model(tmp_path / "model", adapt_model(start._replace(rates=None), settings, how, support))
    predictor = Predictor.load(tmp_path / "model")
    model, right = predictor.model, np.mean(predictor.logits(support.voice).argmax(-1) == support.label)
    if kind == "zero_shots":
        jax.tree.map(np.testing.assert_array_equal, model.params, start.params)
    else:
        assert right > {"svm": 0.99, "network": 0.5}[kind]
        assert (model.start is None) == (kind == "svm")
    assert f"kind of model: {kind}" in model_card(describe(model))
    assert {other["kind"] for other in model.about["cross_validation"]["others"]} == set(NAMES) - {kind}
    again = adapt_again(model, support.take(np.arange(0, 24, 2)))
    assert (again.about["adaptation"]["model_kind"], again.settings) == (kind, model.settings)


def test_clips_that_do_not_fit():
    start, settings = START
    assert adapt_model(start, settings, HOW, clips(some(1))).temperature == 1.0
    apart, two = dataclasses.replace(settings, normalise="speaker"), clips(some(2))
    nobodys = dataclasses.replace(two, speaker=np.array(["unknown"] + ["anna"] * 7))
    plain = start._replace(rates=None)
    for arguments, said in (
        ((start, settings, HOW, clips(np.flatnonzero(CORPUS.label == 1)[:3])), "clips of happy"),
        ((start, apart, HOW, nobodys), "of 1 clips, angry/"),
        ((plain, settings, dataclasses.replace(HOW, lr=1e20), two), r"--lr=1e\+20: .* the clips"),
        ((start, settings, dataclasses.replace(HOW, model_kind="svm"), two), "--model_kind=svm"),
        ((*small(**STARTS["voice"]), HOW, dataclasses.replace(two, voice=None)), "the clips: got no voice"),
    ):
        with pytest.raises(InputError, match=said):
            adapt_model(*arguments)
