"""The support vector machine: it learns, from the same draws as the networks, and says what it has no use for."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from fakes import fake_corpus
from small_runs import CORPORA, adapt_svm, load_sources, load_target, run_finetune

from metaser_jax import InputError
from metaser_jax.adaptation.classifiers import Labelled, fit_svm
from metaser_jax.adaptation.engine import draw
from metaser_jax.data.inputs import normalise, utterance_statistics
from metaser_jax.results.outcomes import PREDICTIONS, Amount, read_predictions

AMOUNTS = [Amount("shots", 2), Amount("shots", 4), Amount("fraction", 0.5)]


@pytest.fixture
def svm_config(finetune_config):
    return lambda **changes: finetune_config(**{"init": "svm"} | changes)


def test_rows(svm_config):
    config = svm_config()
    rows = run_finetune(config, given={"init", "target", "shots", "normalise", "out", "data_dir"})
    assert [json.loads(line) for line in (Path(config.out) / "results.jsonl").read_text().splitlines()] == rows
    for seed, row in enumerate(rows):
        assert (row["method"], row["sources"], row["shots"], row["seed"]) == ("svm", [], 4, seed)
        assert (row["n_train"], row["n_valid"], row["n_test"]) == (16, 0, 36)
        nothing = ("order", "adapt", "inner_steps", "best_epoch", "epochs", "validation")
        assert [row[name] for name in nothing] == [None] * len(nothing)
        assert 0 <= row["speaker_oracle_macro_f1"] <= 1
        assert row["macro_f1"] > 0.8, "the fake corpora can be learned"
    saved = read_predictions(Path(config.out) / PREDICTIONS)
    right = saved.predicted == saved.label[saved.utterance]
    assert [right[saved.row == i].mean() for i in range(2)] == pytest.approx([row["accuracy"] for row in rows])
    assert [row | {"seconds": 0} for row in run_finetune(config)] == [row | {"seconds": 0} for row in rows]


def features(ready, mode="corpus"):
    corpus = normalise(ready.corpus, mode, ready.split.train)
    return utterance_statistics(corpus.mfcc, corpus.n_frames)


def training_parts(sources, mode="corpus"):
    parts = [ready.split.train for ready in sources]
    return [
        Labelled(features(one, mode)[part], one.corpus.label[part]) for one, part in zip(sources, parts, strict=True)
    ]


@pytest.mark.parametrize("names", [(), ("a", "b")])
@pytest.mark.parametrize("mode", ["corpus", "speaker"])
def test_it_is_fitted_on_the_draw_and_the_sources_alone(svm_config, mode, names):
    """Predictions are those of a machine fitted on what draw_amount draws; so they are of no other labels."""
    base = CORPORA["c"]
    loud = np.where(base.speaker == "s1", 5, 1)[:, None, None]  # the folds' statistics differ
    louder = dataclasses.replace(base, mfcc=base.mfcc * loud.astype(np.float32))
    config = svm_config(split="speaker", folds=3, normalise=mode, sources=names)
    folds, sources = load_target(config, lambda *_: louder), load_sources(config)
    joined = training_parts(sources, mode)
    outcomes = iter(adapt_svm(config, folds, AMOUNTS, sources))
    for ready in folds:
        x, y = features(ready, mode), ready.corpus.label
        for amount in AMOUNTS:
            for seed in range(config.seeds):
                found = next(outcomes)
                row = found.row
                assert (row["fold"], row["seed"], row[amount.kind]) == (ready.split.fold[0], seed, amount.value)
                drawn, _ = draw(ready, amount, config.validation, seed)  # as the networks draw
                assert row["n_train"] == len(drawn)
                machine = fit_svm(Labelled(x[drawn], y[drawn]), joined)
                np.testing.assert_array_equal(found.predicted, machine.predict(x[ready.split.test]))
                np.testing.assert_array_equal(found.test, ready.split.test)
    assert next(outcomes, None) is None


def test_other_validation_is_the_same_draw(svm_config):
    """What a network holds out of its draw, the machine learns from."""
    folds = load_target(svm_config())
    by_split, held_out = (adapt_svm(svm_config(validation=v), folds, AMOUNTS[:1]) for v in ("split", "draw"))
    for one, other in zip(by_split, held_out, strict=True):
        assert one.row | {"seconds": 0} == other.row | {"seconds": 0}
    assert run_finetune(svm_config(validation="draw", shots=1))[0]["n_train"] == 4, "a network needs two"


def test_sources_join(svm_config):
    config = svm_config(sources=("a", "b"), seeds=1, shots=1)
    (row,) = run_finetune(config)
    assert (row["sources"], row["n_train"]) == (["a", "b"], 4)
    (target,) = load_target(config)
    drawn, _ = draw(target, Amount("shots", 1), config.validation, 0)
    clips = Labelled(features(target)[drawn], target.corpus.label[drawn])
    machine = fit_svm(clips, training_parts(load_sources(config)))
    assert len(machine["svc"].support_) > 4, "sources are learned from"


def test_weights():
    """The scaler's mean is the weighted one: emotions alike within a corpus, the sources a tenth of the draw."""
    clips = Labelled(np.array([[0.0], [0.0], [0.0], [8.0]]), np.array([0, 0, 0, 1]))
    assert fit_svm(clips)["scale"].mean_ == pytest.approx(4)
    source = Labelled(np.array([[10.0], [30.0]]), np.array([0, 1]))
    together = fit_svm(clips, [source])["scale"].mean_
    assert together == pytest.approx((4 * 1 + 20 * 0.1) / 1.1)
    twice = fit_svm(clips, [source, source])["scale"].mean_
    assert twice == pytest.approx(together), "all sources together"


def test_bad_input(svm_config, finetune_config, monkeypatch):
    with pytest.raises(
        InputError, match="--init=svm: got --adapt, --lr, which a support vector machine has no use for"
    ):
        run_finetune(svm_config(), given={"lr", "adapt", "shots"})
    assert not Path(svm_config().out).exists()
    with pytest.raises(InputError, match=r"--sources: got \('a',\), expected none without --init=svm or joint"):
        finetune_config(sources=("a",))
    with pytest.raises(InputError, match="expected none that is the target, c"):
        svm_config(sources=("a", "c"))
    with pytest.raises(InputError, match="each corpus once"):
        svm_config(sources=("a", "a"))
    with pytest.raises(InputError, match="--shots=99: the training part of c has"):
        run_finetune(svm_config(shots=99))
    config, folds = svm_config(), load_target(svm_config())
    for empty in ([], AMOUNTS), (folds, []):
        with pytest.raises(InputError, match="got none, expected at least one"):
            adapt_svm(config, *empty)
    with pytest.raises(InputError, match="got c, which is the target"):
        adapt_svm(config, folds, AMOUNTS, folds)
    two = dataclasses.replace(config, sources=("a",), emotions=("angry", "sad"))
    fewer = load_sources(two, lambda name, data_dir: fake_corpus(name))
    with pytest.raises(InputError, match="got a with angry, sad, expected the target's angry, happy"):
        adapt_svm(config, folds, AMOUNTS, fewer)
