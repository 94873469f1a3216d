"""Networks of other libraries: ANIL's head and the layers that have rates are found in any pytree."""

import re
from collections import namedtuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx

from metaser_jax import Batch, EmotionLSTM, Episode, Execution, anil, cross_entropy, layer_rates, maml, parallel
from metaser_jax.errors import InputError

KEY = jax.random.key(0)
X = jax.random.normal(KEY, (3, 8, 5))
EPISODE = Episode(*(Batch(X + i, jnp.tile(jnp.arange(8) % 2, (3, 1))) for i in range(2)))
Layer = namedtuple("Layer", ("w", "b"))


def listed():
    def forward(params, x):
        for w, b in params["layers"]:
            x = jnp.tanh(x @ w if b is None else x @ w + b)
        return x

    w = jax.random.normal(KEY, (5, 5))
    layers = [Layer(w, jnp.zeros(5)), Layer(w, None), (w[:, :2], jnp.zeros(2))]
    return {"layers": layers, "none": [None, {}]}, forward


def of_nnx():
    model = nnx.Sequential(nnx.Linear(5, 4, rngs=nnx.Rngs(0)), nnx.relu, nnx.Linear(4, 2, rngs=nnx.Rngs(1)))
    graph, params = nnx.split(model)
    return params, lambda params, x: nnx.merge(graph, params)(x)


def of_equinox():
    layers = [eqx.nn.Linear(5, 4, key=KEY), eqx.nn.Lambda(jax.nn.relu), eqx.nn.Dropout(), eqx.nn.Linear(4, 2, key=KEY)]
    params, static = eqx.partition(eqx.nn.Sequential(layers), eqx.is_inexact_array)
    return params, lambda params, x: jax.vmap(eqx.nn.inference_mode(eqx.combine(params, static)))(x)


NETWORKS = {"listed": (listed, 3), "nnx": (of_nnx, 2), "equinox": (of_equinox, 2)}
each_network = pytest.mark.parametrize(("make", "layers"), NETWORKS.values(), ids=NETWORKS)


def moved(params, adapted):
    return [bool(jnp.any(a != b)) for a, b in zip(*map(jax.tree.leaves, (params, adapted)), strict=True)]


@each_network
def test_each_layer_has_its_rates(make, layers):
    params, apply = make()
    learner = layer_rates(cross_entropy(apply), inner_lr=0.1, inner_steps=2)
    meta = learner.init(params)
    assert [rate.shape for rate in jax.tree.leaves(meta.rates)] == [(2,)] * layers
    _, grads, _ = jax.jit(learner.value_and_grad)(meta, EPISODE)
    assert all(np.isfinite(g).all() and np.any(g != 0) for g in jax.tree.leaves(grads))

    # A layer whose rates are zero stays as it is, alone.
    for still in range(layers):
        rates, treedef = jax.tree.flatten(meta.rates)
        rates[still] = jnp.zeros(2)
        support = jax.tree.map(lambda a: a[0], EPISODE.support)
        adapted = learner.adapt(meta._replace(rates=jax.tree.unflatten(treedef, rates)), support)
        size = [len(jax.tree.leaves(layer)) for layer in treedef.flatten_up_to(params)]
        assert moved(params, adapted) == [layer != still for layer, n in enumerate(size) for _ in range(n)]


def test_our_own_network_has_a_rate_where_it_had_one():
    params = EmotionLSTM(hidden_dim=2, input_statistics=True).init(KEY, jnp.ones((2, 4, 20)))
    rates = layer_rates(lambda params, batch: 0.0).init(params).rates
    assert jax.tree.structure(rates) == jax.tree.structure({"params": dict.fromkeys(params["params"], 0)})


@each_network
def test_the_error_of_anil_names_a_head_that_works(make, layers):
    params, apply = make()
    with pytest.raises(InputError, match="ANIL adapts none of the parameters") as error:
        anil(cross_entropy(apply), is_adapted=lambda path: False).value_and_grad(params, EPISODE)
    names = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    assert all(name in str(error.value) for name in names)

    is_adapted = eval(re.search(r"by is_adapted=(lambda .*)\.$", str(error.value)).group(1), {"jax": jax})
    support = jax.tree.map(lambda a: a[0], EPISODE.support)
    adapted = anil(cross_entropy(apply), 0.1, is_adapted=is_adapted).adapt(params, support)
    assert moved(params, adapted) == [False] * (len(names) - 2) + [True, True], "weights and biases of the last layer"


def test_examples_may_be_pytrees_with_keys_for_dropout():
    """Each example's mask is its own: the gradient is the same however it is computed."""
    keys = jax.random.split(KEY, (2, *EPISODE.query.y.shape))
    episode = Episode(*(b._replace(x={"x": b.x, "key": k}) for b, k in zip(EPISODE, keys, strict=True)))
    model = nn.Dense(2)

    def apply(params, x):
        mask = jax.vmap(lambda key: jax.random.bernoulli(key, 0.5, (5,)))(x["key"])
        return model.apply(params, x["x"] * mask)

    params = model.init(KEY, X[0])
    hows = [Execution(chunk=0), Execution("scan", 3, residuals="keep")]
    learners = [maml(cross_entropy(apply), 0.1, 2, inner_batch_size=4, execution=how) for how in hows]
    learners += [parallel.shard_over_devices(learners[0])]
    learners += [maml(cross_entropy(lambda params, x: model.apply(params, x["x"])), 0.1, 2)]
    first, *others, unmasked = (jax.jit(of.value_and_grad)(params, episode)[:2] for of in learners)
    for other in others:
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6), first, other)
    assert abs(first[0] - unmasked[0]) > 1e-3
