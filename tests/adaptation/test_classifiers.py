"""Classifiers without gradient steps: scikit-learn on the networks' draws, and on openSMILE's functionals."""

import dataclasses
import functools
import itertools
from pathlib import Path

import numpy as np
import pytest
import soundfile
from fakes import fake_corpus
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC
from small_runs import CORPORA, adapt_svm, load_sources, load_target, run_finetune

from metaser_jax import InputError
from metaser_jax.adaptation import classifiers
from metaser_jax.adaptation.classifiers import (
    EGEMAPS,
    JOINT,
    SVM,
    Labelled,
    adapt_classifier,
    fit_svm,
    fit_votes,
    votes,
)
from metaser_jax.adaptation.egemaps import by_speaker, find_in, functionals, read_functionals
from metaser_jax.adaptation.engine import draw
from metaser_jax.data.inputs import normalise, utterance_statistics
from metaser_jax.data.together import count_labelled, label_together, shape_of
from metaser_jax.errors import RecordingError
from metaser_jax.results.outcomes import Amount
from metaser_jax.specs import FinetuneSpec

AMOUNTS = [Amount("shots", 2), Amount("fraction", 0.5)]
SOURCES = ("a", "b")


def features(target, mode):
    corpus = normalise(target.corpus, mode, target.split.train)
    return utterance_statistics(corpus.mfcc, corpus.n_frames)


@pytest.mark.parametrize(("mode", "names"), [("corpus", ()), ("speaker", SOURCES)])
def test_the_machine_is_fitted_on_the_draw_and_the_sources_alone(finetune_config, mode, names):
    base = CORPORA["c"]
    loud = np.where(base.speaker == "s1", 5, 1)[:, None, None]  # the folds' statistics differ
    louder = dataclasses.replace(base, mfcc=base.mfcc * loud.astype(np.float32))
    config = finetune_config(init="svm", split="speaker", folds=3, normalise=mode, sources=names)
    folds, sources = load_target(config, lambda *_: louder), load_sources(config)
    joined = [Labelled(features(one, mode)[one.split.train], one.corpus.label[one.split.train]) for one in sources]
    outcomes = adapt_svm(config, folds, AMOUNTS, sources)
    cases = itertools.product(folds, AMOUNTS, range(config.seeds))
    for (target, amount, seed), found in zip(cases, outcomes, strict=True):
        row, x, y = found.row, features(target, mode), target.corpus.label
        assert (row["fold"], row["seed"], row[amount.kind]) == (target.split.fold[0], seed, amount.value)
        drawn, _ = draw(target, amount, config.validation, seed)  # as the networks draw
        assert row["n_train"] == len(drawn)
        machine = fit_svm(Labelled(x[drawn], y[drawn]), joined)
        np.testing.assert_array_equal(found.predicted, machine.predict(x[target.split.test]))
        np.testing.assert_array_equal(found.test, target.split.test)


def test_weights_of_the_machine():
    """The scaler's mean is the weighted one: emotions alike within a corpus, the sources a tenth of the draw."""
    clips = Labelled(np.array([[0.0], [0.0], [0.0], [8.0]]), np.array([0, 0, 0, 1]))
    assert fit_svm(clips)["scale"].mean_ == pytest.approx(4)
    source = Labelled(np.array([[10.0], [30.0]]), np.array([0, 1]))
    together = fit_svm(clips, [source])["scale"].mean_
    assert together == pytest.approx((4 * 1 + 20 * 0.1) / 1.1)
    assert fit_svm(clips, [source, source])["scale"].mean_ == pytest.approx(together), "all sources together"


@pytest.mark.parametrize(("voice", "shots"), [(False, 0), (False, 2), (True, 2)])
def test_joint_training_is_sklearns_on_the_sources_and_the_draw(finetune_config, voice, shots):
    how = {"features": "voice", "network": "perceptron", "normalise": "speaker"} if voice else {}
    config = finetune_config(init="joint", sources=SOURCES, shots=2, split="speaker", folds=2, **how)
    folds, sources, spec = load_target(config), load_sources(config), FinetuneSpec.of(config)
    # In the order of the utterances' classes and with weights of its own.
    x = np.concatenate([classifiers.features_of(one, spec.front_end) for one in sources])
    y = np.concatenate([one.corpus.label for one in sources])
    of = np.repeat(np.arange(2), [len(one.corpus) for one in sources])
    same = (of[:, None] == of) & (y[:, None] == y)
    share = 1 / (2 * 4 * same.sum(1))  # sources alike, and emotions alike within each
    part = classifiers.SHOTS_WEIGHT if shots else 0.0
    found = iter(adapt_classifier(JOINT, spec, folds, [Amount("shots", shots)], config.seeds, sources))
    for target, seed in itertools.product(folds, range(config.seeds)):
        here = classifiers.features_of(target, spec.front_end)
        assert here.shape[1] == (171 if voice else 140)
        drawn = draw(target, Amount("shots", shots), "none", seed)[0]
        own = np.full(len(drawn), part * len(x) / max(len(drawn), 1))
        rows = np.concatenate([x, here[drawn]]), np.concatenate([y, target.corpus.label[drawn]])
        model = LogisticRegression(C=classifiers.JOINT_C, max_iter=5000, tol=1e-8)
        model.fit(*rows, np.concatenate([share * len(x) * (1 - part), own]))
        one = next(found)
        agree = np.mean(one.predicted == model.predict(here[target.split.test]))
        assert agree > 0.97  # but for utterances on the border, since another order ends elsewhere
        assert (one.row["n_train"], one.row["start_size"]) == (4 * shots, x.size)
        assert one.row["macro_f1"] > 0.6


@pytest.mark.parametrize("method", [JOINT, SVM])
def test_clips_together_by_what_the_sources_say(finetune_config, method):
    how = {"features": "voice", "network": "perceptron", "normalise": "speaker"}
    config = finetune_config(init=method, sources=SOURCES, split="speaker", folds=2, **how)
    folds, sources, spec = load_target(config), load_sources(config), FinetuneSpec.of(config)
    run = functools.partial(adapt_classifier, method, spec, folds, [Amount("shots", 2)], 1)
    found, alone = run(sources, together=True), run(sources)
    assert [one.row.get("together", False) for one in found] == [False, True] * 2
    for number, target in enumerate(folds):
        np.testing.assert_array_equal(found[2 * number].predicted, alone[number].predicted)
        x, y = classifiers.features_of(target, spec.front_end), target.corpus.label
        drawn, test = draw(target, Amount("shots", 2), "none", 0)[0], target.split.test
        of = [(classifiers.features_of(one, spec.front_end), one.corpus) for one in sources]
        machine = classifiers.FITS[method](Labelled(x[drawn], y[drawn]), [Labelled(z, c.label) for z, c in of])
        answer = machine.predict_log_proba if method == JOINT else machine.decision_function
        known = shape_of([(z, c.label, c.speaker) for z, c in of], 4), count_labelled(x[drawn], y[drawn], 4)
        expected = label_together(x[test], target.corpus.speaker[test], answer, *known).posteriors.argmax(1)
        np.testing.assert_array_equal(found[2 * number + 1].predicted, expected)
    # What the clips alone say of a voice is no shape of sources.
    assert not any("together" in one.row for one in adapt_classifier(SVM, spec, folds, AMOUNTS, 1, together=True))


def test_the_perceptron_counts_the_linear_machines_votes():
    rng = np.random.default_rng(0)
    y = np.arange(60) % 4
    x = rng.normal(size=(60, 7)) + 2.0 * np.eye(7)[y]
    mean, std = x.mean(0), x.std(0)
    machine = SVC(kernel="linear", C=1.0, decision_function_shape="ovo").fit((x - mean) / std, y)
    margins = -machine.decision_function((x - mean) / std)  # scikit-learn's are above 0 for the first of the two
    counted = np.zeros((60, 4))
    for (i, j), margin in zip(itertools.combinations(range(4), 2), margins.T.clip(-1, 1), strict=True):
        counted[:, j] += margin
        counted[:, i] -= margin
    np.testing.assert_allclose(votes(fit_votes(Labelled(x, y), 4), x), counted, atol=1e-2)
    assert np.mean(counted.argmax(-1) == machine.predict((x - mean) / std)) > 0.9


def test_an_emotion_without_clips_is_never_said():
    x, y = np.eye(8)[np.arange(24) % 8], np.arange(24) % 8 % 3
    machine = fit_votes(Labelled(x, y), 4)
    assert set(votes(machine, x).argmax(-1)) == {0, 1, 2}
    assert (votes(machine, 100 * np.random.default_rng(0).normal(size=(99, 8))).argmax(-1) != 3).all()


@pytest.mark.parametrize(
    ("changes", "given", "said"),
    [
        ({}, {"lr", "adapt", "shots"}, "--init=svm: got --adapt, --lr,"),
        ({"init": "joint", "sources": ("a",)}, {"lr"}, "--init=joint: got --lr,"),
        ({"init": "scratch", "sources": ("a",)}, (), "--sources: got .'a',."),
        ({"init": "joint"}, (), r"--sources: got \(\)"),
        ({"sources": ("a", "c")}, (), "--sources: .* the target, c"),
        ({"sources": ("a", "a")}, (), "--sources: .* once"),
        ({"shots": 99}, (), "--shots=99"),
        ({"shots": 0}, (), "--shots=0"),
    ],
)
def test_flags_that_do_not_fit(finetune_config, tmp_path, changes, given, said):
    with pytest.raises(InputError, match=said):
        run_finetune(finetune_config(**{"init": "svm"} | changes), given=given)
    assert not any(tmp_path.iterdir())


def test_functionals_are_computed_once(tmp_path):
    corpus, asked = fake_corpus("c"), []

    def extract(sources):
        asked.append(sources)
        return (np.array([len(source), 1.0], np.float32) for source in sources)

    def read(digest, find=lambda name: {file: f"{name}/{file}" for file in corpus.file}, extract=extract):
        return read_functionals(corpus, digest, tmp_path / "kept", find, extract)

    first = read("digest")
    np.testing.assert_array_equal(read("digest"), first)
    assert asked == [[f"c/{file}" for file in corpus.file]]
    read("another")
    assert len(asked) == 2
    with pytest.raises(InputError, match=r"of c 48 of 48 are missing, angry/0000.wav first"):
        read("new", find=lambda name: {})
    with pytest.raises(RecordingError, match="a/1: empty"):
        read("new", extract=lambda sources: [RecordingError("a/1", "empty")])


def test_functionals_are_scaled_by_speaker(finetune_config):
    config = finetune_config(init="joint", sources=SOURCES, split="speaker", folds=2, seeds=1)
    folds, sources, seen = load_target(config), load_sources(config), {}
    for one in (folds[0].corpus, *(source.corpus for source in sources)):
        own = 100.0 * np.unique(one.speaker, return_inverse=True)[1]
        x = 1e-3 * (np.eye(4)[one.label] + 0.3 * np.random.default_rng(0).normal(size=(len(one), 4)))
        seen[one.name] = by_speaker(x + own[:, None], one.speaker)
        np.testing.assert_allclose(seen[one.name], by_speaker(x, one.speaker), atol=1e-3)
    amounts, hear = [Amount("shots", 0), Amount("shots", 3)], lambda one, *_: seen[one.corpus.name]
    for one in adapt_classifier(EGEMAPS, FinetuneSpec.of(config), folds, amounts, 1, sources, features=hear):
        assert one.row["method"] == "egemaps"
        assert one.row["macro_f1"] > 0.8


def test_recordings_are_found_in_the_first_folder_that_has_them(tmp_path):
    path = tmp_path / "second" / "xx" / "angry" / "s1" / "a.wav"
    path.parent.mkdir(parents=True)
    (tmp_path / "first").mkdir()
    path.write_bytes(b"")
    find = find_in([str(tmp_path / "first"), str(tmp_path / "second")], str(tmp_path))
    assert [Path(str(one)).name for one in find("folder/xx").values()] == ["a.wav"]
    with pytest.raises(InputError, match="--manual_dir: none has the recordings of folder/yy"):
        find("folder/yy")


def test_opensmile(tmp_path):
    pytest.importorskip("opensmile")
    soundfile.write(tmp_path / "a.wav", 0.3 * np.sin(2 * np.pi * 220 / 16000 * np.arange(16000)), 16000)
    x = functionals(str(tmp_path / "a.wav"))
    assert (x.shape, x.dtype) == ((88,), np.float32)
    assert x[0] == pytest.approx(12 * np.log2(220 / 27.5), abs=0.2)  # mean F0, semitones above 27.5 Hz
    with pytest.raises(RecordingError):
        functionals(str(tmp_path / "b.wav"))
