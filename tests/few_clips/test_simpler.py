"""What the clips are worth without the start, and the start without the clips: scored on the same parts, and taken."""

import dataclasses
import itertools

import jax
import numpy as np
import pytest
from fakes import fake_corpus, fake_model, fake_voice
from sklearn.svm import SVC

from metaser_jax import InputError
from metaser_jax.adaptation.classifiers import Labelled, fit_votes
from metaser_jax.adaptation.cross_validation import BY_CLIP, BY_SPEAKER, NAMES, Parts, validate
from metaser_jax.adaptation.few_clips import Adaptation, adapt_again, adapt_model
from metaser_jax.data.corpus import Corpus
from metaser_jax.recogniser.card import model_card
from metaser_jax.recogniser.folder import digest, load_model, save_model
from metaser_jax.recogniser.predictor import Predictor

HOW = Adaptation(max_epochs=3, repeats=2, folds=3, optimizer="inner")


def clips(noise=0.5) -> Corpus:
    one = fake_corpus(per_emotion=6, speakers=3, frames=120)
    sha256 = np.array([f"{i:064x}" for i in range(len(one))])
    voice = fake_voice(one.label, noise=noise)
    return dataclasses.replace(one, sha256=sha256, voice=voice)


def begun():
    model = fake_model(hidden_dim=5, features="voice", members=2)
    start = model.start._replace(params=jax.tree.map(lambda p: p / 8, model.start.params))
    return start, model.settings


def test_the_perceptron_counts_the_machines_votes():
    rng = np.random.default_rng(0)
    y = np.arange(60) % 4
    x = rng.normal(size=(60, 7)) + 2.0 * np.eye(7)[y]
    mean, std = x.mean(0), x.std(0)
    machine = SVC(kernel="linear", C=1.0, decision_function_shape="ovo").fit((x - mean) / std, y)
    margins = -machine.decision_function((x - mean) / std)  # scikit-learn's are above 0 for the first of the two
    votes = np.zeros((60, 4))
    for (i, j), margin in zip(itertools.combinations(range(4), 2), margins.T.clip(-1, 1), strict=True):
        votes[:, j] += margin
        votes[:, i] -= margin
    np.testing.assert_allclose(fit_votes(Labelled(x, y), 4).logits(x), votes, atol=1e-2)
    assert np.mean(votes.argmax(-1) == machine.predict((x - mean) / std)) > 0.9


def test_an_emotion_without_clips_is_never_said():
    x, y = np.eye(8)[np.arange(24) % 8], np.arange(24) % 8 % 3
    assert set(fit_votes(Labelled(x, y), 4).logits(x).argmax(-1)) == {0, 1, 2}
    assert (
        fit_votes(Labelled(x, y), 4).logits(100 * np.random.default_rng(0).normal(size=(99, 8))).argmax(-1) != 3
    ).all()


@pytest.mark.parametrize("kind", ["svm", "zero_shots"])
def test_a_simpler_model_is_a_model_folder_as_any_other(kind, tmp_path):
    start, settings = begun()
    support = clips()
    how = HOW._replace(model_kind=kind)
    model = adapt_model(start, settings, how, support, about={"name": "simple"})
    save_model(tmp_path / "model", model)
    model = load_model(tmp_path / "model")
    said = Predictor(model).logits(support.voice)
    if kind == "svm":
        assert np.mean(said.argmax(-1) == support.label) == 1
        assert model.start is None
    else:
        jax.tree.map(np.testing.assert_array_equal, model.params, start.params)
    assert f"kind of model: {kind}" in model_card(model, digest(model))
    others = {one["kind"] for one in model.about["cross_validation"]["others"]}
    assert others == set(NAMES) - {kind}
    again = adapt_again(model, support.take(np.arange(0, 24, 2)))
    assert again.about["adaptation"]["model_kind"] == kind
    assert again.settings == model.settings


def test_what_is_clearly_better_is_said():
    support = clips()
    right = np.tile(10.0 * np.eye(4)[support.label], (2, 1, 1))
    wrong = np.tile(10.0 * np.eye(4)[np.roll(support.label, 3)], (2, 1, 1))
    every = np.arange(len(support))
    parts = Parts(BY_SPEAKER, ((every[::2], every[1::2]),) * 2)
    of = (support, parts)
    found = validate(*of, wrong, others={"svm": right, "zero_shots": wrong})
    assert "A support vector machine of these clips alone is clearly better, by" in found["verdict"]
    assert "--model_kind=svm takes it" in found["verdict"]
    same = validate(*of, right, others={"svm": right})
    assert "alone 1.00." in same["verdict"]
    assert "better" not in same["verdict"]
    # With the same voices in all parts the machine may have learned the voices.
    by_clip = validate(support, Parts(BY_CLIP, parts.tests), wrong, others={"svm": right})
    assert "whatever learns these voices looks better" in by_clip["verdict"]
    assert "--model_kind" not in by_clip["verdict"]
    # All of one voice right, and of the others as many wrong: it may be chance.
    some = np.where((support.speaker == "s0")[:, None], right, wrong)
    maybe = validate(*of, wrong, others={"svm": some})
    assert "alone is better, by" in maybe["verdict"]
    assert "which so few clips do not prove): --model_kind=svm takes it" in maybe["verdict"]


def test_no_machine_of_mfcc():
    model = fake_model()
    support = dataclasses.replace(clips(), voice=None)
    with pytest.raises(InputError, match="hears MFCC, and a machine is made of the voice alone"):
        adapt_model(model.start, model.settings, HOW._replace(model_kind="svm"), support)
    kinds = {
        one["kind"]
        for one in adapt_model(model.start, model.settings, HOW, support).about["cross_validation"]["others"]
    }
    assert kinds == {"zero_shots"}
