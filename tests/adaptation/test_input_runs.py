"""Runs with a trimmed input, changes, normalisation by what speakers allow and statistics: from sources to scores."""

import dataclasses
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_runs import adapt, load, load_target, meta_train, pretrain, resolve, run_finetune

from metaser_jax import InputError
from metaser_jax.adaptation import engine as adaptation
from metaser_jax.adaptation.engine import draw
from metaser_jax.adaptation.starts import Init
from metaser_jax.loops.finetuning import Rows, finetune
from metaser_jax.models.classifier import make_network
from metaser_jax.models.frames import frame_mask, input_statistics
from metaser_jax.models.losses import cross_entropy
from metaser_jax.results.outcomes import Amount
from metaser_jax.specs import OptimizerSpec
from metaser_jax.training.checkpoints import Checkpoints
from metaser_jax.training.pretrain import make_state
from metaser_jax.training.run import load_sources
from metaser_jax.training.trainer import init_params, make_optimizer, make_trainer, no_utterances
from metaser_jax.types import Batch

# The fakes' levels differ by little.
INPUT = {"trim_db": 0.05, "deltas": True, "normalise": "auto", "input_statistics": True, "hidden_dim": 3}
SCRATCH = Init(None, {"method": "scratch"})


def constants(params):
    return params["params"]["standardise"]


def assert_the_rest_moved(before, after):
    jax.tree.map(np.testing.assert_array_equal, constants(before), constants(after))
    moved = jax.tree.map(lambda a, b: bool(np.any(a != b)), before, after)["params"]
    assert not any(jax.tree.leaves(moved.pop("standardise")))
    assert all(jax.tree.leaves(moved))


def statistics_of(x):
    return np.asarray(input_statistics(x, frame_mask(x), 20))


def assert_standardises(params, x):
    statistics = statistics_of(x)
    np.testing.assert_allclose(constants(params)["shift"], statistics.mean(0), rtol=1e-4, atol=1e-5)
    expected = np.maximum(statistics.std(0), 1e-2)
    np.testing.assert_allclose(constants(params)["scale"], expected, rtol=1e-3, atol=1e-5)


def last(config, like):
    with Checkpoints(config.run_dir, read_only=True) as checkpoints:
        return checkpoints.restore(checkpoints.latest(), like)


def training_parts(config):
    """[n, time, coef] of all sources, which load in their order."""
    parts = [ready.corpus.mfcc[ready.split.train] for ready in load_sources(config, "data", load)]
    assert len(parts) == len(config.sources) == 2
    return np.concatenate(parts)


def assert_meta_training_left_them_alone(config):
    x = training_parts(config)
    assert x.shape[1:] == (10, 40)
    before = make_trainer(config, x).state.meta_params
    assert_standardises(before, x)
    assert_the_rest_moved(before, last(config, make_trainer(config, no_utterances(config)).state).meta_params)


def test_reptile_leaves_the_constants_alone(train_config):
    """It moves towards a mean of adapted parameters, here of a number that is no power of two."""
    config = train_config(
        **INPUT, algorithm="reptile", inner_steps=2, tasks_per_episode=3, inner_optimizer="adam", devices=1, episodes=4
    )
    meta_train(config, log=lambda line: None)
    assert_meta_training_left_them_alone(config)


def test_pre_training_leaves_the_constants_alone(pretrain_config):
    config = pretrain_config(**INPUT, optimizer="adamw", weight_decay=0.5, method="transser")
    pretrain(config, log=lambda line: None)
    x = training_parts(config)
    before, after = make_state(config, x).params, last(config, make_state(config, no_utterances(config))).params
    assert_standardises(before, x)
    assert_the_rest_moved(before, after)


def test_fine_tuning_leaves_the_constants_alone(finetune_config):
    config = finetune_config(**INPUT)
    (ready,) = load_target(config)
    data = ready.as_input(config.front_end)
    model, x = make_network(config), data.corpus.mfcc[data.split.train]
    before = init_params(model, jax.random.key(0), x)
    rows = Rows(jnp.arange(64, dtype=jnp.int32), jnp.int32(len(x)))
    tune = jax.jit(
        lambda params: finetune(
            cross_entropy(model.apply),
            params,
            jax.random.key(0),
            Batch(jnp.asarray(x), jnp.asarray(data.corpus.label[data.split.train])),
            rows,
            None,
            optimizer=make_optimizer(OptimizerSpec(optimizer="adamw", lr=0.05, weight_decay=0.5)),
            max_epochs=3,
        )
    )
    assert_the_rest_moved(before, tune(before)[0])


def test_initial_parameters_differ_in_the_constants_alone(train_config):
    config = train_config(**INPUT)
    (a, b) = (
        make_trainer(config, np.random.default_rng(0).normal(shift, size=(9, 10, 40)).astype(np.float32))
        for shift in (0, 1)
    )
    a, b = (trainer.state.meta_params for trainer in (a, b))
    assert all(np.any(x != y) for x, y in zip(*map(jax.tree.leaves, (constants(a), constants(b))), strict=True))
    for params in (a, b):
        del params["params"]["standardise"]
    jax.tree.map(np.testing.assert_array_equal, a, b)


def test_from_sources_to_scores(train_config, finetune_config):
    trained = train_config(**INPUT, inner_lr=0.05, episodes=8, meta_optimizer="adamw", weight_decay=0.5)
    meta_train(trained, log=lambda line: None)
    assert_meta_training_left_them_alone(trained)
    config = finetune_config(init=trained.run_dir, split="speaker", folds=2, seeds=1, max_epochs=5)
    resolved, init = resolve(config)
    assert resolved.front_end == trained.front_end
    assert resolved.input_statistics
    assert_standardises(init.params, training_parts(trained))
    for flag, value in (("trim_db", 20.0), ("deltas", False), ("input_statistics", False), ("normalise", "corpus")):
        with pytest.raises(InputError, match=f"--{flag}: got {value!r}, but .* was trained with"):
            resolve(dataclasses.replace(config, **{flag: value}), given={flag})
    for adapted in ("all", "head"):
        rows = run_finetune(dataclasses.replace(config, adapt=adapted, out=f"{config.out}_{adapted}"))
        assert [(row["method"], row["adapt"], row["fold"]) for row in rows] == [("metaser", adapted, f) for f in (0, 1)]
        written = (Path(f"{config.out}_{adapted}") / "results.jsonl").read_text().splitlines()
        assert [json.loads(line) for line in written] == rows
        assert np.mean([row["macro_f1"] for row in rows]) > 0.4, "the fakes can be learned"


def cases_of(config, folds):
    amount = Amount("shots", 2)
    return [
        adaptation.Case(fold, amount, seed, draw(ready, amount, config.validation, seed))
        for fold, ready in enumerate(folds)
        for seed in range(config.seeds)
    ]


def test_scratch_has_statistics_of_its_folds_training_part(finetune_config):
    config = finetune_config(**INPUT, split="speaker", folds=3)
    folds, nothing = load_target(config), np.zeros(0, int)
    # With nothing to learn from the parameters stay as they begin.
    cases = [case._replace(drawn=(nothing, nothing)) for case in cases_of(config, folds)]
    results = adaptation.train_and_predict(config, [SCRATCH], folds, cases, keep_params=True)
    for case, result in zip(cases, results, strict=True):
        ready = folds[case.fold].as_input(config.front_end)
        assert_standardises(result.params, ready.corpus.mfcc[ready.split.train])
        of_first = results[case.seed].params["params"]
        for layer in ("lstm_1", "lstm_2", "hidden", "output"):
            jax.tree.map(np.testing.assert_array_equal, result.params["params"][layer], of_first[layer])


def test_normalised_by_the_draw_the_rest_of_the_training_part_does_not_matter(finetune_config):
    plain = {"normalise": "corpus", "validation": "none", "max_epochs": 4, "optimizer": "sgd", "lr": 0.1}
    config = finetune_config(**INPUT | plain)
    (ready,) = load_target(config)
    drawn = np.unique(np.concatenate([case.drawn[0] for case in cases_of(config, (ready,))]))
    others = np.setdiff1d(ready.split.train, drawn)
    louder = ready.corpus.mfcc.copy()
    louder[others] *= 10
    changed = ready._replace(corpus=dataclasses.replace(ready.corpus, mfcc=louder))
    for by, same in (("drawn", True), ("train", False)):
        one = dataclasses.replace(config, normalise_by=by)
        outcomes = [adapt(one, [SCRATCH], [folds], [Amount("shots", 2)]) for folds in (ready, changed)]
        equal = [np.array_equal(a.predicted, b.predicted) for a, b in zip(*outcomes, strict=True)]
        assert all(equal) if same else not all(equal)
        names = {"drawn": "corpus of the draw", "train": "corpus"}
        assert {outcome.row["normalise"] for outcome in outcomes[0]} == {names[by]}
