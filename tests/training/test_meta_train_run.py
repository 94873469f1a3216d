"""A meta-training run: what it writes, that it repeats bit for bit, goes on where it stopped, and refuses."""

import dataclasses
import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from small_runs import CORPORA, Killed, killed_at, load, meta_train, pretrain

from metaser_jax import InputError
from metaser_jax.adaptation import starts
from metaser_jax.data.splits import split
from metaser_jax.models.classifier import make_network
from metaser_jax.models.losses import cross_entropy
from metaser_jax.specs import FinetuneSpec, MetaTrainSpec
from metaser_jax.specs.presets import META_TRAIN
from metaser_jax.training.checkpoints import Checkpoints, to_host
from metaser_jax.training.finished import pretrained
from metaser_jax.training.meta_program import banks, task_rule
from metaser_jax.training.run import load_sources
from metaser_jax.training.trainer import make_learner, make_trainer, no_utterances, run_keys

ADAMW = {"meta_optimizer": "adamw", "weight_decay": 0.1}
COSTS = {"episodes_per_second", "host_peak_bytes", "device_peak_bytes"}


def final_state(config):
    with Checkpoints(config.run_dir, read_only=True) as checkpoints:
        return checkpoints.restore(checkpoints.latest(), make_trainer(config, no_utterances(config)).state)


def metrics(config):
    return [json.loads(line) for line in (Path(config.run_dir) / "metrics.jsonl").read_text().splitlines()]


def test_a_run_repeats_and_goes_on_bit_for_bit(train_config, tmp_path, capsys):
    once, twice, stopped = (train_config(run_dir=str(tmp_path / name)) for name in ("once", "twice", "stopped"))
    meta_train(once)
    meta_train(twice)

    with pytest.raises(Killed):
        meta_train(stopped, on_interval=killed_at("episode", 8))
    assert int(final_state(stopped).episode) == 8
    with (Path(stopped.run_dir) / "metrics.jsonl").open("a") as file:
        file.write('{"episode": 12, "supp')  # what a kill may leave
    meta_train(stopped)
    assert "Going on from the checkpoint at episode 8 of 12" in capsys.readouterr().out

    for other in (twice, stopped):
        jax.tree.map(np.testing.assert_array_equal, to_host(final_state(once)), to_host(final_state(other)))
    assert [line["episode"] for line in metrics(stopped)] == [4, 8, 12]
    for line, other in zip(metrics(once), metrics(stopped), strict=True):
        assert {k: v for k, v in line.items() if k not in COSTS} == {k: v for k, v in other.items() if k not in COSTS}
    losses = {"support_loss", "query_loss_before", "query_loss_after", "query_loss_mean", "valid_query_loss"}
    assert metrics(once)[0].keys() == COSTS | losses | {"episode"}
    config = json.loads((Path(once.run_dir) / "config.json").read_text())
    assert config["order"] == "second"
    assert config["corpus_digests"].keys() == {"a", "b"}

    meta_train(once)
    assert "has all its 12 episodes already" in capsys.readouterr().out

    with pytest.raises(InputError, match=r"another configuration: inner_lr \(was 0.1, now 0.2\).*Give another folder"):
        meta_train(train_config(run_dir=once.run_dir, inner_lr=0.2))


@pytest.mark.parametrize(
    "flags",
    [
        {"algorithm": "anil", "order": "annealed", "anneal_episodes": 2, "devices": 1},
        {"algorithm": "meta_sgd", "inner_optimizer": "momentum", "inner_batch_size": 4, "hvp": "reverse_over_reverse"},
        {"algorithm": "layer_rates", "inner_steps": 2, "multi_step_episodes": 3, "over_tasks": "vmap", "chunk": 0},
        {"algorithm": "reptile", "inner_steps": 2, "inner_optimizer": "adam", **ADAMW},
        {"algorithm": "proto_maml", "inner_steps": 2, "multi_step_episodes": 3, "inner_optimizer": "momentum"},
        {"algorithm": "proto_meta_sgd", "order": "first", **ADAMW},
        {"algorithm": "cautious_proto_maml", "inner_steps": 2, "shots_mix": (0, 2), "meta_schedule": "cosine"},
        {"algorithm": "r2d2", "over_tasks": "vmap", "devices": 1},
        {"order": "first", "meta_optimizer": "sgd", "chunk": 3, "residuals": "recompute"},
    ],
    ids=lambda flags: flags.get("algorithm", "maml"),
)
def test_every_algorithm_by_its_flags(flags, train_config):
    config = train_config(episodes=4, **flags)
    meta_train(config)
    (line,) = metrics(config)
    assert line.pop("device_peak_bytes") is None  # not known of a CPU
    assert np.isfinite(list(line.values())).all()
    written = json.loads((Path(config.run_dir) / "config.json").read_text())
    assert written["method"] == ("metaser" if config.algorithm == "maml" else config.algorithm)
    before, after = make_trainer(config, no_utterances(config)).state.meta_params, final_state(config).meta_params
    if config.algorithm == "r2d2":  # whose own last layer is replaced
        before, after = (state._replace(params=take_body(state.params)) for state in (before, after))
    assert all(np.any(a != b) for a, b in zip(*map(jax.tree.leaves, (before, after)), strict=True))


def take_body(params):
    return {name: layer for name, layer in params["params"].items() if name != "output"}


VOICE = {"network": "perceptron", "features": "voice", "pooling": "last", "members": 2}


@pytest.mark.parametrize(
    "flags",
    [
        {"tasks_by": "speaker", "shots": 1, "feature_dropout": 0.1, **VOICE},
        {"query_speakers": "others", "shots_mix": (1, 2), "class_shift": 0.2, "corpus_shift": 1.0},
    ],
    ids=["speaker", "others"],
)
def test_tasks_by_their_flags(flags, train_config):
    config = train_config(episodes=4, devices=1, **flags)
    meta_train(config)
    (line,) = metrics(config)
    assert line["query_loss_mean"] > 0
    assert line["valid_query_loss"] > 0
    _, init = starts.resolve(config.run_dir, FinetuneSpec())
    assert init.source["init_episode"] == 4


@pytest.mark.parametrize("flags", [{"sources": ("a",)}, {"pool_sources": True}])
def test_one_source_has_no_directions(flags, train_config):
    config = train_config(corpus_shift=1.0, **flags)
    assert task_rule(config).corpus_shift == 0
    assert banks(config, load_sources(config, "data", load))[0].directions is None
    assert task_rule(train_config(corpus_shift=1.0)).corpus_shift == 1


def test_nothing_is_compiled_after_the_start(train_config):
    compiled, after = [], []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, *_, **__: compiled.append(event) if "backend_compile" in event else None
    )
    # Intervals of 4, 4 and 2 episodes.
    meta_train(train_config(episodes=10), on_interval=lambda line: after.append(len(compiled)))
    assert compiled
    assert len(set(after)) == 1
    assert len(after) == 3


def test_a_run_may_go_on_with_another_execution(train_config, capsys):
    config = train_config(episodes=8)
    with pytest.raises(Killed):
        meta_train(config, on_interval=killed_at("episode", 4))
    capsys.readouterr()
    meta_train(train_config(episodes=8, devices=1, chunk=2, over_tasks="vmap"))
    _, compiling, compiled, _ = capsys.readouterr().out.splitlines()
    assert "Compiling for 1 of 2 devices, cpu" in compiling
    assert "After that: 4 episodes of training." in compiling
    assert compiled.startswith("Compiled in")
    assert [line["episode"] for line in metrics(config)] == [4, 8]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"shots": 9, "queries": 5}, r"a has 11 angry.*b has 13 angry.*14 of each emotion"),
        ({"shots": 8, "tasks_by": "speaker"}, "a has 0, b has 0, expected at least 1 with 9 training clips"),
    ],
)
def test_too_few_utterances_are_an_error_before_anything_is_compiled(flags, message, train_config, tmp_path, capsys):
    with pytest.raises(InputError, match=message):
        meta_train(train_config(**flags))
    assert capsys.readouterr().out == ""
    assert not (tmp_path / "run").exists()


def broken(name, part):
    """A corpus some of whose utterances have a loss that is not finite, on every processor."""
    corpus = CORPORA[name]
    is_broken = np.isin(np.arange(len(corpus)), part)[:, None, None]
    return dataclasses.replace(corpus, mfcc=np.where(is_broken, np.float32(np.inf), corpus.mfcc))


VALID = split(CORPORA["b"], "random").valid
OF_A_TASK = r"episode [1-4] is not finite: the loss of task [01] \(b\)\. --skip_nonfinite.*lower --meta_lr"


@pytest.mark.parametrize(
    ("part", "message"),
    [(VALID, "validation loss is not finite after episode 4: nan"), (range(0, len(CORPORA["b"]), 3), OF_A_TASK)],
    ids=["validation", "update"],
)
def test_what_is_not_finite_stops_the_run_and_is_named(train_config, part, message):
    config = train_config(normalise="none", inner_lr=1e-3)
    with pytest.raises(InputError, match=message):
        meta_train(config, load=lambda name, _: broken(name, part) if name == "b" else CORPORA[name])
    assert metrics(config) == []


@pytest.mark.parametrize("preset", ["recommended", "lstm", "paper"])
def test_the_initial_state_is_that_of_the_network_op_by_op(preset):
    values = META_TRAIN[preset] | {"sources": ("a",), "seed": 4, "hidden_dim": 24}
    values.pop("init", None)  # random parameters are looked at
    spec = MetaTrainSpec(**values)
    x = np.random.default_rng(0).normal(size=(5, 1 if spec.features == "voice" else 12, spec.coefs)).astype(np.float32)
    got = make_trainer(spec, x).state.meta_params
    learner = make_learner(spec, cross_entropy(make_network(spec).apply))
    expected = learner.init(make_network(spec).init(run_keys(spec)[0], x))
    assert all(jax.tree.leaves(jax.tree.map(lambda a, b: a.tobytes() == b.tobytes(), *map(to_host, (got, expected)))))


def test_it_starts_from_the_parameters(train_config, pretrain_config, tmp_path, capsys):
    run = str(pretrain(pretrain_config(sources=("a",), max_epochs=2)))
    config = train_config(init=run, episodes=4)
    start = pretrained(run, MetaTrainSpec.of(config))
    states = [make_trainer(train_config(init=run, seed=s), no_utterances(config), start.params).state for s in (0, 1)]
    for state in states:
        jax.tree.map(np.testing.assert_array_equal, state.meta_params, start.params)
    assert not np.array_equal(*(jax.random.key_data(state.key) for state in states))

    meta_train(config)
    written = json.loads(Path(config.run_dir, "config.json").read_text())
    assert written["init_digest"] == start.digest
    moved = shutil.move(run, tmp_path / "moved")
    meta_train(train_config(init=str(moved), episodes=4))
    assert "has all its 4 episodes already" in capsys.readouterr().out
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


def test_its_start_is_trained_first(train_config, tmp_path, capsys):
    config = train_config(init="multiser", episodes=4, seed=3)
    meta_train(config)
    run = Path(f"{config.run_dir}_multiser")
    written = json.loads((run / "config.json").read_text())
    same = ("sources", "seed", "hidden_dim", "pooling", "split_seed", "learn_from")
    assert [written[name] for name in same] == [["a", "b"], 3, 4, "mean", 0, "train"]
    assert (written["method"], written["label_smoothing"]) == ("multiser", 0.1)
    found = json.loads(Path(config.run_dir, "config.json").read_text())
    assert found["init_digest"] == pretrained(str(run), MetaTrainSpec.of(config)).digest

    capsys.readouterr()
    meta_train(config)
    first, *_, last = capsys.readouterr().out.splitlines()
    assert "has finished already" in first
    assert "has all its 4 episodes already" in last
    job = {"coordinator_address": "a:1", "num_processes": 2, "process_id": 0, "run_dir": str(tmp_path / "other")}
    with pytest.raises(InputError, match=r"--init=multiser: got a job of several processes"):
        meta_train(train_config(init="multiser", **job))
    assert not (tmp_path / "other").exists()
