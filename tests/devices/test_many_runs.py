"""Runs divided among devices, one after another or at once: results in their places, and an even load."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metaser_jax import InputError
from metaser_jax.devices.parallel import Plan, deal, over_runs, plan


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
    with pytest.raises(InputError, match="devices: got 3, expected at most the 2 that there are"):
        plan(5, devices=3)


def test_elsewhere_than_on_a_cpu():
    assert plan(5, backend="gpu") == Plan(2, 3, 3, 256)
    assert plan(1000, backend="gpu") == Plan(2, 64, 64, 256)
