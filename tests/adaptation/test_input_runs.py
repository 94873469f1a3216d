"""Runs with a trimmed input, changes, normalisation by what speakers allow and statistics: from sources to scores."""

import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from small_runs import load, load_target, meta_train, pretrain, resolve, run_finetune

from metaser_jax import InputError
from metaser_jax.adaptation import engine
from metaser_jax.adaptation.starts import Init
from metaser_jax.models.frames import frame_mask, input_statistics
from metaser_jax.results.outcomes import Amount
from metaser_jax.training.checkpoints import Checkpoints
from metaser_jax.training.pretrain import make_state
from metaser_jax.training.run import load_sources
from metaser_jax.training.trainer import make_trainer, no_utterances

# The fakes' levels differ by little.
INPUT = {"trim_db": 0.05, "deltas": True, "normalise": "auto", "input_statistics": True, "hidden_dim": 3}


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


def test_pre_training_leaves_the_constants_alone(pretrain_config):
    config = pretrain_config(**INPUT, optimizer="adamw", weight_decay=0.5, method="transser")
    pretrain(config, log=lambda line: None)
    x = training_parts(config)
    before, after = make_state(config, x).params, last(config, make_state(config, no_utterances(config))).params
    assert_standardises(before, x)
    assert_the_rest_moved(before, after)


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


def test_scratch_has_statistics_of_its_folds_training_part(finetune_config):
    config = finetune_config(**INPUT, split="speaker", folds=3)
    folds, nothing = load_target(config), np.zeros(0, int)
    # With nothing to learn from the parameters stay as they begin.
    cases = [engine.Case(fold, Amount("shots", 2), seed, (nothing, nothing)) for fold in range(3) for seed in range(2)]
    results = engine.train_and_predict(config, [Init(None, {})], folds, cases, keep_params=True)
    for case, result in zip(cases, results, strict=True):
        ready = folds[case.fold].as_input(config.front_end)
        assert_standardises(result.params, ready.corpus.mfcc[ready.split.train])
        of_first = results[case.seed].params["params"]
        for layer in ("lstm_1", "lstm_2", "hidden", "output"):
            jax.tree.map(np.testing.assert_array_equal, result.params["params"][layer], of_first[layer])
