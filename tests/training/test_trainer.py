"""Optimizers and rates by name, and networks that learn side by side: their steps, and what they refuse."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import textbook

from metaser_jax import InputError
from metaser_jax.models.classifier import make_network, trained_logits
from metaser_jax.models.losses import cross_entropy
from metaser_jax.specs import MetaTrainSpec, OptimizerSpec
from metaser_jax.specs.algorithms import ALGORITHMS
from metaser_jax.training.trainer import cyclical, make_learner, make_optimizer, no_utterances
from metaser_jax.types import Episode


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
        ("adagrad", {}, "optimizer: got 'adagrad'"),
        ("sgd", {"schedule": "linear"}, "schedule: got 'linear'"),
        ("adam", {"schedule": "cosine"}, "half_cycle: got 0"),
        ("adam", {"schedule": "cosine", "half_cycle": 1, "base_lr": 0.1}, "base_lr: got 0.1"),
    ],
)
def test_bad_options(name, options, message):
    with pytest.raises(InputError, match=message):
        make(name, 0.2, **options)


SPEC = {"sources": ("a",), "network": "perceptron", "features": "voice", "hidden_dim": 3, "inner_lr": 0.5}
MEMBERS = 2
RNG = np.random.default_rng(0)


def episodes_of(x_size, number=3):
    def batch():
        y = jnp.asarray(RNG.integers(0, 4, (2, 8)), jnp.int32)
        return textbook.Batch(jnp.asarray(RNG.normal(size=(2, 8, 1, x_size))), y)

    return [Episode(batch(), batch()) for _ in range(number)]


@pytest.mark.parametrize(
    "flags",
    [
        {"algorithm": "maml", "inner_steps": 2},
        {"algorithm": "meta_sgd", "inner_optimizer": "momentum", "order": "first"},
        {"algorithm": "maml", "inner_optimizer": "adam", "inner_lr": 0.1, "order": "first"},
    ],
    ids=lambda flags: f"{flags['algorithm']} {flags.get('inner_optimizer', 'sgd')}",
)
def test_members_learn_as_each_would_alone(flags):
    with jax.enable_x64(True):
        spec, alone = (MetaTrainSpec(**SPEC | flags, members=members) for members in (MEMBERS, 1))
        params = make_network(spec).init(jax.random.key(0), no_utterances(spec))
        params = jax.tree.map(lambda p: p.astype("float64"), params)
        episodes = episodes_of(spec.coefs)

        def trained(spec, params):
            learner = make_learner(spec, cross_entropy(trained_logits(make_network(spec))))
            optimizer = optax.adam(0.05, eps=1e-20)
            meta, value_and_grad = learner.init(params), jax.jit(learner.value_and_grad)
            state, losses = optimizer.init(meta), []
            for episode in episodes:
                loss, grads, _ = value_and_grad(meta, episode)
                updates, state = optimizer.update(grads, state, meta)
                meta = optax.apply_updates(meta, updates)
                losses.append(loss)
            return learner.params(meta), losses

        together, losses = trained(spec, params)
        each = [trained(alone, jax.tree.map(lambda p, m=m: p[m : m + 1], params)) for m in range(MEMBERS)]
        # Adam's epsilon is beside gradients of other sizes.
        tolerance = 1e-2 if flags.get("inner_optimizer") == "adam" else 1e-9
        for m, (own, _) in enumerate(each):
            jax.tree.map(
                lambda a, b, m=m: np.testing.assert_allclose(a[m : m + 1], b, rtol=tolerance, atol=tolerance),
                together,
                own,
            )
        np.testing.assert_allclose(losses, np.mean([of for _, of in each], axis=0), rtol=tolerance)


def test_cyclical_by_hand():
    rate = cyclical(1.0, 5.0, 4)
    assert [float(rate(step)) for step in range(12)] == [1, 2, 3, 4, 5, 4, 3, 2, 1, 2, 3, 4]
    assert [float(cyclical(1.0, 2.0, 1)(step)) for step in range(4)] == [1, 2, 1, 2]
    assert float(cyclical(2.0, 2.0, 3)(1)) == 2
    late = 8 * 2**26  # float32 has no odd numbers there
    assert [float(rate(late + step)) for step in range(4)] == [1, 2, 3, 4]
    for arguments in ((0.0, 1.0, 5), (2.0, 1.0, 5), (1.0, 2.0, 0)):
        with pytest.raises(InputError, match="cyclical: got"):
            cyclical(*arguments)
