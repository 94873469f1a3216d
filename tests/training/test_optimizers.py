"""Optimizers by name: the steps that they take, and what they refuse."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from metaser_jax import InputError
from metaser_jax.models.losses import cross_entropy
from metaser_jax.specs import MetaTrainSpec, OptimizerSpec
from metaser_jax.specs.algorithms import ALGORITHMS
from metaser_jax.training.trainer import make_learner, make_optimizer


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


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_weight_decay_is_the_networks_alone(algorithm):
    layers = {name: {"kernel": jnp.full((2, 4), 3.0), "bias": jnp.full(4, 3.0)} for name in ("hidden", "output")}
    params = {"params": {**layers, "standardise": {"shift": jnp.full(2, 3.0)}}}
    learner = make_learner(MetaTrainSpec(sources=("a",), algorithm=algorithm, hidden_dim=4), cross_entropy(None))
    meta_params = learner.init(params)
    adamw = make_optimizer(OptimizerSpec(optimizer="adamw", lr=0.1, weight_decay=0.5), learner.params)
    updates, _ = adamw.update(jax.tree.map(jnp.zeros_like, meta_params), adamw.init(meta_params), meta_params)
    shrunk = {name: jax.tree.map(lambda leaf: -0.1 * 0.5 * leaf, layer) for name, layer in layers.items()}
    of_network = learner.params(updates)["params"]
    for name, layer in of_network.items():
        jax.tree.map(np.testing.assert_allclose, layer, shrunk.get(name, {"shift": jnp.zeros(2)}))
    moved = sum(bool((update != 0).any()) for update in jax.tree.leaves(updates))
    assert moved == 4, "what is learned beside the network stays"


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
