"""The classifier: shapes, pooling over real frames only, and names that are errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metaser_jax import EmotionLSTM, InputError, frame_mask
from metaser_jax.models.classifier import decays, in_head, take_head, with_head
from metaser_jax.models.frames import input_statistics
from metaser_jax.models.lstm import LSTMParams, lstm

pytestmark = pytest.mark.usefixtures("strict_promotion")
KEY = jax.random.key(0)


def utterances(n=3, real=(12, 7, 1)):
    x = jax.random.normal(KEY, (n, 12, 20))
    return jnp.where(jnp.arange(12)[None, :, None] < jnp.array(real)[:, None, None], x, 0)


def test_frame_mask_ends_after_the_last_frame_that_is_not_zero():
    x = utterances().at[0, 3].set(0)  # a silent frame inside counts as real
    np.testing.assert_array_equal(frame_mask(x).sum(1), [12, 7, 1])
    np.testing.assert_array_equal(frame_mask(jnp.zeros((1, 4, 2))).sum(1), [0])


@pytest.mark.parametrize("dtype", ["float16", "int8", "uint8", "bool", "complex64"])
def test_frame_mask_takes_sequences_of_any_features(dtype):
    x = np.zeros((2, 3, 5, 7), dtype)
    x[1, 2, 3, 6] = 1
    mask = np.zeros((2, 3, 5), bool)
    mask[1, 2, :4] = True
    np.testing.assert_array_equal(frame_mask(x), mask)
    np.testing.assert_array_equal(frame_mask(jnp.asarray(x[1, 2])), mask[1, 2])
    with pytest.raises(InputError, match=r"frame_mask: got shape \(5,\)"):
        frame_mask(x[0, 0, :, 0])


def test_shapes_and_names():
    params = EmotionLSTM().init(KEY, jnp.zeros((1, 120, 20)))
    shapes = jax.tree.map(jnp.shape, params["params"])
    assert shapes == {
        "lstm_1": {"kernel_input": (20, 512), "kernel_recurrent": (128, 512), "bias": (512,)},
        "lstm_2": {"kernel_input": (128, 512), "kernel_recurrent": (128, 512), "bias": (512,)},
        "hidden": {"kernel": (128, 128), "bias": (128,)},
        "output": {"kernel": (128, 4), "bias": (4,)},
    }
    assert EmotionLSTM().apply(params, jnp.zeros((5, 120, 20))).shape == (5, 4)


def test_the_papers_network_step_by_step():
    x = utterances()
    model = EmotionLSTM(hidden_dim=6)
    params = model.init(KEY, x)
    p = params["params"]
    states = jnp.swapaxes(x, 0, 1)
    for name in ("lstm_1", "lstm_2"):
        states = lstm(LSTMParams(**p[name]), states)
    hidden = states[-1] @ p["hidden"]["kernel"] + p["hidden"]["bias"]
    expected = hidden @ p["output"]["kernel"] + p["output"]["bias"]
    np.testing.assert_allclose(model.apply(params, x), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("pooling", ["mean", "mean_std"])
def test_pooling_ignores_the_padding(pooling):
    model = EmotionLSTM(hidden_dim=6, pooling=pooling)
    x = utterances()
    params = model.init(KEY, x)
    longer = jnp.pad(x, ((0, 0), (0, 30), (0, 0)))
    np.testing.assert_allclose(model.apply(params, x), model.apply(params, longer), rtol=1e-5, atol=1e-6)


def test_the_papers_pooling_does_not_ignore_it():
    model = EmotionLSTM(hidden_dim=6)
    x = utterances()
    params = model.init(KEY, x)
    assert jnp.abs(model.apply(params, x) - model.apply(params, jnp.pad(x, ((0, 0), (0, 30), (0, 0))))).max() > 1e-3


def test_mean_and_deviation_by_numpy():
    states = jax.random.normal(KEY, (12, 3, 5))
    mask = frame_mask(utterances())
    from metaser_jax.models.classifier import POOLINGS

    pooled = POOLINGS["mean_std"](states, mask)
    for n, real in enumerate((12, 7, 1)):
        of_real = np.asarray(states[:real, n], np.float64)
        expected = np.concatenate([of_real.mean(0), np.sqrt(of_real.var(0) + 1e-5)])
        np.testing.assert_allclose(pooled[n], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pooling", ["last", "mean", "mean_std"])
def test_batch_composition_does_not_matter(pooling):
    model = EmotionLSTM(hidden_dim=6, pooling=pooling)
    x = utterances()
    params = model.init(KEY, x)
    np.testing.assert_allclose(model.apply(params, x)[1:2], model.apply(params, x[1:2]), rtol=1e-5, atol=1e-6)


def test_unknown_names():
    with pytest.raises(InputError, match="pooling: got 'max', expected one of: last, mean, mean_std"):
        EmotionLSTM(pooling="max")
    with pytest.raises(InputError, match="activation: got 'gelu'"):
        EmotionLSTM(activation="gelu")
    with pytest.raises(InputError, match="recurrence: got 'loop', expected one of: interpret, kernel, scan"):
        EmotionLSTM(recurrence="loop")


def with_statistics(x, pooling="mean", **attributes):
    """A model that sees statistics, and parameters whose last layer is not zero any more."""
    model = EmotionLSTM(hidden_dim=6, pooling=pooling, activation="relu", input_statistics=True, **attributes)
    params = model.init(KEY, x)
    kernel = params["params"]["output"]["kernel"]
    assert (kernel == 0).all()
    params["params"]["output"]["kernel"] = jax.random.normal(KEY, kernel.shape)
    return model, params


@pytest.mark.parametrize(("pooling", "pooled"), [("mean", 6), ("mean_std", 12), ("last", 6)])
@pytest.mark.parametrize("coefs", [20, 40])
def test_the_last_layer_sees_statistics(pooling, pooled, coefs):
    x = jnp.concatenate([utterances()] * (coefs // 20), axis=-1)
    model, params = with_statistics(x, pooling)
    shapes = jax.tree.map(jnp.shape, params["params"])
    number = coefs + 100
    assert shapes["standardise"] == {"shift": (number,), "scale": (number,)}
    assert shapes["hidden"] == {"kernel": (pooled, 6), "bias": (6,)}
    assert shapes["output"] == {"kernel": (6 + number, 4), "bias": (4,)}
    features = model.apply(params, x, method="features")
    assert features.shape == (3, pooled + number)
    statistics = np.asarray(input_statistics(x, frame_mask(x), 20))
    expected = (statistics - statistics.mean(0)) / np.maximum(statistics.std(0), 1e-2)
    np.testing.assert_allclose(features[:, pooled:], expected, rtol=1e-3, atol=1e-4)
    p = params["params"]
    hidden = jnp.maximum(features[:, :pooled] @ p["hidden"]["kernel"] + p["hidden"]["bias"], 0)
    logits = jnp.concatenate([hidden, features[:, pooled:]], axis=-1) @ p["output"]["kernel"] + p["output"]["bias"]
    np.testing.assert_allclose(model.apply(params, x), logits, rtol=1e-5, atol=1e-5)
    of_head = model.apply(take_head(params), features, method="head")
    np.testing.assert_array_equal(model.apply(params, features, method="head"), of_head)
    np.testing.assert_allclose(of_head, logits, rtol=1e-5, atol=1e-5)


def test_with_statistics_logits_begin_at_zero():
    x = utterances()
    model = EmotionLSTM(hidden_dim=6, input_statistics=True)
    params = model.init(KEY, x)
    assert (model.apply(params, x) == 0).all()
    gradient = jax.grad(lambda params: model.apply(params, x)[:, 0].sum())(params)["params"]["output"]["kernel"]
    assert (gradient[:, 0] != 0).any(), "and can leave it"


def test_with_statistics_the_padding_does_not_matter():
    x = utterances()
    model, params = with_statistics(x)
    longer = jnp.pad(x, ((0, 0), (0, 30), (0, 0)))
    np.testing.assert_allclose(model.apply(params, x), model.apply(params, longer), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model.apply(params, x)[1:2], model.apply(params, x[1:2]), rtol=1e-4, atol=1e-5)


def test_the_standardisation_is_of_no_head_and_does_not_decay():
    x = utterances()
    model, params = with_statistics(x)
    layers = {"lstm_1", "lstm_2", "hidden", "output", "standardise"}
    assert params["params"].keys() == layers

    def where(tree):
        return {name for name, flags in tree["params"].items() if all(jax.tree.leaves(flags))}

    assert where(jax.tree_util.tree_map_with_path(lambda path, _: in_head(path), params)) == {"hidden", "output"}
    assert where(decays(params)) == layers - {"standardise"}
    assert take_head(params)["params"].keys() == {"hidden", "output"}
    jax.tree.map(np.testing.assert_array_equal, with_head(params, take_head(params)), params)
    gradient = jax.grad(lambda params: jnp.sum(jnp.square(model.apply(params, x))))(params)["params"]
    assert all((g == 0).all() for g in jax.tree.leaves(gradient.pop("standardise")))
    assert all((g != 0).any() for g in jax.tree.leaves(gradient))
