"""Optimizers by name: the steps that they take, and what they refuse."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from metaser_jax import InputError
from metaser_jax.meta.meta_sgd import MetaSGDParams
from metaser_jax.specs import OptimizerSpec
from metaser_jax.training.optimizers import make_optimizer


def steps(optimizer, number=5):
    """The updates on a constant gradient of 1, at a parameter that stays at 2."""
    param = jnp.float32(2.0)
    state, updates = optimizer.init(param), []
    for _ in range(number):
        update, state = optimizer.update(jnp.float32(1.0), state, param)
        updates.append(float(update))
    return updates


def make(name, lr, **options):
    return make_optimizer(OptimizerSpec(optimizer=name, lr=lr, **options))


def test_cyclical_steps():
    sgd = make("sgd", 1e-4, schedule="cyclical", base_lr=2e-5, half_cycle=2)
    np.testing.assert_allclose(steps(sgd), [-2e-5, -6e-5, -1e-4, -6e-5, -2e-5], rtol=1e-6)


def test_cosine_steps():
    sgd = make("sgd", 0.4, schedule="cosine", half_cycle=4)
    expected = [-0.2 * (1 + math.cos(math.pi * min(step, 4) / 4)) for step in range(6)]
    np.testing.assert_allclose(steps(sgd, 6), expected, rtol=1e-6, atol=1e-9)


def test_names():
    np.testing.assert_allclose(steps(make("adam", 0.1)), steps(optax.adam(0.1)))
    decayed = make("adamw", 0.1, weight_decay=0.3)
    np.testing.assert_allclose(steps(decayed), np.subtract(steps(optax.adam(0.1)), 0.1 * 0.3 * 2), rtol=1e-5)
    assert make("adamw", 0.1, weight_decay=0.3) is decayed


def test_weight_decay_leaves_constants_and_learned_rates_alone():
    params = {"params": {"hidden": {"kernel": jnp.full(2, 3.0)}, "standardise": {"shift": jnp.full(2, 3.0)}}}
    params = MetaSGDParams(params, params)
    adamw = make("adamw", 0.1, weight_decay=0.5)
    updates, _ = adamw.update(jax.tree.map(jnp.zeros_like, params), adamw.init(params), params)
    np.testing.assert_allclose(updates.params["params"]["hidden"]["kernel"], -0.1 * 0.5 * 3, rtol=1e-6)
    for update in jax.tree.leaves((updates.params["params"]["standardise"], updates.rates)):
        assert (update == 0).all()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("adagrad", {}, "optimizer: got 'adagrad', expected one of: adam, adamw, sgd"),
        ("sgd", {"schedule": "linear"}, "schedule: got 'linear', expected one of: constant, cosine, cyclical"),
        ("adam", {"weight_decay": 0.1}, "weight_decay: got 0.1, expected 0"),
        ("adam", {"base_lr": 0.1}, "base_lr: got 0.1, expected 0"),
        ("adam", {"half_cycle": 10}, "half_cycle: got 10, expected 0"),
        ("adam", {"schedule": "cosine"}, "half_cycle: got 0, expected 1 or more"),
        ("adam", {"schedule": "cosine", "half_cycle": 1, "base_lr": 0.1}, "base_lr: got 0.1, expected 0"),
        (
            "adam",
            {"schedule": "cyclical", "base_lr": 0.3, "half_cycle": 1},
            "base_lr: got 0.3, expected .* at most --lr=0.2",
        ),
        ("adam", {"schedule": "cyclical", "base_lr": 0.1}, "half_cycle: got 0, expected 1 or more"),
    ],
)
def test_bad_options(name, options, message):
    with pytest.raises(InputError, match=message):
        make(name, 0.2, **options)
