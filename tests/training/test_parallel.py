"""Devices: how many share tasks or runs, and what cannot be. That it changes no gradient: meta/test_contract.py."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import textbook

from metaser_jax import InputError, maml
from metaser_jax.training import parallel
from metaser_jax.training.parallel import Plan, deal, over_runs, plan


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
from metaser_jax.training import parallel
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


def test_tasks_that_do_not_divide():
    loss_fn, params, episode = textbook.dense_setting()
    three = jax.tree.map(lambda a: a[:3], episode)
    with pytest.raises(InputError, match=r"3 tasks do not divide among 2.*_episode .* 2 or 4, or other --devices"):
        parallel.shard_over_devices(maml(loss_fn), 2).value_and_grad(params, three)


def countdown(run, scale):
    """A loop as long as the run says."""
    steps, value = run
    return jax.lax.while_loop(lambda s: s[0] > 0, lambda s: (s[0] - 1, s[1] * scale), (steps, value))[1]


@pytest.mark.parametrize("of", [Plan(1, 6, 1), Plan(1, 6, 3), Plan(2, 3, 1), Plan(2, 3, 3)])
def test_each_as_alone(of):
    steps, values = jnp.array([3, 0, 7, 1, 4, 2]), jnp.arange(6.0)
    got = jax.jit(over_runs(countdown, of))((steps, values), 2.0)
    np.testing.assert_allclose(got, [countdown(run, 2.0) for run in zip(steps, values, strict=True)])


@pytest.mark.parametrize("runs", [1, 2, 5, 32, 33, 70])
def test_everyone_is_dealt_once_and_evenly(runs):
    load = np.random.default_rng(runs).permutation(runs)
    of = Plan(2, 16, 1)
    calls = deal(load, of)
    assert calls.shape == (-(-runs // 32), 32)
    dealt = calls[calls >= 0]
    assert sorted(dealt.tolist()) == list(range(runs))
    assert load[calls[0][calls[0] >= 0]].min() >= load[calls[-1][calls[-1] >= 0]].min()
    for call in calls:
        per_device = [sum(load[i] for i in half if i >= 0) for half in np.split(call, 2)]
        assert abs(per_device[0] - per_device[1]) <= 1 + load[call[call >= 0]].min()


def test_plans():
    assert plan(5) == plan(500) == Plan(2, 16, 1)
    assert plan(5, devices=1) == Plan(1, 16, 1)
    assert plan(5, at_once=5) == Plan(2, 20, 5)
    assert (plan(5, backend="gpu"), plan(1000, backend="gpu")) == (Plan(2, 3, 3, 256), Plan(2, 64, 64, 256))
    with pytest.raises(InputError, match="devices: got 3, expected at most the 2 that there are"):
        plan(5, devices=3)
