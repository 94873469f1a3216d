"""Flags: precedence, what a preset sets in vain, and errors of the machine as one line each."""

import json
import os

import pytest
from subprograms import python

from metaser_jax.specs import presets
from metaser_jax.specs.algorithms import ALGORITHMS

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
