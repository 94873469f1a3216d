"""Dividing tasks among devices: how many, and what cannot be. That it changes no gradient: meta/test_contract.py."""

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
