"""Parameters, data and labels of any types: the result has the parameters', and jax.grad's value up to rounding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import textbook
from test_contract import LEARNERS

from metaser_jax import Batch, InputError, cross_entropy

# Parameters, x, and the error that the smaller of the two types may leave.
TYPES = {
    "bfloat16 parameters": ("bfloat16", "float32", 0.05),
    "bfloat16 data": ("float32", "bfloat16", 0.05),
    "float16 data": ("float32", "float16", 0.01),
    "float64 parameters": ("float64", "float32", 1e-6),
    "float64 data": ("float32", "float64", 1e-5),
}


def assert_as_expected(loss_and_grads, expected, params, tolerance):
    """Types are those of the parameters; the error is relative to the whole gradient."""
    loss, grads = loss_and_grads[:2]
    assert jax.tree.map(lambda g: g.dtype, grads) == jax.tree.map(lambda p: p.dtype, params)
    got, want = (jax.flatten_util.ravel_pytree(cast(of, "float64"))[0] for of in (grads, expected[1]))
    assert np.linalg.norm(got - want) < tolerance * np.linalg.norm(want)
    np.testing.assert_allclose(np.float64(loss), np.float64(expected[0]), rtol=tolerance)


def cast(tree, floats):
    return jax.tree.map(lambda a: a.astype(floats) if jnp.issubdtype(a.dtype, jnp.floating) else a, tree)


def cases(params, episode, names=tuple(TYPES)):
    for of_params, of_x, tolerance in map(TYPES.get, names):
        given = cast(params, of_params), cast(episode, of_x)
        yield given, cast(given, "float64"), tolerance


@pytest.mark.parametrize(
    "name", ["maml", "multi_step", "meta_sgd", "layer_rates", "reptile", "cautious_proto_maml", "r2d2", "supervised"]
)
def test_every_learner(name):
    """Against the same learner in float64, and second order against jax.grad through the whole inner loop."""
    with jax.enable_x64(True):
        loss_fn, params, episode = textbook.dense_setting()
        episode = jax.tree.map(lambda a: jnp.tile(a, (1, 3) + (1,) * (a.ndim - 2)), episode)  # more than a chunk
        learner = LEARNERS[name](loss_fn)
        of = jax.jit(lambda params, episode: learner.value_and_grad(learner.init(params), episode))
        book = jax.jit(jax.value_and_grad(lambda params, episode: textbook.maml_loss(loss_fn, params, episode)))
        names = tuple(TYPES) if name == "maml" else ("bfloat16 parameters", "float64 data")
        for given, exact, tolerance in cases(params, episode, names):
            # Reptile's gradient is the difference of parameters, which differ in their last bits.
            tolerance *= 4 if name == "reptile" else 1
            assert_as_expected(of(*given), of(*exact), learner.init(given[0]), tolerance)
            if name == "maml":
                assert_as_expected(of(*given), book(*exact), given[0], tolerance)
        adapted = jax.jit(lambda params, support: learner.adapt(learner.init(params), support))
        task = jax.tree.map(lambda a: a[0], episode.support)
        assert all(leaf.dtype == "bfloat16" for leaf in jax.tree.leaves(adapted(cast(params, "bfloat16"), task)))


def test_the_recurrence():
    """Second order through EmotionLSTM."""
    with jax.enable_x64(True):
        model, params, episode = textbook.setting("mean_std")
        of = jax.jit(LEARNERS["maml"](cross_entropy(model.apply)).value_and_grad)
        for given, exact, tolerance in cases(params, episode, ("bfloat16 parameters",)):
            assert_as_expected(of(*given), of(*exact), given[0], tolerance)


def test_labels():
    """Whole numbers of any type, one-hot labels of any type, and probabilities."""
    logits, y = jnp.asarray(np.random.default_rng(0).normal(size=(3, 4)), "float32"), jnp.array([0, 3, 1])
    loss_fn = cross_entropy(lambda params, x: x)
    expected = loss_fn({}, Batch(logits, y))
    for labels in (y.astype(jnp.uint8), *(jax.nn.one_hot(y, 4, dtype=of) for of in ("int32", "bfloat16", "float32"))):
        np.testing.assert_allclose(loss_fn({}, Batch(logits, labels)), expected, rtol=1e-6)
    for wrong in (y.astype("float32"), jax.nn.one_hot(y, 5)):
        with pytest.raises(InputError, match=r"batch.y: got float32\[3"):
            loss_fn({}, Batch(logits, wrong))
