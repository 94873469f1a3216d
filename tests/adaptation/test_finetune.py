"""Fine-tuning runs: the lines they write, where they start, their input, and what they refuse."""

import dataclasses
import itertools
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from fakes import fake_corpus
from small_runs import load, load_target, meta_train, pretrain, resolve, run_finetune

from metaser_jax import InputError
from metaser_jax.adaptation import engine
from metaser_jax.adaptation.engine import draw
from metaser_jax.adaptation.starts import Init
from metaser_jax.data import splits
from metaser_jax.datasets.targets import load_targets
from metaser_jax.models.frames import frame_mask, input_statistics
from metaser_jax.results.outcomes import PREDICTIONS, Amount, read_scored
from metaser_jax.results.rows import series
from metaser_jax.training.checkpoints import Checkpoints
from metaser_jax.training.pretrain import make_state
from metaser_jax.training.run import load_sources
from metaser_jax.training.trainer import make_trainer, no_utterances

CONTRACT = {
    *("method", "sources", "target", "split", "split_digest", "shots", "fraction", "adapt", "seed", "macro_f1", "uar"),
    *("accuracy", "weighted_f1", "confusion", "n_test", "speaker_oracle_macro_f1"),
}


@pytest.mark.parametrize(("init", "sources"), [("scratch", ()), ("svm", ()), ("joint", ("a", "b"))])
def test_rows_and_predictions(finetune_config, init, sources):
    config = finetune_config(init=init, sources=sources, max_epochs=60, patience=20)
    rows, out = run_finetune(config), Path(config.out)
    assert [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()] == rows
    saved = np.load(out / PREDICTIONS)
    right = saved["predicted"] == saved["label"][saved["utterance"]]
    for seed, row in enumerate(rows):
        assert row.keys() >= CONTRACT
        about = [row[name] for name in ("method", "sources", "shots", "fraction", "seed", "n_train")]
        assert about == [init, list(sources), 4, None, seed, 16]
        assert np.sum(row["confusion"]) == row["n_test"] == 36
        assert np.trace(row["confusion"]) / 36 == pytest.approx(row["accuracy"])
        assert right[saved["row"] == seed].mean() == pytest.approx(row["accuracy"])
    assert np.mean([row["macro_f1"] for row in rows]) > 0.5, "the fake corpora can be learned"
    assert run_finetune(config)[0] | {"seconds": 0} == rows[0] | {"seconds": 0}, "the same seed, the same line"


def test_from_a_run(train_config, finetune_config):
    meta_train(train_config(episodes=8))
    run = Path(train_config().run_dir)
    config = finetune_config(init=str(run), hidden_dim=99, pooling="last", fraction=0.5, shots=None)
    with pytest.raises(InputError, match="--hidden_dim: got 99"):
        resolve(config, given={"hidden_dim"})
    resolved, init = resolve(config)
    assert (resolved.hidden_dim, resolved.pooling) == (4, "mean"), "the network is the checkpoint's"
    # How it was computed is not: a run of another machine, or from before a flag was there, will do.
    saved = json.loads((run / "config.json").read_text()) | {"recurrence": "kernel"}
    del saved["chunk"]
    (run / "config.json").write_text(json.dumps(saved))
    assert resolve(config, given={"recurrence"})[0].recurrence == "scan"
    with Checkpoints(config.init, read_only=True) as checkpoints:
        assert init.source["init_episode"] == checkpoints.best()
    row, _ = run_finetune(config)
    assert (row["method"], row["order"], row["sources"]) == ("metaser", "second", ["a", "b"])
    assert (row["fraction"], row["n_train"]) == (0.5, 34), "half of 67"

    before = (run / "config.json").read_text()
    for changes, said in (({"target": "a"}, "--target=a "), ({"out": str(run)}, "another configuration")):
        with pytest.raises(InputError, match=said):
            run_finetune(finetune_config(init=str(run), **changes))
    assert (run / "config.json").read_text() == before
    (run / "config.json").write_text(json.dumps(saved | {"hidden_dim": 5}))
    with pytest.raises(InputError, match="another network"):
        run_finetune(finetune_config(init=str(run)))
    (run / "checkpoints").rename(run / "elsewhere")
    with pytest.raises(InputError, match="no checkpoint"):
        run_finetune(finetune_config(init=str(run)))


def test_clips_together(train_config, finetune_config):
    of_voice = {"network": "perceptron", "features": "voice", "normalise": "speaker", "members": 2}
    run = train_config(episodes=2, **of_voice)
    meta_train(run)
    config = finetune_config(init=run.run_dir, seeds=2, together="on")
    rows, out = run_finetune(config), Path(config.out)
    assert [row.get("together", False) for row in rows] == [False, True] * 2
    scored = read_scored(out)
    assert [series(one.row).together for one in scored] == [False, True] * 2
    assert [len(one.predicted) for one in scored] == [36] * 4
    off = run_finetune(dataclasses.replace(config, together="off", out=f"{out}_off"))
    assert [one["macro_f1"] for one in off] == [one["macro_f1"] for one in rows[::2]]
    # A run from before shapes were kept.
    (Path(run.run_dir) / "shape.npz").unlink()
    with pytest.raises(InputError, match=r"--together=on: what the sources of .* is not known"):
        run_finetune(dataclasses.replace(config, out=f"{out}_old"))
    old = run_finetune(dataclasses.replace(config, together="auto", out=f"{out}_old"))
    assert len(old) == 2


def test_folds(finetune_config):
    config = finetune_config(split="speaker", folds=3, max_epochs=3)
    loaded, corpus = [], load("c", "data")
    rows = run_finetune(config, load=lambda *args: loaded.append(args) or corpus)
    assert len(loaded) == 1
    of_fold = splits.speaker_folds(corpus, 3, config.split_seed)
    for row, (fold, seed) in zip(rows, itertools.product(range(3), range(2)), strict=True):
        assert row.keys() >= CONTRACT
        got = [row[name] for name in ("fold", "seed", "split", "folds", "valid_by", "split_digest")]
        assert got == [fold, seed, "speaker", 3, "speaker", of_fold[fold].digest]
        assert np.sum(row["confusion"], axis=1).tolist() == np.bincount(corpus.label[of_fold[fold].test]).tolist()
    assert sum(row["n_test"] for row in rows) == 2 * 120


def test_what_a_later_fold_does_not_allow_is_an_error_before_anything_is_written(finetune_config):
    speaker = np.where(np.arange(56) % 14 < 10, "much", "little")
    uneven = dataclasses.replace(fake_corpus("c", per_emotion=14), speaker=speaker)
    config = finetune_config(split="speaker", folds=2, shots=5, split_seed=1)
    # The first fold tests the one who says little.
    draw(load_target(config, lambda *_: uneven)[0], Amount("shots", 5), config.validation, 0)
    with pytest.raises(InputError, match="--shots=5"):
        run_finetune(config, load=lambda *_: uneven)
    assert not Path(config.out).exists()
    with pytest.raises(InputError, match="got a random split"):
        load_targets("c", "d", emotions=(), split_kind="random", split_seed=0, folds=3)


def test_places_that_cannot_be_used(finetune_config, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    for changes, said in (
        ({"init": str(tmp_path / "nowhere")}, "nowhere"),
        ({"init": str(tmp_path)}, "sources"),
        ({"out": str(tmp_path)}, str(tmp_path)),
        ({"out": str(tmp_path / "config.json")}, "config.json"),
    ):
        with pytest.raises(InputError, match=said):
            run_finetune(finetune_config(**changes))


# The fakes' levels differ by little.
INPUT = {"trim_db": 0.05, "deltas": True, "normalise": "auto", "input_statistics": True, "hidden_dim": 3}


def assert_standardises(params, x):
    statistics, constants = input_statistics(x, frame_mask(x), 20), params["params"]["standardise"]
    np.testing.assert_allclose(constants["shift"], statistics.mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(constants["scale"], np.maximum(statistics.std(0), 1e-2), rtol=1e-3, atol=1e-5)


def assert_only_the_constants_stayed(config, state_of, params_of):
    """Of a run, from the statistics of all its sources' training parts, which load in their order."""
    x = np.concatenate([one.corpus.mfcc[one.split.train] for one in load_sources(config, "data", load)])
    with Checkpoints(config.run_dir, read_only=True) as checkpoints:
        after = params_of(checkpoints.restore(checkpoints.latest(), state_of(config, no_utterances(config))))
    before = params_of(state_of(config, x))
    assert_standardises(before, x)
    moved = jax.tree.map(lambda a, b: bool(np.any(a != b)), before, after)["params"]
    assert not any(jax.tree.leaves(moved.pop("standardise")))
    assert all(jax.tree.leaves(moved))
    return x


def test_pre_training_leaves_the_constants_alone(pretrain_config):
    config = pretrain_config(**INPUT, optimizer="adamw", weight_decay=0.5, method="transser")
    pretrain(config)
    assert_only_the_constants_stayed(config, make_state, lambda state: state.params)


def test_from_sources_to_scores(train_config, finetune_config):
    trained = train_config(**INPUT, inner_lr=0.05, episodes=8, meta_optimizer="adamw", weight_decay=0.5)
    meta_train(trained)
    x = assert_only_the_constants_stayed(trained, lambda *of: make_trainer(*of).state, lambda state: state.meta_params)
    config = finetune_config(init=trained.run_dir, split="speaker", folds=2, seeds=1, max_epochs=5)
    resolved, init = resolve(config)
    assert (resolved.front_end, resolved.input_statistics) == (trained.front_end, True)
    assert_standardises(init.params, x)
    for flag, value in (("trim_db", 20.0), ("deltas", False), ("input_statistics", False), ("normalise", "corpus")):
        with pytest.raises(InputError, match=f"--{flag}: got {value!r}, but .* was trained with"):
            resolve(dataclasses.replace(config, **{flag: value}), given={flag})
    for adapted in ("all", "head"):
        rows = run_finetune(dataclasses.replace(config, adapt=adapted, out=f"{config.out}_{adapted}"))
        assert [(row["method"], row["adapt"], row["fold"]) for row in rows] == [("metaser", adapted, f) for f in (0, 1)]
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
        layers = result.params["params"] | {"standardise": of_first["standardise"]}
        jax.tree.map(np.testing.assert_array_equal, layers, of_first)
