"""A sweep: its members are runs of meta_train.py, whatever happens to it; what it writes, and refuses."""

import dataclasses
import json
import os
import signal
from pathlib import Path

import jax
import numpy as np
import pytest
from small_runs import load

from metaser_jax import InputError
from metaser_jax.adaptation.finetune import run_finetune
from metaser_jax.results.outcomes import read_scored
from metaser_jax.specs import JobSpec, MetaTrainSpec
from metaser_jax.specs.presets import FINETUNE
from metaser_jax.specs.programs import FinetuneConfig, SweepConfig
from metaser_jax.studies import sweep as study
from metaser_jax.training import cluster, meta_program, parallel
from metaser_jax.training.checkpoints import Checkpoints, to_host
from metaser_jax.training.meta_program import compile_program
from metaser_jax.training.meta_train import Member, load_groups, meta_train, train_groups
from metaser_jax.training.run import load_sources, part_of, training_utterances
from metaser_jax.training.trainer import make_trainer, no_utterances

COSTS = {"episodes_per_second", "host_peak_bytes", "device_peak_bytes"}


# Two settings, two seeds: four runs of 12 episodes in intervals of 4, on one device; all tests share its program.
SWEEP = {"data_dir": "data", "sources": ("a", "b"), "hidden_dim": 4, "pooling": "mean", "normalise": "corpus"}
SWEEP |= {"order": "first", "inner_lr": 0.1, "tasks_per_episode": 2, "shots": 2, "queries": 3, "devices": 1}
SWEEP |= {"episodes": 12, "log_every": 4, "checkpoint_every": 4, "seeds": 2, "grid": ("meta_lr=0.01,0.003",)}
# Two folds, two amounts and three draws for each setting.
ADAPTED = {"target": "c", "split": "speaker", "folds": 2, "adapt_shots": (2, 4), "draws": 3}


@pytest.fixture
def sweep_config(tmp_path):
    return lambda **changes: SweepConfig(**SWEEP | {"out": str(tmp_path / "out")} | changes)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """SWEEP and its runs, never interrupted."""
    config = SweepConfig(**SWEEP, out=str(tmp_path_factory.mktemp("sweep")))
    return config, train(config)


def members_of(config):
    return [
        Member(one.name, one.setting, MetaTrainSpec.of(one.config), one.config.run_dir) for one in config.grid_members
    ]


def train(config, **options):
    groups = load_groups(members_of(config), config.data_dir, load)
    trained = train_groups(groups, JobSpec.of(config), config.data_dir, **options)
    return [trained[member.name] for member in config.grid_members]


def state_at(episode, config):
    like = jax.eval_shape(lambda: make_trainer(config, no_utterances(config)).state)
    with Checkpoints(config.run_dir, read_only=True) as checkpoints:
        return to_host(checkpoints.restore(episode or checkpoints.latest(), like))


def lines(config):
    written = [json.loads(line) for line in (Path(config.run_dir) / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in COSTS} for line in written]


def assert_same_run(one, other):
    """Two configurations' runs: of the same numbers, bit for bit."""
    jax.tree.map(np.testing.assert_array_equal, state_at(None, one), state_at(None, other))
    assert lines(one) == lines(other)


def test_a_member_is_what_meta_train_makes_of_its_flags(whole, tmp_path, capsys):
    config, trained = whole
    names = ["meta_lr=0.01,seed=0", "meta_lr=0.01,seed=1", "meta_lr=0.003,seed=0", "meta_lr=0.003,seed=1"]
    assert [one.member.name for one in trained] == [path.name for path in map(Path, folders(config))] == names
    assert len({one.valid_query_loss for one in trained}) == 4
    member = config.grid_members[3].config
    assert (member.meta_lr, member.seed) == (0.003, 1)
    alone = dataclasses.replace(member, run_dir=str(tmp_path / "alone"))
    meta_train(alone, load=load)
    assert_same_run(member, alone)
    ours, theirs = (json.loads(Path(one.run_dir, "config.json").read_text()) for one in (member, alone))
    assert ours | {"run_dir": ""} == theirs | {"run_dir": ""}
    assert json.loads(Path(member.run_dir, "measured.json").read_text())["runs"] == 4
    meta_train(member, load=load)
    assert "has all its 12 episodes already" in capsys.readouterr().out
    assert train(config) == trained  # nothing is left to do


def folders(config):
    return [one.config.run_dir for one in config.grid_members]


def test_a_sweep_that_was_stopped_ends_as_one_that_was_not(whole, sweep_config, capsys):
    stopped, calls = sweep_config(), []

    def on_interval(line):
        calls.append(line)
        if len(calls) == 2:  # after the first interval
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(cluster.Preempted, match="The same command goes on"):
        train(stopped, on_interval=on_interval)
    for one in stopped.grid_members:
        assert [line["episode"] for line in lines(one.config)] == [4, 8]
    # As if killed between two members' checkpoints: each goes on from its own newest.
    with Checkpoints(folders(stopped)[1]) as checkpoints:
        checkpoints._put_aside(checkpoints.latest())
    resumed = train(stopped)
    assert "Going on from the checkpoint at episode 4, 8 of 12.\n" in capsys.readouterr().out
    assert [one[1:] for one in resumed] == [one[1:] for one in whole[1]]
    for one, other in zip(stopped.grid_members, whole[0].grid_members, strict=True):
        assert_same_run(one.config, other.config)


def test_a_run_that_diverges_stops_alone_and_is_named(whole, sweep_config):
    config = sweep_config(grid=("meta_lr=0.01,1e38",), **ADAPTED)
    with pytest.raises(InputError) as raised:
        study.run_sweep(config, "command", load=load)
    assert "2 of 4 runs could not go on" in str(raised.value)
    for name in ("meta_lr=1e+38,seed=0", "meta_lr=1e+38,seed=1"):
        assert f"{name}, kept up to episode 0: The update of episode 2 is not finite: " in str(raised.value)
    for one, other in zip(config.grid_members[:2], whole[0].grid_members[:2], strict=True):
        assert_same_run(one.config, other.config)
    found = json.loads(Path(config.out, "sweep.json").read_text())
    assert [line["chosen"] for line in found["settings"]] == [True, True, False]  # two amounts of the first
    assert found["settings"][2]["stopped_seeds"] == [0, 1]
    assert "Runs that could not go on" in Path(config.out, "report.md").read_text()
    assert {row.row["swept"]["meta_lr"] for row in read_scored(config.out)} == {0.01}


def test_results_have_the_swept_values_and_the_sources_choose(whole, sweep_config, tmp_path):
    config = sweep_config(runs=str(whole[0].folder_of_runs), **ADAPTED)
    report = study.run_sweep(config, "the command", load=load)
    rows = [one.row for one in read_scored(config.out)]
    assert len(rows) == 2 * 2 * 2 * 3  # settings, shots, folds, draws
    assert {row["swept"]["meta_lr"] for row in rows} == {0.01, 0.003}
    assert all(row["init_seed"] == row["seed"] % 2 for row in rows)
    losses = {(one.member.setting["meta_lr"], one.member.spec.seed): one.valid_query_loss for one in whole[1]}
    assert all(row["init_valid_query_loss"] == losses[row["swept"]["meta_lr"], row["init_seed"]] for row in rows)
    settings = json.loads(Path(config.out, "sweep.json").read_text())["settings"]
    means = {line["setting"]["meta_lr"]: line["valid_query_loss"] for line in settings}
    assert means == {rate: pytest.approx(np.mean([losses[rate, 0], losses[rate, 1]])) for rate in means}
    assert {line["setting"]["meta_lr"] for line in settings if line["chosen"]} == {min(means, key=means.get)}
    text = report.with_suffix(".md").read_text()
    assert "the command" in text
    of_target = [row for row in rows if row["swept"] == {"meta_lr": 0.003} and row["shots"] == 4]
    draws = [np.mean([row["macro_f1"] for row in of_target if row["seed"] == seed]) for seed in range(3)]
    assert f"{np.mean(draws):.3f} ± {np.std(draws, ddof=1):.3f}" in text

    place = {"data_dir": "data", "target": "c", "split": "speaker", "folds": 2, "shots": 4, "seeds": 1, "devices": 1}
    by_hand = FinetuneConfig(**FINETUNE["recommended"] | place, init=folders(config)[2], out=str(tmp_path / "by_hand"))
    first = [r for r in rows if (r["swept"], r["shots"], r["seed"]) == ({"meta_lr": 0.003}, 4, 0)]
    assert [row["macro_f1"] for row in run_finetune(by_hand, load=load)] == [row["macro_f1"] for row in first]

    with pytest.raises(InputError, match=r"another configuration: draws \(was 3, now 4\)"):
        study.run_sweep(dataclasses.replace(config, draws=4), "command", load=load)


@pytest.mark.parametrize(("runs", "at_once"), [(3, 2), (1, 1)], ids=["at once, one to fill up", "tasks of one run"])
def test_two_devices_make_the_same_runs(runs, at_once, whole):
    configs = [dataclasses.replace(one.config, devices=2) for one in whole[0].grid_members[:runs]]
    ready = load_sources(configs[0], "data", load)
    states = [make_trainer(one, training_utterances(ready)).state for one in configs]
    program, _ = compile_program(configs, states, ready, at_once=at_once)
    after, info = program.interval(program.states, [4] * runs)
    assert np.asarray(after.episode)[:runs].tolist() == [4] * runs
    losses = np.asarray(program.validate(after, info))
    for i, config in enumerate(configs):
        state = part_of(to_host(after), i)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-6), state, state_at(4, config))
        line = lines(config)[0]
        found = {name: float(value[i]) for name, value in info._asdict().items() if name != "finite"}
        found |= {"episode": 4, "valid_query_loss": float(losses[i])}
        assert found == pytest.approx(line, rel=1e-4)


def test_what_a_program_cannot_be_given_makes_another(sweep_config):
    config = sweep_config(grid=("inner_lr=0.1,0.2", "meta_lr=0.01,0.1", "split_seed=0,1", "deltas=false,true"))
    groups = load_groups(members_of(config), "data", load)
    settings = [(len(g.members), g.members[0].spec.split_seed, g.members[0].spec.deltas) for g in groups]
    assert settings == [(8, 0, False), (8, 0, True), (8, 1, False), (8, 1, True)]
    assert len({group.ready[0].split.digest for group in groups}) == 2
    with pytest.raises(InputError, match="of each emotion"):
        load_groups(members_of(sweep_config(grid=("queries=3,30",))), "data", load)


def test_too_many_runs_for_the_memory_are_an_error(monkeypatch):
    program = jax.jit(lambda x: x + 1).lower(np.zeros(100, np.float32)).compile()
    mesh = parallel.run_mesh(4, 2, 2)
    meta_program.check_memory(program, 4, mesh)
    with pytest.raises(InputError, match="devices: got 3, expected at most the 2"):
        parallel.run_mesh(2, 2, 3)
    monkeypatch.setattr(meta_program.os, "sysconf", lambda name: 10)
    with pytest.raises(InputError, match=r"4 runs in one program need 1,600 bytes, and the host has 100\."):
        meta_program.check_memory(program, 4, mesh)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"grid": ("meta_lrs=1,2",)}, "--grid.*'meta_lrs'.*meta_lr"),
        ({"grid": ("meta_lr",)}, "--grid: got 'meta_lr'"),
        ({"grid": ("meta_lr=",)}, "--grid: got 'meta_lr='"),
        ({"grid": ("meta_lr=0.1,fast",)}, "'fast'"),
        ({"grid": ("shots=1,2.5",)}, "'2.5'"),
        ({"grid": ("deltas=maybe",)}, "'maybe'"),
        ({"grid": ("algorithm=maml,mamml",)}, "'mamml'.*'maml'"),
        ({"grid": ("meta_lr=0.1,-0.1",)}, "meta_lr=-0.1,seed=0: --meta_lr: got -0.1"),
        ({"grid": ("meta_lr=0.1,0.10",)}, "each value once"),
        ({"grid": ("meta_lr=0.1", "meta_lr=0.2")}, "meta_lr once"),
        ({"grid": ("seed=1,2",)}, "--seeds=N"),
        ({"grid": ("devices=1,2",)}, "'devices'"),
        ({"grid": ("sources=a,b",)}, "'sources'"),
        ({"meta_lr": -1.0}, "^--meta_lr: got -1.0"),
        ({"seeds": 0}, "--seeds: got 0"),
        ({"draws": 0}, "--draws: got 0"),
        ({"target": "a"}, "--target: got 'a', expected none of --sources=a,b"),
        ({"adapt_shots": (0,)}, "--adapt_shots"),
        ({"folds": 3}, "--folds: got 3, expected 0 without --split=speaker"),
        ({"coordinator_address": "a:1", "num_processes": 2, "process_id": 0}, "--num_processes: got 2, expected one"),
        ({"cluster": "slurm"}, "--num_processes: got 'slurm', expected one process"),
    ],
    ids=str,
)
def test_bad_flags(changes, message, sweep_config):
    with pytest.raises(InputError, match=message):
        sweep_config(**{"grid": ()} | changes)


def test_a_target_that_cannot_be_drawn_from_is_an_error_before_anything(sweep_config):
    config = sweep_config(target="c", adapt_shots=(4, 400))
    with pytest.raises(InputError, match="400"):
        study.run_sweep(config, "command", load=load)
    assert not Path(config.out).exists()
