"""The cyclical learning rate: by hand, against PyTorch's definition in plain Python, late steps, bad input."""

import math

import jax
import numpy as np
import pytest

from metaser_jax import InputError
from metaser_jax.training.trainer import cyclical


def pytorch_cyclic_lr(step, base_lr, max_lr, step_size_up):
    """torch.optim.lr_scheduler.CyclicLR, mode triangular, as it is written there."""
    total_size = step_size_up + step_size_up
    step_ratio = step_size_up / total_size
    cycle = math.floor(1 + step / total_size)
    x = 1.0 + step / total_size - cycle
    scale_factor = x / step_ratio if x <= step_ratio else (x - 1) / (step_ratio - 1)
    return base_lr + (max_lr - base_lr) * scale_factor


def test_by_hand():
    rate = cyclical(1.0, 5.0, 4)
    assert [float(rate(step)) for step in range(12)] == [1, 2, 3, 4, 5, 4, 3, 2, 1, 2, 3, 4]
    assert [float(cyclical(1.0, 2.0, 1)(step)) for step in range(4)] == [1, 2, 1, 2]
    assert float(cyclical(2.0, 2.0, 3)(1)) == 2


@pytest.mark.parametrize("half_cycle", [1, 7, 2000])
def test_against_pytorchs_definition(half_cycle):
    steps = np.unique(np.r_[np.arange(50), np.random.default_rng(0).integers(0, 40 * half_cycle, 200)])
    got = jax.jit(jax.vmap(cyclical(2e-5, 1e-4, half_cycle)))(steps)
    want = [pytorch_cyclic_lr(int(step), 2e-5, 1e-4, half_cycle) for step in steps]
    np.testing.assert_allclose(got, want, rtol=1e-5)


def test_late_steps_are_told_apart():
    rate, late = cyclical(1.0, 5.0, 4), 8 * 2**26  # float32 has no odd numbers there
    assert [float(rate(late + step)) for step in range(4)] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0, 1.0, 5), r"got rates 0\.0 to 1\.0, expected 0 < base <= maximum"),
        ((2.0, 1.0, 5), r"got rates 2\.0 to 1\.0"),
        ((1.0, 2.0, 0), r"got half a cycle of 0 steps, expected 1 or more"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(InputError, match=message):
        cyclical(*arguments)
