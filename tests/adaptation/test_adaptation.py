"""Adaptation for many amounts, seeds and folds: the same as one by one, one program, and what is refused."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import f1_score
from small_runs import adapt, load_target

from metaser_jax import InputError
from metaser_jax.adaptation import engine
from metaser_jax.adaptation.engine import draw
from metaser_jax.adaptation.starts import Init
from metaser_jax.loops.finetuning import Rows, finetune
from metaser_jax.models.classifier import make_network, take_head, with_head
from metaser_jax.models.losses import cross_entropy
from metaser_jax.results.outcomes import Amount
from metaser_jax.training.trainer import make_optimizer
from metaser_jax.types import Batch

SCRATCH = Init(None, {"method": "scratch"})
AMOUNTS = (Amount("shots", 2), Amount("fraction", 0.5), Amount("fraction", 1.0))


@pytest.fixture
def config(finetune_config):
    return finetune_config(split="speaker", folds=2, max_epochs=4, patience=2, hidden_dim=3)


def trained(config, seed) -> Init:
    params = make_network(config).init(jax.random.key(seed), np.zeros((1, 10, 20), np.float32))
    return Init(params, {"method": "metaser", "init_seed": seed})


def same(outcomes, others):
    assert len(outcomes) == len(others)
    for got, want in zip(outcomes, others, strict=True):
        assert got.row | {"seconds": 0} == want.row | {"seconds": 0}
        np.testing.assert_array_equal(got.predicted, want.predicted)
        np.testing.assert_array_equal(got.test, want.test)


def test_order_and_draws(config):
    folds, lines = load_target(config), []
    outcomes = adapt(config, [SCRATCH], folds, AMOUNTS, lines.append)
    cases = [(fold, amount, seed) for fold in range(2) for amount in AMOUNTS for seed in range(2)]
    for (fold, amount, seed), got in zip(cases, outcomes, strict=True):
        row = got.row
        assert (row["fold"], row["seed"], row[amount.kind]) == (fold, seed, amount.value)
        assert row["n_train"] == len(draw(folds[fold], amount, config.validation, seed)[0])
        np.testing.assert_array_equal(got.test, folds[fold].split.test)
        assert len(got.predicted) == row["n_test"]
        label = folds[fold].corpus.label[got.test]
        assert row["macro_f1"] == pytest.approx(f1_score(label, got.predicted, labels=range(4), average="macro"))
        assert 1 <= row["best_epoch"] <= row["epochs"] <= config.max_epochs
    assert lines[0].startswith("Compiling for c: the first time about ten seconds")
    assert lines[0].endswith("After that: 12 runs of fine-tuning, 2 at a time.")
    assert lines[1:] == ["Adapted to c: 12 of 12 runs."]
    for one, other in zip(outcomes[::2], outcomes[1::2], strict=True):
        assert one.row["macro_f1"] != other.row["macro_f1"], "two seeds are two draws"


@pytest.mark.parametrize(("adapted", "init"), [("all", "scratch"), ("head", "trained")])
def test_all_at_once_as_each_alone(config, adapted, init):
    config = dataclasses.replace(config, adapt=adapted, lr=0.02)
    inits = [SCRATCH if init == "scratch" else trained(config, 0)]
    folds = load_target(config)
    together = adapt(config, inits, folds, AMOUNTS)
    same(together, [o for fold in folds for amount in AMOUNTS for o in adapt(config, inits, [fold], [amount])])
    same(together, adapt(dataclasses.replace(config, devices=1), inits, folds, AMOUNTS))
    fewer = adapt(dataclasses.replace(config, seeds=1), inits, folds, AMOUNTS)
    same([o for o in together if o.row["seed"] == 0], fewer)


def test_pre_training_seeds_take_turns(config):
    config = dataclasses.replace(config, seeds=3, folds=0, lr=1e-9)
    inits = [trained(config, 5), trained(config, 6)]
    (ready,) = load_target(config)
    outcomes = adapt(config, inits, [ready], AMOUNTS[:1])
    assert [o.row["init_seed"] for o in outcomes] == [5, 6, 5]
    data = ready.as_input(config.front_end)
    for outcome, init in zip(outcomes, [*inits, inits[0]], strict=True):
        logits = make_network(config).apply(init.params, data.corpus.mfcc[data.split.test])
        np.testing.assert_array_equal(outcome.predicted, np.argmax(logits, axis=-1))
    with_scratch = adapt(config, [inits[0], SCRATCH], [ready], AMOUNTS[:1])
    same([o for o in with_scratch if o.row["seed"] == 2], [outcomes[2]])


# The fakes' levels differ by little.
INPUT = {"trim_db": 0.05, "deltas": True, "normalise": "auto", "input_statistics": True}


@pytest.mark.parametrize("how", [{}, INPUT])
def test_the_head_on_features_as_through_the_lstm(config, how):
    config = dataclasses.replace(config, adapt="head", lr=0.02, **how)
    folds, model = load_target(config), make_network(config)
    data = folds[1].as_input(config.front_end)
    x, y, test = data.corpus.mfcc, data.corpus.label, data.split.test
    init = Init(model.init(jax.random.key(5), x), {"method": "metaser"})
    drawn = draw(folds[1], AMOUNTS[0], config.validation, 0)
    case = engine.Case(1, AMOUNTS[0], 0, drawn)
    ((logits, info, _),) = engine.train_and_predict(config, [init], folds, [case])

    def through_all(head, x):
        return model.apply(with_head(init.params, head), x)

    rows = [Rows(jnp.asarray(part), jnp.int32(len(part))) for part in drawn]
    limits = {name: getattr(config, name) for name in ("batch_size", "max_epochs", "patience")}
    tune = functools.partial(finetune, cross_entropy(through_all), optimizer=make_optimizer(config), **limits)
    key = jax.random.split(jax.random.key(0))[1]
    head, expected = jax.jit(tune)(take_head(init.params), key, Batch(jnp.asarray(x), jnp.asarray(y)), *rows)
    np.testing.assert_allclose(logits, through_all(head, x[test]), rtol=1e-4, atol=1e-5)
    assert np.abs(logits).max() > 0.01
    assert (info.best_epoch, info.epochs) == (expected.best_epoch, expected.epochs)
    assert info.epochs > 0


def test_other_folds_seeds_and_methods_compile_nothing(config, monkeypatch):
    traces = []

    def traced(*args, **options):
        traces.append(1)
        return finetune(*args, **options)

    monkeypatch.setattr(engine, "finetune", traced)
    config = dataclasses.replace(config, hidden_dim=5)
    folds = load_target(config)
    adapt(config, [SCRATCH], folds[:1], AMOUNTS)
    first = len(traces)
    assert first > 0
    adapt(config, [SCRATCH], folds[1:], AMOUNTS)
    adapt(config, [trained(config, 0)], folds[:1], AMOUNTS[:1])
    adapt(dataclasses.replace(config, seeds=5), [trained(config, 1), trained(config, 2)], folds[:1], AMOUNTS[1:])
    assert len(traces) == first


def test_what_cannot_be_drawn_is_an_error_before_anything_is_trained(config, monkeypatch):
    monkeypatch.setattr(engine, "train_and_predict", lambda *_: pytest.fail("it was trained"))
    folds = load_target(config)
    with pytest.raises(InputError, match=r"--shots=99: the training part of c has"):
        adapt(config, [SCRATCH], folds, [*AMOUNTS, Amount("shots", 99)])
    with pytest.raises(InputError, match="--fraction: got 2, expected"):
        adapt(config, [SCRATCH], folds, [Amount("fraction", 2)])
    with pytest.raises(InputError, match="amount: got 'shot', expected one of: fraction, shots"):
        adapt(config, [SCRATCH], folds, [Amount("shot", 2)])
    for nothing in ("inits", "folds", "amounts"):
        given = {"inits": [SCRATCH], "folds": folds, "amounts": AMOUNTS} | {nothing: []}
        with pytest.raises(InputError, match=f"{nothing}: got none, expected at least one"):
            adapt(config, **given)


def test_divergence_is_named(config):
    config = dataclasses.replace(config, lr=1e30, optimizer="sgd", validation="none")
    message = r"--lr=1e\+30: fine-tuning on c diverged, with shots=2, seed [01], fold [01]. Lower it"
    with pytest.raises(InputError, match=message):
        adapt(config, [SCRATCH], load_target(config), AMOUNTS[:1])


def test_more_devices_than_there_are(config):
    with pytest.raises(InputError, match="devices: got 3, expected at most the 2 that there are"):
        adapt(dataclasses.replace(config, devices=3), [SCRATCH], load_target(config), AMOUNTS[:1])
