"""A fine-tuning run: the lines it writes, where it starts, what it draws, and what it refuses."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from fakes import fake_corpus
from small_runs import load, load_target, meta_train, resolve, run_finetune

from metaser_jax import InputError
from metaser_jax.adaptation.engine import draw
from metaser_jax.data import splits
from metaser_jax.datasets.targets import load_targets
from metaser_jax.report import summarise, table
from metaser_jax.results.outcomes import Amount
from metaser_jax.training.checkpoints import Checkpoints

CONTRACT = {
    *("method", "sources", "target", "split", "split_digest", "shots", "fraction", "adapt", "seed", "macro_f1", "uar"),
    *("accuracy", "weighted_f1", "confusion", "n_test", "speaker_oracle_macro_f1"),
}


def test_from_scratch(finetune_config):
    config = finetune_config(max_epochs=60, patience=20)
    rows = run_finetune(config)
    written = [json.loads(line) for line in (Path(config.out) / "results.jsonl").read_text().splitlines()]
    assert written == rows
    assert [row["seed"] for row in rows] == [0, 1]
    for row in rows:
        assert row.keys() >= CONTRACT
        assert (row["method"], row["sources"], row["shots"], row["fraction"]) == ("scratch", [], 4, None)
        assert np.sum(row["confusion"]) == row["n_test"] == 36
        assert row["n_train"] == 16
        assert np.trace(row["confusion"]) / 36 == pytest.approx(row["accuracy"])
    assert rows[0]["confusion"] != rows[1]["confusion"] or rows[0]["best_epoch"] != rows[1]["best_epoch"]
    assert np.mean([row["macro_f1"] for row in rows]) > 0.5, "the fake corpora can be learned"
    assert run_finetune(config)[0] | {"seconds": 0} == rows[0] | {"seconds": 0}, "the same seed, the same line"


def test_from_a_run(train_config, finetune_config):
    meta_train(train_config(episodes=8))
    config = finetune_config(init=train_config().run_dir, hidden_dim=99, pooling="last", fraction=0.5, shots=None)
    with pytest.raises(InputError, match=r"--hidden_dim: got 99, but .* was trained with 4. Leave the flag out"):
        resolve(config, given={"hidden_dim"})
    resolved, init = resolve(config)
    assert (resolved.hidden_dim, resolved.pooling) == (4, "mean"), "the network is the checkpoint's"
    # How it was computed is not: a run of another machine, or from before a flag was there, will do.
    written = Path(config.init) / "config.json"
    saved = json.loads(written.read_text()) | {"recurrence": "kernel"}
    del saved["chunk"]
    written.write_text(json.dumps(saved))
    assert resolve(config, given={"recurrence"})[0].recurrence == "scan"
    with Checkpoints(config.init, read_only=True) as checkpoints:
        assert init.source["init_episode"] == checkpoints.best()
    rows = run_finetune(config)
    assert (rows[0]["method"], rows[0]["order"], rows[0]["sources"]) == ("metaser", "second", ["a", "b"])
    assert rows[0]["fraction"] == 0.5
    assert rows[0]["n_train"] == 34  # half of 67

    with pytest.raises(InputError, match="--target=a is one of the sources"):
        run_finetune(finetune_config(init=train_config().run_dir, target="a"))


@pytest.mark.parametrize("validation", ["split", "draw", "none"])
def test_draws_never_touch_the_test_part(finetune_config, validation):
    config = finetune_config(validation=validation)
    data = load_target(config)[0].as_input(config.front_end)
    for seed in range(5):
        train, valid = draw(data, Amount("shots", 4), validation, seed)
        assert not set(train) & set(valid)
        assert not (set(train) | set(valid)) & set(data.split.test)
        assert set(train) <= set(data.split.train)
    sizes = {"split": (16, len(data.split.valid)), "draw": (12, 4), "none": (16, 0)}
    assert (len(train), len(valid)) == sizes[validation]


def test_head_only_and_without_validation(finetune_config):
    rows = run_finetune(finetune_config(adapt="head", validation="none", split="speaker", max_epochs=3))
    assert [row["epochs"] for row in rows] == [3, 3]
    assert rows[0]["adapt"] == "head"
    assert not {"fold", "folds", "valid_by"} & rows[0].keys()


def test_folds(finetune_config):
    config = finetune_config(split="speaker", folds=3, max_epochs=3)
    loaded = []
    rows = run_finetune(config, load=lambda *args: loaded.append(args) or load(*args))
    assert len(loaded) == 1
    assert [json.loads(line) for line in (Path(config.out) / "results.jsonl").read_text().splitlines()] == rows
    assert [(row["fold"], row["seed"]) for row in rows] == [(fold, seed) for fold in range(3) for seed in range(2)]
    corpus = load("c", "data")
    of_fold = splits.speaker_folds(corpus, 3, config.split_seed)
    for row in rows:
        assert row.keys() >= CONTRACT
        assert (row["split"], row["folds"], row["valid_by"]) == ("speaker", 3, "speaker")
        fold = of_fold[row["fold"]]
        assert row["split_digest"] == fold.digest
        assert np.sum(row["confusion"], axis=1).tolist() == np.bincount(corpus.label[fold.test]).tolist()
    assert [sum(row["n_test"] for row in rows if row["seed"] == seed) for seed in range(2)] == [120, 120]
    (summary,) = summarise(rows)
    assert (summary.split, summary.folds, summary.seeds) == ("speaker", 3, (0, 1))
    assert summary.macro_f1.mean == pytest.approx(np.mean([row["macro_f1"] for row in rows]))
    draws = [np.mean([row["macro_f1"] for row in rows if row["seed"] == seed]) for seed in range(2)]
    assert summary.macro_f1.deviation == pytest.approx(np.std(draws, ddof=1))
    assert "speaker, 3 folds" in table([summary])
    assert "2 draws of 3 folds" in table([summary])
    again = run_finetune(config)
    assert [row | {"seconds": 0} for row in again] == [row | {"seconds": 0} for row in rows]


@pytest.mark.parametrize("validation", ["split", "draw", "none"])
def test_draws_of_a_fold_are_of_its_training_part(finetune_config, validation):
    config = finetune_config(split="speaker", folds=6, validation=validation)
    for fold, ready in enumerate(load_target(config)):
        data = ready.as_input(config.front_end)
        assert data.split.fold == (fold, 6)
        for seed in range(3):
            train, valid = draw(data, Amount("shots", 4), validation, seed)
            assert set(train) <= set(data.split.train)
            assert not set(train) & (set(data.split.valid) | set(data.split.test))
            assert not set(valid) & (set(data.split.test) | set(train))
            speakers = data.corpus.speaker
            assert not set(speakers[np.concatenate([train, valid])]) & set(speakers[data.split.test])


def test_normalisation_is_fitted_on_the_folds_training_part(finetune_config):
    config = finetune_config(split="speaker", folds=3)
    for ready in load_target(config):
        data = ready.as_input(config.front_end)
        real = np.arange(10) < data.corpus.n_frames[:, None]
        for part, mean_is_zero in ((data.split.train, True), (data.split.valid, False), (data.split.test, False)):
            mean = data.corpus.mfcc[part][real[part]].mean(0)
            assert (np.abs(mean).max() < 1e-5) == mean_is_zero


def test_what_a_later_fold_does_not_allow_is_an_error_before_anything_is_written(finetune_config):
    base = fake_corpus("c", per_emotion=14)
    speaker = np.where(np.arange(56) % 14 < 10, "much", "little")
    uneven = dataclasses.replace(base, speaker=speaker)
    config = finetune_config(split="speaker", folds=2, shots=5, split_seed=1)
    draw(
        load_target(config, lambda *_: uneven)[0], Amount("shots", 5), config.validation, 0
    )  # the first fold tests the one who says little
    with pytest.raises(InputError, match=r"--shots=5: the training part of c has 3 angry"):
        run_finetune(config, load=lambda *_: uneven)
    assert not Path(config.out).exists()


def test_folds_are_of_a_speaker_split():
    with pytest.raises(InputError, match="got a random split, expected a speaker split"):
        load_targets("c", "d", emotions=(), split_kind="random", split_seed=0, folds=3)


def test_out_may_not_hold_something_else(train_config, finetune_config, tmp_path):
    meta_train(train_config(episodes=4))
    run = Path(train_config().run_dir)
    before = (run / "config.json").read_text()
    with pytest.raises(InputError, match="holds a run of another configuration"):
        run_finetune(finetune_config(init=str(run), out=str(run)))
    assert (run / "config.json").read_text() == before
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="file cannot be made or written"):
        run_finetune(finetune_config(out=str(tmp_path / "file")))
    with pytest.raises(InputError, match="is not empty and holds no run"):
        run_finetune(finetune_config(out=str(tmp_path)))


def test_a_fine_tuning_that_diverges_is_an_error(finetune_config):
    with pytest.raises(InputError, match=r"--lr=1e\+30: fine-tuning on c diverged"):
        run_finetune(finetune_config(lr=1e30, optimizer="sgd", validation="none"))


def test_normalisation_is_fitted_on_the_training_part(finetune_config):
    config = finetune_config()
    data = load_target(config)[0].as_input(config.front_end)
    real = np.arange(10) < data.corpus.n_frames[:, None]
    for part, mean_is_zero in ((data.split.train, True), (data.split.test, False)):
        mean = data.corpus.mfcc[part][real[part]].mean(0)
        assert (np.abs(mean).max() < 1e-5) == mean_is_zero


def test_bad_init(finetune_config, tmp_path):
    with pytest.raises(InputError, match=r"is no run: config.json is missing"):
        run_finetune(finetune_config(init=str(tmp_path / "nowhere")))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match=r"config.json lacks .*sources"):
        run_finetune(finetune_config(init=str(tmp_path)))
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(InputError, match="got a JSON list, expected an object"):
        run_finetune(finetune_config(init=str(tmp_path)))
    (tmp_path / "config.json").write_text("not json")
    with pytest.raises(InputError, match="not JSON"):
        run_finetune(finetune_config(init=str(tmp_path)))


def test_a_run_without_its_checkpoint(finetune_config, train_config):
    meta_train(train_config(episodes=4))
    folder = Path(train_config().run_dir)
    (folder / "checkpoints").rename(folder / "elsewhere")
    with pytest.raises(InputError, match="holds no checkpoint"):
        run_finetune(finetune_config(init=str(folder)))
    (folder / "elsewhere").rename(folder / "checkpoints")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"hidden_dim": 5}))
    with pytest.raises(InputError, match=r"the checkpoint of episode 4 is of another network than config\.json says: "):
        run_finetune(finetune_config(init=str(folder)))
