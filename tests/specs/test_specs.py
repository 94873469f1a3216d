"""Specifications and flags: bad values are errors that name their flag, presets name real fields, machines err once."""

import dataclasses
import json
import math
import os

import pytest
from subprograms import python

from metaser_jax import InputError, specs
from metaser_jax.specs import ClusterSpec, FinetuneSpec, JobSpec, MetaTrainSpec, PretrainSpec, presets
from metaser_jax.specs.algorithms import ALGORITHMS
from metaser_jax.specs.base import help_texts
from metaser_jax.specs.commands import AdaptConfig, EvaluateConfig, ExportConfig, ServeConfig
from metaser_jax.specs.programs import (
    DemoConfig,
    FinetuneConfig,
    MetaTrainConfig,
    PrepareConfig,
    PretrainConfig,
    SweepConfig,
)
from metaser_jax.specs.studies import Figure2Config, UnseenConfig

TRAIN = {"data_dir": "d", "sources": ("a",), "run_dir": "r"}
PRE = TRAIN | {"method": "multiser"}
CYCLICAL = {"schedule": "cyclical", "base_lr": 1e-5, "lr": 1e-4, "half_cycle": 10}
TUNE = {"data_dir": "d", "init": "scratch", "target": "t", "out": "o", "shots": 5}
SWEEP = {"data_dir": "d", "sources": ("a",), "out": "o"}
JOB = {"coordinator_address": "host:1234", "num_processes": 2, "process_id": 0}
REQUIRED = {MetaTrainConfig: TRAIN, PretrainConfig: PRE, FinetuneConfig: TUNE, SweepConfig: SWEEP, ClusterSpec: {}}
REQUIRED |= {PrepareConfig: {"data_dir": "d"}, DemoConfig: {}, AdaptConfig: {"support": "c", "out": "o"}}
REQUIRED |= {EvaluateConfig: {"model": "m", "support": "c"}, ServeConfig: {"model": "m"}}
REQUIRED |= {ExportConfig: {"to": "npz", "out": "o"}, Figure2Config: {"data_dir": "d", "out": "o"}}
REQUIRED |= {UnseenConfig: {"data_dir": "d", "out": "o", "corpora": ("a", "b"), "manual_dir": ("m",)}}


def but(good, **change):
    """Return good values with a change, which comes first."""
    return change | good | change


# Each of these values is refused alone.
BAD = {
    MetaTrainConfig: [
        {"sources": (), "shots": 0, "inner_lr": 0.0, "meta_lr": -1.0, "checkpoint_every": 30, "emotions": ("angry",)},
        {"seed": -1, "recurrence": "interpret", "anneal_episodes": 5, "inner_batch_size": 7, "shots_mix": (1, 1)},
        {"class_shift": -1.0, "network": "both", "features": "tracks", "feature_dropout": 1.0, "chunk": -2},
        {"trim_db": -1.0, "members": 2, "track_groups": ("pitch",), "weight_decay": 0.1, "devices": -1},
        {"sources": ("a", "a"), "seed": 2**32, "class_shift": math.inf, "trim_db": math.nan, "features": "voice"},
        {"shots_mix": (-1, 5)},
    ],
    PretrainConfig: [
        {"sources": (), "lr": 0.0, "base_lr": 1e-5, "half_cycle": 9, "weight_decay": 0.1, "batch_size": 7},
        {"devices": 3, "patience": 0, "checkpoint_every": 7},
        {"devices": -1},
    ],
    FinetuneConfig: [
        {"split_seed": -1, "folds": 3, "shots": None, "sources": ("a",), "seeds": 0},
        {"shots": -1},
    ],
    Figure2Config: [{"fractions": (0.0,), "shots": (5, 5), "folds": 1}, {"fractions": (1.1,)}],
    UnseenConfig: [{"candidates": ("paper",), "corpora": ("a",)}],
    PrepareConfig: [{"corpora": ()}],
    DemoConfig: [{"shots": (0,)}, {"shots": ()}],
    AdaptConfig: [{"folds": 1, "repeats": 0, "lr": 0.0, "workers": -1, "optimizer": "sgdd"}],
    EvaluateConfig: [{"workers": -1}],
    ServeConfig: [{"max_upload_mb": 0, "max_clips": 0, "max_seconds": 0, "time_limit": 0}],
    ExportConfig: [{"model": None}],
    ClusterSpec: [
        {"heartbeat_timeout": 9, "start_timeout": 0, "coordinator_address": "host:1", "num_processes": 2},
        {"process_id": 0},
    ],
}
# Of these together, the first.
BAD_TOGETHER = {
    MetaTrainConfig: [
        {"anneal_episodes": 0, "order": "annealed"},
        {"multi_step_episodes": 9, "algorithm": "reptile"},
        {"inner_steps": 2, "algorithm": "r2d2"},
        {"tasks_by": "speaker", "pool_sources": True},
        {"query_speakers": "others", "tasks_by": "speaker"},
        {"inner_batch_size": 4, "shots_mix": (1, 5)},
        {"weight_decay": 0.0, "meta_optimizer": "adamw"},
    ],
    PretrainConfig: [
        but(CYCLICAL, base_lr=0.0),
        but(CYCLICAL, base_lr=1e-3),
        but(CYCLICAL, half_cycle=0),
        {"weight_decay": 0.0, "optimizer": "adamw"},
    ],
    FinetuneConfig: [
        {"folds": 1, "split": "speaker"},
        {"shots": 5, "fraction": 0.5},
        {"fraction": 1.5, "shots": None},
        {"init": "scratch", "shots": 0},
        {"sources": (), "init": "joint"},
        {"sources": ("t",), "init": "svm"},
        {"schedule": "cyclical", "optimizer": "inner"},
        {"adapt": "head", "optimizer": "learner", "validation": "none"},
        {"weight_decay": -0.1, "optimizer": "adamw"},
    ],
    PrepareConfig: [{"language": "Urdu", "corpora": ("urdu",)}, {"map": ("a=sad",), "corpora": ("urdu",)}],
    ExportConfig: [{"model": "m", "to": "start"}, {"init": "r", "model": "m"}],
    ClusterSpec: [
        but(JOB, cluster="auto"),
        but(JOB, coordinator_address="host"),
        but(JOB, coordinator_address="host:70000"),
        but(JOB, num_processes=-2),
        but(JOB, process_id=2),
    ],
}
ALONE = [(of, {name: value}) for of in BAD for values in BAD[of] for name, value in values.items()]
TOGETHER = [(of, values) for of in BAD_TOGETHER for values in BAD_TOGETHER[of]]


@pytest.mark.parametrize(("config", "values"), ALONE + TOGETHER)
def test_bad_values(config, values):
    flag, value = next(iter(values.items()))
    with pytest.raises(InputError) as error:
        config(**REQUIRED[config] | values)
    assert str(error.value).startswith(f"--{flag}: got {value!r}, expected ")


@pytest.mark.parametrize(
    ("config", "flag", "typo", "meant"),
    [
        (MetaTrainConfig, "emotions", ("angry", "hapy"), "happy"),
        (MetaTrainConfig, "algorithm", "mamml", "maml"),
        (MetaTrainConfig, "normalise", "speakers", "speaker"),
        (PretrainConfig, "method", "transer", "transser"),
        (ClusterSpec, "cluster", "slrum", "slurm"),
    ],
)
def test_a_mistyped_choice_is_guessed(config, flag, typo, meant):
    with pytest.raises(InputError, match=rf"^--{flag}: got .*{meant!r}\?$"):
        config(**REQUIRED[config] | {flag: typo})


@pytest.mark.parametrize(
    ("config", "settings"),
    [
        *((MetaTrainConfig, preset) for preset in (*presets.META_TRAIN.values(), presets.DEMO_META_TRAIN)),
        *((PretrainConfig, preset) for preset in presets.PRETRAIN.values()),
        *((SweepConfig, preset) for preset in presets.SWEEP.values()),
        *((FinetuneConfig, preset) for preset in (*presets.FINETUNE.values(), presets.DEMO_FINETUNE)),
    ],
)
def test_presets_are_valid(config, settings):
    assert settings.keys() <= {field.name for field in dataclasses.fields(config)}
    config(**REQUIRED[config] | settings)


def test_the_papers_numbers():
    paper = MetaTrainConfig(**TRAIN | presets.META_TRAIN["paper"])
    assert (paper.inner_lr, paper.meta_lr, paper.tasks_per_episode, paper.inner_steps) == (2e-4, 1e-6, 8, 1)
    assert (paper.shots, paper.queries, paper.episodes, paper.order) == (125, 10, 10_000, "second")
    assert (paper.hidden_dim, paper.pooling, paper.activation, paper.normalise) == (128, "last", "none", "none")
    baseline = FinetuneConfig(**TUNE | presets.FINETUNE["paper_baseline"])
    assert (baseline.schedule, baseline.base_lr, baseline.lr, baseline.adapt) == ("cyclical", 2e-5, 1e-4, "head")
    assert (baseline.batch_size, baseline.max_epochs, baseline.validation) == (64, 2500, "split")
    baseline = PretrainConfig(**PRE | presets.PRETRAIN["paper"])
    assert (baseline.schedule, baseline.base_lr, baseline.lr) == ("cyclical", 2e-5, 1e-4)
    assert (baseline.batch_size, baseline.max_epochs, baseline.pooling) == (64, 1000, "last")


def test_of_the_mix_of_shots_those_below_the_most_count():
    def drawn(**values):
        return MetaTrainConfig(**TRAIN | values).shots_drawn

    assert drawn() == drawn(shots=7) == ()
    assert drawn(shots_mix=(0, 1, 5, 10), shots=5) == (0, 1, 5)
    assert drawn(shots_mix=(0, 1), shots=5) == (0, 1, 5)
    assert drawn(shots_mix=(10, 0), shots=10) == (0, 10)


@pytest.mark.parametrize(
    ("spec", "config"),
    [(MetaTrainSpec, MetaTrainConfig), (PretrainSpec, PretrainConfig), (FinetuneSpec, FinetuneConfig)],
)
def test_a_configuration_is_a_specification_and_places(spec, config):
    whole = config(**REQUIRED[config], hidden_dim=3, devices=1)
    part = spec.of(whole)
    assert type(part) is spec
    assert dataclasses.asdict(part).items() <= dataclasses.asdict(whole).items()
    assert not {"data_dir", "run_dir", "out", "init", "target"} & dataclasses.asdict(part).keys()
    assert spec.of(whole, hidden_dim=5) == dataclasses.replace(part, hidden_dim=5)
    assert (specs.NetworkSpec.of(part), part.front_end) == (specs.NetworkSpec(hidden_dim=3), specs.FrontEnd())
    assert help_texts(spec).items() <= help_texts(config).items()
    assert all(help_texts(config)[field.name] for field in dataclasses.fields(config))


def test_how_a_run_is_computed_is_not_what_it_is():
    how = {"devices", "over_tasks", "chunk", "hvp", "residuals", "recurrence", "skip_nonfinite"}
    assert set(specs.how_fields(MetaTrainSpec)) == how
    assert set(specs.how_fields(PretrainSpec)) == {"devices", "chunk", "recurrence"}
    assert set(specs.how_fields(FinetuneSpec)) == {"devices", "recurrence"}
    assert set(specs.how_fields(JobSpec)) == {field.name for field in dataclasses.fields(JobSpec)}
    assert not specs.how_fields(specs.ModelSpec)
    assert ClusterSpec(**JOB | {"coordinator_address": "[::1]:1234"}).cluster == "none"


def test_a_model_may_know_emotions_that_corpora_do_not():
    assert specs.ModelSpec(emotions=("angry", "amused")).emotions == ("angry", "amused")
    with pytest.raises(InputError, match=r"^--emotions: got 'amused'"):
        FinetuneSpec(emotions=("angry", "amused"))


def test_a_registry_that_grows_is_a_choice_that_grows(monkeypatch):
    with pytest.raises(InputError, match=r"^--algorithm: got 'tenth'"):
        MetaTrainSpec(sources=("a",), algorithm="tenth")
    monkeypatch.setitem(ALGORITHMS, "tenth", ALGORITHMS["maml"])
    assert MetaTrainSpec(sources=("a",), algorithm="tenth").algorithm == "tenth"


_EACH_ALGORITHM = """
import json, sys
from absl import flags
from absl.testing import flagsaver
from metaser_jax.commands import COMMANDS, configured
from metaser_jax.specs import flags as ours
from metaser_jax.specs.algorithms import ALGORITHMS

command, *rest = sys.argv[1:]
config_class, presets = configured(COMMANDS[command])
ours.define(config_class, presets)
for algorithm in ALGORITHMS:
    for preset in presets:
        with flagsaver.flagsaver():
            flags.FLAGS([command, *rest, f"--algorithm={algorithm}", f"--preset={preset}"])
            config = ours.config(config_class, presets)
            print(json.dumps([algorithm, preset, config.algorithm, config.prototype_scale]))
"""


@pytest.mark.parametrize(("command", "place"), [("meta-train", "run_dir"), ("sweep", "out")])
def test_every_algorithm_is_a_flag_away(command, place):
    typed = (command, "--data_dir=d", "--sources=a,b", f"--{place}=r")
    done = python("-c", _EACH_ALGORITHM, *typed)
    assert done.returncode == 0, done.stderr
    *found, _ = done.stdout.split("]\n")
    assert len(found) == len(ALGORITHMS) * len(presets.META_TRAIN)
    for said_and_config in found:
        said, _, config = said_and_config.rpartition("[")
        algorithm, preset, got, scale = json.loads(f"[{config}]")
        default = presets.META_TRAIN[preset].get("prototype_scale", 1.0)
        looks = ALGORITHMS[algorithm].has_steps and ALGORITHMS[algorithm].starts_last_layer
        assert (got, scale) == (algorithm, default if looks else 1.0)
        assert (f"--prototype_scale={default}" in said) == (scale != default)
    if command == "meta-train":
        refused = python("-c", _EACH_ALGORITHM, *typed, "--prototype_scale=2")
        assert "--prototype_scale: got 2.0" in refused.stderr


def test_a_terminal_without_a_character_ends_no_program():
    program = "from metaser_jax.specs import flags; flags.run(lambda: print('0.61 ± 0.02, \\udcff.wav'))"
    done = python("-c", program, env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "0.61 \\xb1 0.02, \\udcff.wav\n", "")


def test_a_full_disk_is_an_error_of_one_line():
    program = "flags.run(lambda: open('/dev/full', 'w').write('x' * 9**5))"
    done = python("-c", f"from metaser_jax.specs import flags; {program}")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: A file cannot be written: No space left on device. ")
    assert done.stderr.count("\n") == 1


THREADS = "[threading.Thread(target=time.sleep, args=[9], daemon=True).start() for _ in range(999)]"


@pytest.mark.parametrize(("gigabytes", "what"), [(2, "None"), (1, "bytearray(10**9)"), (1, THREADS)])
def test_too_little_memory_is_told_in_one_line(gigabytes, what):
    limit = f"import resource, threading, time; resource.setrlimit(resource.RLIMIT_AS, ({gigabytes} * 10**9, -1))"
    done = python("-c", f"{limit}; from metaser_jax.specs import flags; flags.run(lambda: {what})")
    assert done.stderr.startswith(f"warning: this process is limited to {gigabytes}.0 GB of addresses, and may hang. ")
    assert done.returncode == (2 if gigabytes == 1 else 0)
    assert ("error: there is not enough memory (" in done.stderr) == (gigabytes == 1)
    assert "Training and predicting take about 1 GB of memory and 4 GB of addresses (ulimit -v)" in done.stderr
    assert "Traceback" not in done.stderr
