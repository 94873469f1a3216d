"""A fine-tuning run: the lines it writes, where it starts, and what it refuses."""

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
from metaser_jax.results.outcomes import Amount
from metaser_jax.training.checkpoints import Checkpoints

CONTRACT = {
    *("method", "sources", "target", "split", "split_digest", "shots", "fraction", "adapt", "seed", "macro_f1", "uar"),
    *("accuracy", "weighted_f1", "confusion", "n_test", "speaker_oracle_macro_f1"),
}


def written(config) -> list:
    return [json.loads(line) for line in (Path(config.out) / "results.jsonl").read_text().splitlines()]


def test_from_scratch(finetune_config):
    config = finetune_config(max_epochs=60, patience=20)
    rows = run_finetune(config)
    assert written(config) == rows
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
    rows = run_finetune(config)
    assert (rows[0]["method"], rows[0]["order"], rows[0]["sources"]) == ("metaser", "second", ["a", "b"])
    assert rows[0]["fraction"] == 0.5
    assert rows[0]["n_train"] == 34  # half of 67

    with pytest.raises(InputError, match="--target=a "):
        run_finetune(finetune_config(init=str(run), target="a"))
    before = (run / "config.json").read_text()
    with pytest.raises(InputError, match="another configuration"):
        run_finetune(finetune_config(init=str(run), out=str(run)))
    assert (run / "config.json").read_text() == before
    (run / "checkpoints").rename(run / "elsewhere")
    with pytest.raises(InputError, match="no checkpoint"):
        run_finetune(finetune_config(init=str(run)))
    (run / "elsewhere").rename(run / "checkpoints")
    (run / "config.json").write_text(json.dumps(saved | {"hidden_dim": 5}))
    with pytest.raises(InputError, match="another network"):
        run_finetune(finetune_config(init=str(run)))


def test_folds(finetune_config):
    config = finetune_config(split="speaker", folds=3, max_epochs=3)
    loaded = []
    rows = run_finetune(config, load=lambda *args: loaded.append(args) or load(*args))
    assert len(loaded) == 1
    assert written(config) == rows
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
    with pytest.raises(InputError, match="nowhere"):
        run_finetune(finetune_config(init=str(tmp_path / "nowhere")))
    for text, said in (("{}", "sources"), ("[]", "list"), ("not json", "JSON")):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(InputError, match=said):
            run_finetune(finetune_config(init=str(tmp_path)))
    (tmp_path / "config.json").rename(tmp_path / "file")
    for out in (tmp_path, tmp_path / "file"):
        with pytest.raises(InputError, match=str(out)):
            run_finetune(finetune_config(out=str(out), validation="none"))
    with pytest.raises(InputError, match=r"--lr=1e\+30"):
        run_finetune(finetune_config(lr=1e30, optimizer="sgd", validation="none"))
