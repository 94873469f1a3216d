"""Adaptation for many amounts, seeds and folds: the same as one by one, one program, and what is refused."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fakes import fake_corpus
from sklearn.metrics import f1_score
from small_runs import adapt, load_target

from metaser_jax import InputError
from metaser_jax.adaptation import engine
from metaser_jax.adaptation.engine import draw
from metaser_jax.adaptation.starts import Init
from metaser_jax.data.together import count_labelled, label_together, shape_of
from metaser_jax.models.classifier import make_network, take_head, with_head
from metaser_jax.models.losses import cross_entropy
from metaser_jax.results.outcomes import Amount
from metaser_jax.specs import FinetuneSpec
from metaser_jax.training.loops.finetuning import Rows, finetune
from metaser_jax.training.trainer import make_optimizer
from metaser_jax.types import Batch

SCRATCH = Init(None, {"method": "scratch"})
NONE, TWO = Amount("shots", 0), Amount("shots", 2)
TRAINED = "from trained parameters"
AMOUNTS = (TWO, Amount("fraction", 0.5), Amount("fraction", 1.0))
OF_VOICE = {"network": "perceptron", "features": "voice", "normalise": "speaker", "members": 2}
# The fakes' levels differ by little.
INPUT = {"trim_db": 0.05, "deltas": True, "normalise": "auto", "input_statistics": True}


@pytest.fixture
def config(finetune_config):
    return finetune_config(split="speaker", folds=2, max_epochs=4, patience=2, hidden_dim=3)


def trained(config, seed) -> Init:
    x = np.zeros((1, config.rows, config.coefs), np.float32)
    return Init(make_network(config).init(jax.random.key(seed), x), {"method": "metaser", "init_seed": seed})


def same(outcomes, others):
    for got, want in zip(outcomes, others, strict=True):
        assert got.row | {"seconds": 0} == want.row | {"seconds": 0}
        np.testing.assert_array_equal(got.predicted, want.predicted)
        np.testing.assert_array_equal(got.test, want.test)


@pytest.mark.parametrize("folds", [0, 6])
@pytest.mark.parametrize("validation", ["split", "draw", "none"])
def test_draws_are_of_the_training_part(finetune_config, validation, folds):
    config = finetune_config(validation=validation, folds=folds, split="speaker" if folds else "random")
    for number, target in enumerate(load_target(config)):
        corpus, split = target.corpus, target.split
        assert split.fold == ((number, 6) if folds else None)
        train, valid = draw(target, Amount("shots", 4), validation, 0)
        assert set(train) <= set(split.train)
        assert not set(valid) & (set(split.test) | set(train))
        if folds:
            assert not set(corpus.speaker[[*train, *valid]]) & set(corpus.speaker[split.test])
        sizes = {"split": (16, len(split.valid)), "draw": (12, 4), "none": (16, 0)}
        assert (len(train), len(valid)) == sizes[validation]


def test_order_and_draws(config, capsys):
    folds = load_target(config)
    outcomes = adapt(config, [SCRATCH], folds, AMOUNTS)
    compiling, *lines = capsys.readouterr().out.splitlines()
    cases = [(fold, amount, seed) for fold in range(2) for amount in AMOUNTS for seed in range(2)]
    for (fold, amount, seed), got in zip(cases, outcomes, strict=True):
        row = got.row
        assert (row["fold"], row["seed"], row[amount.kind]) == (fold, seed, amount.value)
        assert row["n_train"] == len(draw(folds[fold], amount, config.validation, seed)[0])
        np.testing.assert_array_equal(got.test, folds[fold].split.test)
        label = folds[fold].corpus.label[got.test]
        assert row["macro_f1"] == pytest.approx(f1_score(label, got.predicted, labels=range(4), average="macro"))
        assert 1 <= row["best_epoch"] <= row["epochs"] <= config.max_epochs
    assert "12 runs" in compiling
    assert lines == ["Adapted to c: 12 of 12 runs."]
    assert outcomes[0].row["macro_f1"] != outcomes[1].row["macro_f1"], "two seeds are two draws"


@pytest.mark.parametrize(
    ("adapted", "by", "normalise"), [("all", "drawn", "corpus of the draw"), ("head", "train", "corpus")]
)
def test_all_at_once_as_each_alone(config, adapted, by, normalise):
    config = dataclasses.replace(config, adapt=adapted, normalise_by=by, lr=0.02)
    inits = [SCRATCH if adapted == "all" else trained(config, 0)]
    folds = load_target(config)
    together = adapt(config, inits, folds, AMOUNTS)
    same(together, [o for fold in folds for amount in AMOUNTS for o in adapt(config, inits, [fold], [amount])])
    same(together, adapt(dataclasses.replace(config, devices=1), inits, folds, AMOUNTS))
    fewer = adapt(dataclasses.replace(config, seeds=1), inits, folds, AMOUNTS)
    same([o for o in together if o.row["seed"] == 0], fewer)
    assert {o.row["normalise"] for o in together} == {normalise}


@pytest.mark.parametrize("how", [{}, OF_VOICE])
def test_seeds_take_turns_and_zero_shots_are_the_networks_own_predictions(config, how):
    config = dataclasses.replace(config, seeds=3, validation="none", **how)
    folds, inits = load_target(config), [trained(config, 5), trained(config, 6)]
    outcomes = adapt(config, inits, folds, [NONE, TWO])
    for outcome, fold, init in zip(outcomes[:3], folds[:1] * 3, [*inits, inits[0]], strict=True):
        assert (outcome.row["init_seed"], outcome.row["shots"]) == (init.source["init_seed"], 0)
        assert (outcome.row["n_train"], outcome.row["epochs"]) == (0, 0)
        x = fold.as_input(config.front_end).corpus.mfcc[fold.split.test]
        np.testing.assert_array_equal(outcome.predicted, make_network(config).apply(init.params, x).argmax(-1))
    with_scratch = adapt(config, [inits[0], SCRATCH], folds[:1], [TWO])
    same([with_scratch[2]], [outcomes[5]])


@pytest.mark.parametrize("how", [{}, INPUT])
def test_the_head_on_features_as_through_the_lstm(config, how):
    config = dataclasses.replace(config, adapt="head", lr=0.02, **how)
    folds, model = load_target(config), make_network(config)
    data = folds[1].as_input(config.front_end)
    x, y, test = data.corpus.mfcc, data.corpus.label, data.split.test
    init = Init(model.init(jax.random.key(5), x), {"method": "metaser"})
    drawn = draw(folds[1], TWO, config.validation, 0)
    ((logits, info, _),) = engine.train_and_predict(config, [init], folds, [engine.Case(1, TWO, 0, drawn)])

    def through_all(head, x):
        return model.apply(with_head(init.params, head), x)

    rows = [Rows(jnp.asarray(part), jnp.int32(len(part))) for part in drawn]
    limits = {name: getattr(config, name) for name in ("batch_size", "max_epochs", "patience")}
    tune = functools.partial(finetune, cross_entropy(through_all), optimizer=make_optimizer(config), **limits)
    key = jax.random.split(jax.random.key(0))[1]
    head, expected = jax.jit(tune)(take_head(init.params), key, Batch(jnp.asarray(x), jnp.asarray(y)), *rows)
    np.testing.assert_allclose(logits, through_all(head, x[test]), rtol=1e-4, atol=1e-5)
    assert np.abs(logits).max() > 0.01
    assert (info.best_epoch, info.epochs) == (expected.best_epoch, expected.epochs) != (0, 0)


def test_other_folds_seeds_and_methods_compile_nothing(config, monkeypatch):
    traces = []
    monkeypatch.setattr(engine, "finetune", lambda *of, **how: traces.append(1) or finetune(*of, **how))
    config = dataclasses.replace(config, hidden_dim=5)
    folds = load_target(config)
    adapt(config, [SCRATCH], folds[:1], AMOUNTS)
    first = len(traces)
    assert first > 0
    adapt(config, [trained(config, 0)], folds[1:], AMOUNTS[:1])
    adapt(dataclasses.replace(config, seeds=5), [trained(config, 1), trained(config, 2)], folds[:1], AMOUNTS[1:])
    assert len(traces) == first


@pytest.mark.parametrize(
    ("changes", "given", "said"),
    [
        ({}, [*AMOUNTS, Amount("shots", 99)], "--shots=99"),
        ({}, [Amount("fraction", 2)], "--fraction: got 2"),
        ({}, [NONE], "shots=0: got random"),
        ({"validation": "draw"}, [NONE, TRAINED], "--validation=draw: got --shots=0"),
        ({"normalise_by": "drawn"}, [NONE, TRAINED], "--normalise_by=drawn: got --shots=0"),
        ({"devices": 3}, [], "devices: got 3"),
        ({"lr": 1e30, "optimizer": "sgd", "validation": "none"}, [], r"--lr=1e\+30: .*shots=2, seed [01], fold [01]"),
    ],
)
def test_what_cannot_be_done(config, changes, given, said, monkeypatch):
    config = dataclasses.replace(config, **changes)
    inits = [trained(config, 0) if TRAINED in given else SCRATCH]
    amounts = [one for one in given if one is not TRAINED]
    if amounts:
        monkeypatch.setattr(engine, "train_and_predict", lambda *_: pytest.fail("it was trained"))
    with pytest.raises(InputError, match=said):
        adapt(config, inits, load_target(config), amounts or [TWO])


def test_clips_together_follow_each_result(config):
    config = dataclasses.replace(config, validation="none", **OF_VOICE)
    noisy = fake_corpus("c", per_emotion=30, seed=2, noise=3.0)
    folds, init = load_target(config, lambda *_: noisy), trained(config, 0)
    spec, classes = FinetuneSpec.of(config), len(config.emotions)
    source = folds[0].as_input(spec.front_end).corpus
    init = init._replace(shape=shape_of([(source.mfcc[:, 0], source.label, source.speaker)], classes))
    alone = engine.adapt(spec, [init], folds, [NONE, TWO], 2)
    found = engine.adapt(spec, [init], folds, [NONE, TWO], 2, together=True)
    same(found[::2], alone)
    for one, beside in zip(found[::2], found[1::2], strict=True):
        kept = ("seed", "shots", "fold", "n_test", "n_train", "method")
        assert {name: one.row[name] for name in kept} == {name: beside.row[name] for name in kept}
        assert (one.row.get("together"), beside.row["together"]) == (None, True)
        np.testing.assert_array_equal(one.test, beside.test)
    # By hand, of the second fold without shots and with.
    corpus, test = folds[1].as_input(spec.front_end).corpus, folds[1].split.test
    cases = engine.draw_cases(folds, [NONE, TWO], 2, "none")
    adapted = engine.train_and_predict(spec, [init], folds, cases, keep_params=True)
    for number in (4, 7):
        params, drawn = adapted[number].params, cases[number].drawn[0]

        def answer(x, params=params):
            return jax.nn.log_softmax(make_network(config).apply(params, x[:, None]))

        labelled = count_labelled(corpus.mfcc[drawn, 0], corpus.label[drawn], classes)
        of = corpus.mfcc[test, 0], corpus.speaker[test], answer, init.shape, labelled
        predicted = found[2 * number + 1].predicted
        np.testing.assert_array_equal(predicted, label_together(*of).posteriors.argmax(1))
        assert (predicted != found[2 * number].predicted).any()
    # Of a start without a shape nothing is known.
    same(engine.adapt(spec, [trained(config, 0)], folds, [NONE, TWO], 2, together=True), alone)
