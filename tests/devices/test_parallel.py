"""Dividing tasks among devices: how many, and what cannot be. That it changes no gradient: meta/test_contract.py."""

import os
import subprocess
import sys

import jax
import pytest
import textbook

from metaser_jax import InputError, maml
from metaser_jax.devices import parallel


def test_devices_of_the_tests():
    assert parallel.one_device_per_core() == jax.local_device_count() == 2
    assert parallel.one_device_per_core(2) == 2
    with pytest.raises(InputError, match="devices: got 3, but jax runs on 2 CPU devices already"):
        parallel.one_device_per_core(3)


@pytest.mark.parametrize(("before", "devices", "warned"), [("", 2, False), ("jax.numpy.zeros(1)", 1, True)])
def test_all_cores_after_jax_is_imported_and_after_it_is_used(before, devices, warned):
    program = f"""
import jax
import metaser_jax
from metaser_jax.devices import parallel
parallel.cores = lambda: 2
{before}
learner = parallel.on_all_cores(metaser_jax.supervised(lambda params, batch: params * batch.y.mean()))
print(jax.local_device_count())
"""
    environment = {
        name: value for name, value in os.environ.items() if name not in ("JAX_NUM_CPU_DEVICES", "XLA_FLAGS")
    }
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(devices)]
    assert ("on_all_cores: jax has been used already, and runs on 1 CPU device(s) of 2" in done.stderr) == warned


def test_as_many_devices_as_divide_the_tasks():
    assert [parallel.task_mesh(tasks).size for tasks in (1, 2, 3, 8)] == [1, 2, 1, 2]
    assert parallel.task_mesh(8, devices=1).size == 1
    assert parallel.describe(parallel.task_mesh(8)) == "2 devices, cpu (cpu)"
    assert parallel.describe(parallel.task_mesh(3)) == "1 of 2 devices, cpu (cpu)"


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        (3, "devices: got 3, expected at most the 2 that there are"),
        (2, r"3 tasks do not divide among 2 devices.*_episode .* 2 or 4, or --devices one of"),
    ],
)
def test_bad_numbers(devices, message):
    loss_fn, params, episode = textbook.dense_setting()
    three = jax.tree.map(lambda a: a[:3], episode)
    with pytest.raises(InputError, match=message):
        parallel.shard_over_devices(maml(loss_fn), devices).value_and_grad(params, three)
