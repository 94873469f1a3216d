"""A pre-training run: what it writes, that it goes on bit for bit, what is fine-tuned from it, and what it refuses."""

import json
import math
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_runs import Killed, killed_at, load, pretrain, resolve, run_finetune

from metaser_jax import Batch, InputError, cross_entropy
from metaser_jax.models.classifier import make_network
from metaser_jax.training import pretrain as pretrain_module
from metaser_jax.training.checkpoints import Checkpoints
from metaser_jax.training.pretrain import make_state
from metaser_jax.training.run import load_sources, training_utterances
from metaser_jax.training.sampling.episodes import dropped
from metaser_jax.training.trainer import make_trainer, no_utterances

COSTS = {"epochs_per_second", "host_peak_bytes", "device_peak_bytes"}
LINE = COSTS | {
    *("stage", "sources", "epoch", "total_epoch", "train_loss", "valid_loss", "best_epoch", "learning_rate"),
}


def last_state(config):
    with Checkpoints(config.run_dir, read_only=True) as checkpoints:
        return checkpoints.restore(checkpoints.latest(), make_state(config, no_utterances(config)))


def metrics(config):
    lines = [json.loads(line) for line in (Path(config.run_dir) / "metrics.jsonl").read_text().splitlines()]
    assert all(line.keys() == LINE for line in lines)
    return [{k: v for k, v in line.items() if k not in COSTS} for line in lines]


def run_until(config, total_epoch):
    """Runs until the checkpoint of an epoch is written, and the line after it is begun."""
    with pytest.raises(Killed):
        pretrain(config, on_interval=killed_at("total_epoch", total_epoch))
    with (Path(config.run_dir) / "metrics.jsonl").open("a") as file:
        file.write('{"stage": 0, "tr')


@pytest.mark.parametrize(("method", "stops"), [("transser", (4, 6, 8)), ("multiser", (2,))])
def test_a_run_goes_on_bit_for_bit(method, stops, pretrain_config, tmp_path, capsys):
    once = pretrain_config(method=method, run_dir=str(tmp_path / "once"))
    assert pretrain(once) == Path(once.run_dir)
    stages = [["a"], ["b"]] if method == "transser" else [["a", "b"]]
    assert (
        f"Finished: {6 * len(stages)} epochs, lowest validation loss of {' and '.join(stages[-1])}"
        in capsys.readouterr().out
    )
    assert [(line["stage"], line["sources"], line["epoch"], line["total_epoch"]) for line in metrics(once)] == [
        (stage, names, epoch, 6 * stage + epoch) for stage, names in enumerate(stages) for epoch in (2, 4, 6)
    ]
    assert metrics(once)[-1]["train_loss"] < metrics(once)[0]["train_loss"]
    for stop in stops:  # within a stage, and between two
        stopped = pretrain_config(method=method, run_dir=str(tmp_path / f"stopped_{stop}"))
        run_until(stopped, stop)
        pretrain(stopped)
        assert f"Going on from the checkpoint at epoch {stop}" in capsys.readouterr().out
        assert metrics(stopped) == metrics(once)
        jax.tree.map(np.testing.assert_array_equal, last_state(once), last_state(stopped))

    config = json.loads((Path(once.run_dir) / "config.json").read_text())
    assert (config["method"], config["sources"]) == (method, ["a", "b"])
    assert config["corpus_digests"].keys() == config["split_digests"].keys() == {"a", "b"}
    pretrain(once)
    assert "has finished already" in capsys.readouterr().out
    with pytest.raises(InputError, match=r"another configuration: lr \(was 0.01, now 0.2\).*Give another folder"):
        pretrain(pretrain_config(method=method, run_dir=once.run_dir, lr=0.2))


def test_a_seed_has_the_initial_parameters_of_meta_training(pretrain_config, train_config):
    ours, theirs = (
        make_state(pretrain_config(seed=3), no_utterances(pretrain_config(seed=3))).params,
        make_trainer(train_config(seed=3), no_utterances(train_config(seed=3))).state.meta_params,
    )
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def test_a_stage_ends_early_and_the_next_follows(pretrain_config):
    config = pretrain_config(method="transser", lr=0.3, max_epochs=30, patience=2, checkpoint_every=30)
    pretrain(config)
    first, second = ([line for line in metrics(config) if line["stage"] == stage] for stage in (0, 1))
    assert first[-1]["epoch"] == first[-1]["best_epoch"] + 2 < 30
    state = last_state(config)
    assert second[-1]["total_epoch"] == int(state.total_epoch) == first[-1]["epoch"] + second[-1]["epoch"]
    assert int(state.best_epoch) == second[-1]["best_epoch"]


@pytest.mark.parametrize(
    "flags",
    [
        {"schedule": "cyclical", "base_lr": 1e-3, "half_cycle": 7, "devices": 1},
        {"schedule": "cosine", "half_cycle": 20, "learn_from": "all"},
        {"optimizer": "adamw", "weight_decay": 0.1, "chunk": 3},
        {"optimizer": "sgd", "chunk": 0, "batch_size": 8},
    ],
    ids=lambda flags: flags.get("optimizer", flags.get("schedule")),
)
def test_every_flag(flags, pretrain_config):
    config = pretrain_config(max_epochs=2, **flags)
    pretrain(config)
    (line,) = metrics(config)
    # b has 54 training utterances, more than a's 45; with the test part 83.
    steps = {(16, "train"): 2 * 4, (8, "train"): 2 * 7, (16, "all"): 2 * 6}[config.batch_size, config.learn_from] * 2
    last = steps - 1
    rate = {
        "cyclical": 1e-3 + 9e-3 * (1 - abs(last % 14 / 7 - 1)),  # half a cycle is 7 steps
        "cosine": 5e-3 * (1 + math.cos(math.pi * min(last / 20, 1))),
        "constant": config.lr,
    }[config.schedule]
    assert line["learning_rate"] == pytest.approx(rate, rel=1e-5, abs=1e-9)
    start, end = make_state(config, no_utterances(config)).params, last_state(config).best_params
    assert all(np.any(a != b) for a, b in zip(*map(jax.tree.leaves, (start, end)), strict=True))


def test_nothing_is_compiled_after_the_start_and_runs_share_a_program(pretrain_config, monkeypatch, tmp_path):
    compiled, after = [], []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, *_, **__: compiled.append(event) if "backend_compile" in event else None
    )

    config = pretrain_config(max_epochs=5, method="transser")
    pretrain(config, on_interval=lambda line: after.append(len(compiled)))
    assert compiled
    assert len(set(after)) == 1
    before = pretrain_module.compiled_epochs.cache_info()
    pretrain(pretrain_config(max_epochs=3, patience=1, seed=4, run_dir=str(tmp_path / "other")))
    now = pretrain_module.compiled_epochs.cache_info()
    assert (now.misses, now.hits) == (before.misses, before.hits + 1), "another method, seed and limits"


def test_dropout_and_smoothing_are_of_training_alone(pretrain_config, tmp_path):
    def run(name, augment=None, **flags):
        config = pretrain_config(lr=0.1, max_epochs=2, label_smoothing=0.9, run_dir=str(tmp_path / name), **flags)
        pretrain(config, augment=augment)
        return config

    config = run("flag", feature_dropout=0.5)
    params, (line,) = last_state(config).params, metrics(config)
    by_hand = run("by_hand", lambda key, x: dropped(key, x, 0.5))
    jax.tree.map(np.testing.assert_array_equal, params, last_state(by_hand).params)
    # The entropy of labels of which .9 are divided among four.
    assert line["train_loss"] > -(0.325 * np.log(0.325) + 3 * 0.225 * np.log(0.225))
    loss = cross_entropy(make_network(config).apply)
    losses = [
        loss(params, Batch(*(jnp.asarray(a[one.split.valid]) for a in (one.corpus.mfcc, one.corpus.label))))
        for one in load_sources(config, "data", load)
    ]
    assert line["valid_loss"] == pytest.approx(np.mean(losses), rel=1e-5)


def test_all_but_the_validation_part_is_learned_from(pretrain_config):
    train, everything = (load_sources(pretrain_config(learn_from=of), "data", load) for of in ("train", "all"))
    for one, of_all in zip(train, everything, strict=True):
        assert len(one.split.test) > 0
        np.testing.assert_array_equal(of_all.split.train, np.sort([*one.split.train, *one.split.test]))
        np.testing.assert_array_equal(of_all.split.valid, one.split.valid)
        assert len(of_all.split.test) == 0
        assert sorted([*of_all.split.train, *of_all.split.valid]) == list(range(len(of_all.corpus)))
    assert len(training_utterances(everything)) == sum(len(of.split.train) for of in everything)


def test_a_loss_that_is_not_finite_stops_the_run(pretrain_config):
    with pytest.raises(InputError, match=r"no longer finite in epoch 1 of a and b: .*lower --lr in another --run_dir"):
        pretrain(pretrain_config(lr=1e30, optimizer="sgd"))


def test_fine_tuning_from_it(pretrain_config, finetune_config):
    config = pretrain_config(method="transser", lr=0.3, max_epochs=20, patience=3, seed=5)
    pretrain(config)
    state = last_state(config)
    assert int(state.best_epoch) < int(state.epoch)
    tune = finetune_config(init=config.run_dir, adapt="head", hidden_dim=99)
    resolved, init = resolve(tune)
    assert resolved.hidden_dim == 4
    jax.tree.map(np.testing.assert_array_equal, init.params, state.best_params)
    assert init.source == {
        "method": "transser",
        "order": None,
        "sources": ["a", "b"],
        "inner_steps": None,
        "init_episode": int(state.total_epoch) - int(state.epoch) + int(state.best_epoch),
        "init_seed": 5,
    }
    rows = run_finetune(tune)
    assert [(row["method"], row["adapt"], row["init_seed"]) for row in rows] == [("transser", "head", 5)] * 2

    with pytest.raises(InputError, match=r"--hidden_dim: got 99, but .* was trained with 4"):
        resolve(tune, given={"hidden_dim"})
    with pytest.raises(InputError, match="--target=a is one of the sources"):
        resolve(finetune_config(init=config.run_dir, target="a"))


def test_an_unfinished_run_is_not_fine_tuned_from(pretrain_config, finetune_config):
    config = pretrain_config(method="transser")
    run_until(config, 4)
    with pytest.raises(InputError, match=r"has not finished: its last checkpoint is at epoch 4 of a\. Run .*pretrain"):
        resolve(finetune_config(init=config.run_dir))
    shutil.rmtree(Path(config.run_dir) / "checkpoints" / "4")
    shutil.rmtree(Path(config.run_dir) / "checkpoints" / "2", ignore_errors=True)
    with pytest.raises(InputError, match="has not finished: its last checkpoint is at its start"):
        resolve(finetune_config(init=config.run_dir))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "lacks method"),
        ({"method": "multisr"}, "method in config.json: got 'multisr'.*Did you mean 'multiser'"),
        ({"method": ["metaser"]}, "method in config.json: got"),
        ({"method": "multiser"}, r"lacks .*patience"),
        ({"method": "metaser"}, r"lacks .*meta_lr"),
    ],
)
def test_config_json_of_no_known_run(content, message, finetune_config, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"sources": ["a"]} | content))
    with pytest.raises(InputError, match=message):
        resolve(finetune_config(init=str(tmp_path)))
