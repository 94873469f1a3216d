"""Networks over statistics of a voice: by NumPy, and member by member."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metaser_jax import InputError
from metaser_jax.models.classifier import Perceptron, last_layer, make_network, take_head, trained_logits, with_head
from metaser_jax.models.losses import cross_entropy
from metaser_jax.specs import ModelSpec
from metaser_jax.types import Batch

KEY = jax.random.key(0)
X = np.asarray(jax.random.normal(KEY, (5, 1, 7)))


def test_a_perceptron_by_numpy():
    model = Perceptron(hidden_dim=6, num_classes=3, members=2)
    params = model.init(KEY, X)
    p = params["params"]
    each = []
    for m in range(2):
        hidden = np.maximum(X[:, 0] @ p["voice"]["kernel"][m] + p["voice"]["bias"][m], 0)
        each.append(hidden @ p["output"]["kernel"][m] + p["output"]["bias"][m])
    np.testing.assert_allclose(trained_logits(model)(params, X), np.stack(each, 1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.apply(params, X), np.mean(each, 0), rtol=1e-5, atol=1e-6)
    features = model.apply(params, X, method="features")
    np.testing.assert_allclose(model.apply(take_head(params), features, method="head"), np.mean(each, 0), atol=1e-6)


def test_members_begin_apart_and_as_wide_as_one_alone():
    params = Perceptron(hidden_dim=200, members=3).init(KEY, jnp.zeros((1, 1, 100)))["params"]["voice"]["kernel"]
    assert np.abs(params[0] - params[1]).max() > 0.01
    np.testing.assert_allclose(params.std(axis=(1, 2)), 0.1, rtol=0.03)  # as Flax's Dense: 1 / sqrt(100)


def test_a_members_gradient_is_that_of_its_own_loss():
    model, alone = Perceptron(4, members=3), Perceptron(4)
    params = model.init(KEY, X)
    batch = Batch(jnp.asarray(X), jnp.array([0, 1, 2, 3, 0]), jnp.array([1.0, 2, 0, 1, 1]))
    loss, grads = jax.value_and_grad(cross_entropy(trained_logits(model)))(params, batch)
    losses = []
    for m in range(3):
        one = jax.tree.map(lambda a, m=m: a[m : m + 1], params)
        its_loss, its_grads = jax.value_and_grad(cross_entropy(alone.apply))(one, batch)
        losses.append(its_loss)
        jax.tree.map(lambda g, of, m=m: np.testing.assert_allclose(3 * g[m], of[0], atol=1e-6), grads, its_grads)
    np.testing.assert_allclose(loss, np.mean(losses), rtol=1e-6)


@pytest.mark.parametrize(("network", "features"), [("perceptron", "voice"), ("lstm", "mfcc")])
def test_the_last_layer_of_each_network(network, features):
    spec = ModelSpec(network=network, features=features, hidden_dim=4)
    model, x = make_network(spec), jax.random.normal(KEY, (3, spec.rows, spec.coefs))
    params = model.init(KEY, x)
    layer = last_layer(model)
    kernel, bias = layer.get(params)
    seen = layer.embed(params, x)
    by_hand = seen @ kernel + bias if seen.ndim == 2 else (seen[:, 0] @ kernel[0] + bias[0])
    np.testing.assert_allclose(by_hand, model.apply(params, x), rtol=1e-5, atol=1e-6)
    changed = layer.put(params, layer.get(params)._replace(bias=bias + 1))
    np.testing.assert_allclose(model.apply(changed, x), model.apply(params, x) + 1, rtol=1e-5, atol=1e-5)
    assert jax.tree.structure(with_head(params, take_head(params))) == jax.tree.structure(params)


@pytest.mark.parametrize(
    ("wrong", "flag"),
    [
        ({"network": "perceptron"}, "features: got 'mfcc'"),
        ({"features": "voice"}, "features: got 'voice'"),
        ({"network": "both"}, "network: got 'both'.* docs/library.md"),
        ({"features": "tracks"}, "features: got 'tracks'.* docs/library.md"),
        ({"members": 2}, "members: got 2"),
        ({"track_groups": ("pitch",)}, r"track_groups: got \('pitch',\)"),
        ({"network": "perceptron", "features": "voice", "trim_db": 26.5}, "trim_db: got 26.5"),
        ({"network": "perceptron", "features": "voice", "input_statistics": True}, "input_statistics: got True"),
        ({"network": "perceptron", "features": "voice", "track_groups": ("pich",)}, "'pitch'"),
        ({"network": "perceptron", "features": "voice", "normalise": "utterance"}, "normalise: got 'utterance'"),
    ],
)
def test_specifications_that_contradict_themselves(wrong, flag):
    with pytest.raises(InputError, match=flag):
        ModelSpec(**wrong)
