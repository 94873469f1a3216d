"""Configurations: every bad value is an error that names its flag; presets name real fields."""

import dataclasses
import json
import math
import os

import pytest
from subprograms import python

from metaser_jax import InputError
from metaser_jax.specs import presets
from metaser_jax.specs.algorithms import ALGORITHMS
from metaser_jax.specs.programs import DemoConfig, FinetuneConfig, MetaTrainConfig, PrepareConfig, PretrainConfig
from metaser_jax.specs.sweep import SweepConfig

TRAIN = {"data_dir": "d", "sources": ("a",), "run_dir": "r"}
PRE = TRAIN | {"method": "multiser"}
CYCLICAL = PRE | {"schedule": "cyclical", "base_lr": 1e-5, "lr": 1e-4, "half_cycle": 10}
TUNE = {"data_dir": "d", "init": "scratch", "target": "t", "out": "o", "shots": 5}


@pytest.mark.parametrize(
    ("config", "values", "message"),
    [
        (MetaTrainConfig, TRAIN | {"sources": ()}, "--sources: got"),
        (MetaTrainConfig, TRAIN | {"sources": ("a", "a")}, "each corpus once"),
        (MetaTrainConfig, TRAIN | {"shots": 0}, "--shots: got 0, expected 1 or more"),
        (MetaTrainConfig, TRAIN | {"inner_lr": 0.0}, "--inner_lr: got 0.0"),
        (MetaTrainConfig, TRAIN | {"meta_lr": -1.0}, "--meta_lr"),
        (MetaTrainConfig, TRAIN | {"checkpoint_every": 30}, "a multiple of --log_every=20"),
        (MetaTrainConfig, TRAIN | {"emotions": ("angry", "hapy")}, "--emotions: got 'hapy'.*Did you mean 'happy'"),
        (MetaTrainConfig, TRAIN | {"emotions": ("angry",)}, "at least two emotions"),
        (MetaTrainConfig, TRAIN | {"seed": -1}, "--seed: got -1"),
        (MetaTrainConfig, TRAIN | {"seed": 2**32}, "--seed"),
        (MetaTrainConfig, TRAIN | {"order": "third"}, "--order: got 'third', expected one of: annealed, first, second"),
        (MetaTrainConfig, TRAIN | {"algorithm": "mamml"}, "--algorithm: got 'mamml'.*Did you mean 'maml'"),
        (MetaTrainConfig, TRAIN | {"recurrence": "interpret"}, "--recurrence: got 'interpret', expected"),
        (MetaTrainConfig, TRAIN | {"order": "annealed"}, "--anneal_episodes: got 0, expected 1 or more"),
        (MetaTrainConfig, TRAIN | {"anneal_episodes": 5}, "--anneal_episodes: got 5, expected .* 0 without"),
        (MetaTrainConfig, TRAIN | {"inner_batch_size": 7}, "--inner_batch_size: got 7, expected a divisor of the 20"),
        (
            MetaTrainConfig,
            TRAIN | {"algorithm": "reptile", "multi_step_episodes": 9},
            "--multi_step_episodes: got 9, expected 0 with --algorithm=reptile",
        ),
        (
            MetaTrainConfig,
            TRAIN | {"algorithm": "r2d2", "inner_steps": 2},
            "--inner_steps: got 2, expected 1 with --algorithm=r2d2",
        ),
        (MetaTrainConfig, TRAIN | {"algorithm": "r2d2", "inner_optimizer": "adam"}, "--inner_optimizer: got 'adam'"),
        (MetaTrainConfig, TRAIN | {"tasks_by": "speaker", "pool_sources": True}, "--tasks_by: got 'speaker', expected"),
        (
            MetaTrainConfig,
            TRAIN | {"tasks_by": "speaker", "query_speakers": "others"},
            "--query_speakers: got 'others'",
        ),
        (MetaTrainConfig, TRAIN | {"shots_mix": (1, 1)}, "--shots_mix: got .1, 1., expected .* each once"),
        (MetaTrainConfig, TRAIN | {"shots_mix": (-1, 5)}, "--shots_mix: got .-1, 5., expected numbers from 0 on"),
        (
            MetaTrainConfig,
            TRAIN | {"shots_mix": (1, 5), "inner_batch_size": 4},
            "--inner_batch_size: got 4, expected 0",
        ),
        (MetaTrainConfig, TRAIN | {"class_shift": -1.0}, "--class_shift: got -1.0"),
        (MetaTrainConfig, TRAIN | {"feature_dropout": 1.0}, "--feature_dropout: got 1.0, expected from 0"),
        (
            MetaTrainConfig,
            TRAIN | {"class_shift": 1.0, "network": "both", "features": "both"},
            "--class_shift: got 1.0, expected 0 with --features=both",
        ),
        (MetaTrainConfig, TRAIN | {"chunk": -2}, "--chunk: got -2"),
        (MetaTrainConfig, TRAIN | {"trim_db": -1.0}, r"--trim_db: got -1.0, expected 0 \(keep all\) or a positive"),
        (PretrainConfig, PRE | {"trim_db": -1.0}, "--trim_db: got -1.0"),
        (FinetuneConfig, TUNE | {"trim_db": -1.0}, "--trim_db: got -1.0"),
        (MetaTrainConfig, TRAIN | {"trim_db": math.nan}, "--trim_db: got nan"),
        (MetaTrainConfig, TRAIN | {"normalise": "speakers"}, "--normalise: got 'speakers'.*Did you mean 'speaker'"),
        (MetaTrainConfig, TRAIN | {"weight_decay": 0.1}, "--weight_decay: got 0.1, expected .* and 0 without"),
        (MetaTrainConfig, TRAIN | {"meta_optimizer": "adamw"}, "--weight_decay: got 0.0, expected a number above 0"),
        (
            MetaTrainConfig,
            TRAIN | {"weight_decay": -0.1, "meta_optimizer": "adamw"},
            "--weight_decay: got -0.1, expected a number above 0",
        ),
        (MetaTrainConfig, TRAIN | {"devices": -1}, "--devices: got -1"),
        (PretrainConfig, PRE | {"method": "transer"}, "--method: got 'transer'.*Did you mean 'transser'"),
        (PretrainConfig, PRE | {"sources": ()}, "--sources: got"),
        (PretrainConfig, PRE | {"sources": ("a", "a")}, "each corpus once"),
        (PretrainConfig, PRE | {"lr": 0.0}, "--lr: got 0.0"),
        (PretrainConfig, PRE | {"base_lr": 1e-5}, "--base_lr: got 1e-05, expected 0 without"),
        (PretrainConfig, PRE | {"half_cycle": 9}, "--half_cycle: got 9, expected 0 with"),
        (PretrainConfig, CYCLICAL | {"base_lr": 0.0}, "--base_lr: got 0.0, expected a number above 0"),
        (PretrainConfig, CYCLICAL | {"base_lr": 1e-3}, "--base_lr: got 0.001, expected .* at most --lr=0.0001"),
        (PretrainConfig, CYCLICAL | {"half_cycle": 0}, "--half_cycle: got 0"),
        (PretrainConfig, PRE | {"weight_decay": 0.1}, "--weight_decay: got 0.1, expected 0 without"),
        (PretrainConfig, PRE | {"optimizer": "adamw"}, "--weight_decay: got 0.0, expected a number above 0"),
        (PretrainConfig, PRE | {"batch_size": 7}, "--batch_size: got 7, expected an even number"),
        (PretrainConfig, PRE | {"devices": 3}, "--devices: got 3, expected a divisor of 32, half of --batch_size"),
        (PretrainConfig, PRE | {"devices": -1}, "--devices: got -1"),
        (PretrainConfig, PRE | {"patience": 0}, "--patience: got 0, expected 1 or more"),
        (PretrainConfig, PRE | {"chunk": -2}, "--chunk: got -2"),
        (PretrainConfig, PRE | {"checkpoint_every": 7}, "a multiple of --log_every=5"),
        (FinetuneConfig, TUNE | {"split_seed": -1}, "--split_seed"),
        (
            FinetuneConfig,
            TUNE | {"folds": 1, "split": "speaker"},
            r"--folds: got 1, expected 0 \(one split\) or 2 or more",
        ),
        (FinetuneConfig, TUNE | {"folds": -1, "split": "speaker"}, "--folds: got -1, expected 0"),
        (FinetuneConfig, TUNE | {"folds": 3}, "--folds: got 3, expected 0 without --split=speaker"),
        (FinetuneConfig, TUNE | {"validation": "foo"}, "--validation: got 'foo'"),
        (FinetuneConfig, TUNE | {"shots": None}, "exactly one of --shots=K and --fraction=F"),
        (FinetuneConfig, TUNE | {"fraction": 0.5}, "exactly one"),
        (FinetuneConfig, TUNE | {"shots": None, "fraction": 1.5}, "--fraction: got 1.5"),
        (FinetuneConfig, TUNE | {"seeds": 0}, "--seeds"),
        (FinetuneConfig, TUNE | {"lr": 0.0}, "--lr"),
        (FinetuneConfig, TUNE | {"schedule": "cyclical"}, r"--base_lr: got 0.0, expected .* at most --lr=0.001"),
        (FinetuneConfig, TUNE | {"schedule": "cyclical", "base_lr": 0.1}, "--base_lr: got 0.1"),
        (FinetuneConfig, TUNE | {"schedule": "cyclical", "base_lr": 1e-4}, "--half_cycle: got 0, expected 1 or more"),
        (FinetuneConfig, TUNE | {"base_lr": 1e-4}, "--base_lr: got 0.0001, expected 0 without --schedule=cyclical"),
        (
            FinetuneConfig,
            TUNE | {"optimizer": "inner", "schedule": "cyclical"},
            "--schedule: got 'cyclical', expected con",
        ),
        (FinetuneConfig, TUNE | {"half_cycle": 10}, "--half_cycle: got 10, expected 0 with --schedule=constant"),
        (FinetuneConfig, TUNE | {"weight_decay": -0.1, "optimizer": "adamw"}, "--weight_decay: got -0.1"),
        (FinetuneConfig, TUNE | {"weight_decay": 0.1}, "--weight_decay: got 0.1, expected 0 without --optimizer=adamw"),
        (PrepareConfig, {"corpora": (), "manual_dir": "m", "data_dir": "d"}, "--corpora"),
        (DemoConfig, {"shots": (0,)}, "--shots"),
    ],
)
def test_bad_values(config, values, message):
    with pytest.raises(InputError, match=message):
        config(**values)


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
    sweep = {"data_dir": "d", "sources": ("a",), "out": "o"}
    required = {MetaTrainConfig: TRAIN, PretrainConfig: PRE, FinetuneConfig: TUNE, SweepConfig: sweep}[config]
    config(**required | settings)


def test_of_the_mix_of_shots_those_below_the_most_count():
    def drawn(**values):
        return MetaTrainConfig(**TRAIN | values).shots_drawn

    assert drawn() == drawn(shots=7) == ()
    assert drawn(shots_mix=(0, 1, 5, 10), shots=5) == (0, 1, 5)
    assert drawn(shots_mix=(0, 1), shots=5) == (0, 1, 5)
    assert drawn(shots_mix=(10, 0), shots=10) == (0, 10)


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
    """What the preset sets and the algorithm does not look at is dropped, and said; what is typed is refused."""
    typed = (command, "--data_dir=d", "--sources=a,b", f"--{place}=r")
    done = python("-c", _EACH_ALGORITHM, *typed)
    assert done.returncode == 0, done.stderr
    said, found = "", 0
    for line in done.stdout.splitlines():
        if not line.startswith("["):
            said += line
            continue
        algorithm, preset, got, scale = json.loads(line)
        default = presets.META_TRAIN[preset].get("prototype_scale", 1.0)
        looks = ALGORITHMS[algorithm].has_steps and ALGORITHMS[algorithm].starts_last_layer
        assert (got, scale) == (algorithm, default if looks else 1.0)
        assert ("--prototype_scale=32.0" in said) == (scale != default)
        said, found = "", found + 1
    assert found == len(ALGORITHMS) * len(presets.META_TRAIN)
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
    assert done.stderr == (
        "error: A file cannot be written: No space left on device. Make room, and start the same command again.\n"
    )


def limited(gigabytes, what):
    """Runs a main program in a process whose addresses are limited, as by `ulimit -v`."""
    limit = f"import resource, threading, time; resource.setrlimit(resource.RLIMIT_AS, ({gigabytes} * 10**9, -1))"
    return python("-c", f"{limit}; from metaser_jax.specs import flags; flags.run(lambda: {what})")


def test_too_few_addresses_are_told_at_once():
    done = limited(2, None)
    assert done.returncode == 0
    assert done.stderr.startswith("warning: this process is limited to 2.0 GB of addresses, and may hang. Training and")


THREADS = "[threading.Thread(target=time.sleep, args=[9], daemon=True).start() for _ in range(999)]"


@pytest.mark.parametrize("what", ["bytearray(10**9)", THREADS])
def test_too_little_memory_is_an_error_of_one_line(what):
    done = limited(1, what)
    assert done.returncode == 2
    assert "error: there is not enough memory (" in done.stderr
    assert "Training and predicting take about 1 GB of memory and 4 GB of addresses (ulimit -v)" in done.stderr
    assert "Traceback" not in done.stderr
