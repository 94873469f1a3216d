"""Meta-training that starts from a pre-training: its parameters, and which runs are refused."""

import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from small_runs import Killed, killed_at, meta_train, pretrain

from metaser_jax import InputError
from metaser_jax.specs import MetaTrainSpec
from metaser_jax.training.finished import pretrained
from metaser_jax.training.trainer import make_trainer, no_utterances


def test_it_starts_from_the_parameters(train_config, pretrain_config, tmp_path):
    run = str(pretrain(pretrain_config(sources=("a",), max_epochs=2), log=lambda line: None))
    config = train_config(init=run, episodes=4)
    start = pretrained(run, MetaTrainSpec.of(config))
    states = [make_trainer(train_config(init=run, seed=s), no_utterances(config), start.params).state for s in (0, 1)]
    for state in states:
        jax.tree.map(np.testing.assert_array_equal, state.meta_params, start.params)
    assert not np.array_equal(*(jax.random.key_data(state.key) for state in states))

    meta_train(config, log=lambda line: None)
    written = json.loads(Path(config.run_dir, "config.json").read_text())
    assert written["init_digest"] == start.digest
    moved = shutil.move(run, tmp_path / "moved")
    said = []
    meta_train(train_config(init=str(moved), episodes=4), log=said.append)
    assert "has all its 4 episodes already" in said[-1]
    with pytest.raises(InputError, match=r"another configuration: init_digest \(was '.*', now None\)"):
        meta_train(train_config(episodes=4))

    for changes, message in (
        ({"hidden_dim": 5}, r"--hidden_dim: got 5, but --init=.*moved was trained with 4\. Give the same"),
        ({"split_seed": 1}, "--split_seed: got 1, but --init"),
        ({"sources": ("b",)}, "has learned from a, which is not among --sources=b"),
        ({"init": config.run_dir}, "lacks batch_size"),
        ({"init": str(tmp_path)}, "is no run: config.json is missing"),
    ):
        with pytest.raises(InputError, match=message):
            meta_train(train_config(**{"init": str(moved), "run_dir": str(tmp_path / "other")} | changes))
    assert not (tmp_path / "other").exists()


def test_a_run_that_has_not_finished(train_config, pretrain_config):
    config = pretrain_config()
    with pytest.raises(Killed):
        pretrain(config, log=lambda line: None, on_interval=killed_at("total_epoch", 4))
    with pytest.raises(InputError, match="has not finished: its last checkpoint is at epoch"):
        meta_train(train_config(init=config.run_dir))


def test_its_start_is_trained_first(train_config, tmp_path):
    config = train_config(init="multiser", episodes=4, seed=3)
    meta_train(config, log=lambda line: None)
    run = Path(f"{config.run_dir}_multiser")
    written = json.loads((run / "config.json").read_text())
    same = ("sources", "seed", "hidden_dim", "pooling", "split_seed", "learn_from")
    assert [written[name] for name in same] == [["a", "b"], 3, 4, "mean", 0, "train"]
    assert (written["method"], written["label_smoothing"]) == ("multiser", 0.1)
    found = json.loads(Path(config.run_dir, "config.json").read_text())
    assert found["init_digest"] == pretrained(str(run), MetaTrainSpec.of(config)).digest

    said = []
    meta_train(config, log=said.append)
    assert "has finished already" in said[0]
    assert "has all its 4 episodes already" in said[-1]
    job = {"coordinator_address": "a:1", "num_processes": 2, "process_id": 0, "run_dir": str(tmp_path / "other")}
    with pytest.raises(InputError, match=r"--init=multiser: got a job of several processes"):
        meta_train(train_config(init="multiser", **job))
    assert not (tmp_path / "other").exists()
