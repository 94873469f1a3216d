"""The networks: shapes, pooling over real frames only, perceptrons by NumPy, names that are errors."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from metaser_jax import Batch, EmotionLSTM, InputError, Perceptron, cross_entropy, frame_mask, last_layer
from metaser_jax.models.classifier import Linear, decays, in_head, make_network, take_head, trained_logits, with_head
from metaser_jax.models.frames import input_statistics
from metaser_jax.specs import ModelSpec

pytestmark = pytest.mark.usefixtures("strict_promotion")
KEY = jax.random.key(0)


def utterances(n=3, real=(12, 7, 1)):
    x = jax.random.normal(KEY, (n, 12, 20))
    return jnp.where(jnp.arange(12)[None, :, None] < jnp.array(real)[:, None, None], x, 0)


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


@pytest.mark.parametrize("pooling", ["last", "mean_std"])
def test_neither_the_batch_nor_the_padding_matters_but_to_the_papers_pooling(pooling):
    model = EmotionLSTM(hidden_dim=6, pooling=pooling)
    x = utterances()
    params = model.init(KEY, x)
    logits, longer = model.apply(params, x), model.apply(params, jnp.pad(x, ((0, 0), (0, 30), (0, 0))))
    np.testing.assert_allclose(logits[1:2], model.apply(params, x[1:2]), rtol=1e-5, atol=1e-6)
    assert np.allclose(logits, longer, rtol=1e-5, atol=1e-6) == (pooling != "last")


def with_statistics(x, pooling="mean"):
    """A model that sees statistics, and parameters whose last layer is not zero any more."""
    model = EmotionLSTM(hidden_dim=6, pooling=pooling, activation="relu", input_statistics=True)
    params = model.init(KEY, x)
    kernel = params["params"]["output"]["kernel"]
    assert (model.apply(params, x) == 0).all()
    params["params"]["output"]["kernel"] = jax.random.normal(KEY, kernel.shape)
    return model, params


def test_the_last_layer_sees_statistics():
    """Of 40 coefficients the mean, of the 20 MFCC among them five shares; beside 12 pooled numbers."""
    x = jnp.concatenate([utterances()] * 2, axis=-1)
    model, params = with_statistics(x, "mean_std")
    shapes = jax.tree.map(jnp.shape, params["params"])
    assert shapes["standardise"] == {"shift": (140,), "scale": (140,)}
    assert shapes["hidden"] == {"kernel": (12, 6), "bias": (6,)}
    assert shapes["output"] == {"kernel": (146, 4), "bias": (4,)}
    features = model.apply(params, x, method="features")
    statistics = np.asarray(input_statistics(x, frame_mask(x), 20))
    expected = (statistics - statistics.mean(0)) / np.maximum(statistics.std(0), 1e-2)
    np.testing.assert_allclose(features[:, 12:], expected, rtol=1e-3, atol=1e-4)
    p = params["params"]
    hidden = jnp.maximum(features[:, :12] @ p["hidden"]["kernel"] + p["hidden"]["bias"], 0)
    logits = jnp.concatenate([hidden, features[:, 12:]], axis=-1) @ p["output"]["kernel"] + p["output"]["bias"]
    of_head = model.apply(take_head(params), features, method="head")
    longer = model.apply(params, jnp.pad(x, ((0, 0), (0, 30), (0, 0))))
    for found in (model.apply(params, x), of_head, longer):
        np.testing.assert_allclose(found, logits, rtol=1e-4, atol=1e-4)


def test_the_standardisation_is_of_no_head_and_does_not_decay():
    _, params = with_statistics(utterances())

    def where(tree):
        return {name for name, flags in tree["params"].items() if all(jax.tree.leaves(flags))}

    assert where(jax.tree_util.tree_map_with_path(lambda path, _: in_head(path), params)) == {"hidden", "output"}
    assert where(decays(params)) == {"lstm_1", "lstm_2", "hidden", "output"}
    assert take_head(params)["params"].keys() == {"hidden", "output"}
    jax.tree.map(np.testing.assert_array_equal, with_head(params, take_head(params)), params)


X = np.asarray(jax.random.normal(KEY, (5, 1, 7)))


def test_a_perceptron_by_numpy():
    model = Perceptron(hidden_dim=6, num_classes=3, members=2)
    params = model.init(KEY, X)
    voice, output = (params["params"][name] for name in ("voice", "output"))
    hidden = np.maximum(np.einsum("nd,mdh->nmh", X[:, 0], voice["kernel"]) + voice["bias"], 0)
    each = np.einsum("nmh,mhc->nmc", hidden, output["kernel"]) + output["bias"]
    features = model.apply(params, X, method="features")
    np.testing.assert_allclose(trained_logits(model)(params, X), each, rtol=1e-5, atol=1e-6)
    for logits in (model.apply(params, X), model.apply(take_head(params), features, method="head")):
        np.testing.assert_allclose(logits, each.mean(1), rtol=1e-5, atol=1e-6)


def test_members_begin_apart_and_as_wide_as_one_alone():
    params = Perceptron(hidden_dim=200, members=3).init(KEY, jnp.zeros((1, 1, 100)))["params"]["voice"]["kernel"]
    assert np.abs(params[0] - params[1]).max() > 0.01
    np.testing.assert_allclose(params.std(axis=(1, 2)), 0.1, rtol=0.03)  # as Flax's Dense: 1 / sqrt(100)


VOICE = {"network": "perceptron", "features": "voice"}
OURS = {"pooling": "mean_std", "activation": "relu", "input_statistics": True}


@pytest.mark.parametrize("how", [VOICE, OURS], ids=["perceptron", "lstm"])
def test_the_last_layer_of_each_network(how):
    spec = ModelSpec(hidden_dim=4, **how)
    model, x = make_network(spec), jax.random.normal(KEY, (3, spec.rows, spec.coefs))
    params = model.init(KEY, x)
    layer = last_layer(model)
    kernel, bias = layer.get(params)
    kernel = jax.random.normal(KEY, kernel.shape)
    changed = layer.put(params, Linear(kernel, bias + 1))
    seen = layer.embed(params, x)
    by_hand = seen @ kernel + bias + 1 if seen.ndim == 2 else seen[:, 0] @ kernel[0] + bias[0] + 1
    np.testing.assert_allclose(model.apply(changed, x), by_hand, rtol=1e-5, atol=1e-5)
    assert jax.tree.structure(with_head(params, take_head(params))) == jax.tree.structure(params)


def test_specifications_that_contradict_themselves():
    for wrong, flag in (
        ({"network": "perceptron"}, "features: got 'mfcc'"),
        ({"features": "tracks"}, "features: got 'tracks'.* docs/library.md"),
        (VOICE | {"trim_db": 26.5}, "trim_db: got 26.5"),
        (VOICE | {"input_statistics": True}, "input_statistics: got True"),
        (VOICE | {"track_groups": ("pich",)}, "'pitch'"),
        (VOICE | {"normalise": "utterance"}, "normalise: got 'utterance'"),
    ):
        with pytest.raises(InputError, match=flag):
            ModelSpec(**wrong)
    for name, value in (("pooling", "max"), ("activation", "gelu"), ("recurrence", "loop")):
        with pytest.raises(InputError, match=f"{name}: got '{value}'"):
            EmotionLSTM(**{name: value})


@pytest.mark.parametrize("members", [0, 3])
@pytest.mark.parametrize("one_hot", [False, True])
def test_smoothed_labels_are_those_of_optax(members, one_hot):
    rng = np.random.default_rng(4)
    shape = (6, members, 4) if members else (6, 4)
    logits, weight = (jnp.asarray(of, "float32") for of in (rng.normal(size=shape, scale=2), rng.uniform(0.5, 2, 6)))
    y = jnp.asarray(rng.integers(0, 4, 6), "int32")
    labels = jax.nn.one_hot(y, 4)
    batch = Batch(logits, labels if one_hot else y, weight)
    smoothed = optax.smooth_labels(labels, 0.3)
    of_each = optax.softmax_cross_entropy(logits, smoothed[:, None] if members else smoothed)
    expected = np.average(of_each.mean(1) if members else of_each, weights=weight)
    np.testing.assert_allclose(cross_entropy(lambda params, x: x, 0.3)({}, batch), expected, rtol=1e-5)
    assert abs(cross_entropy(lambda params, x: x)({}, batch) - expected) > 1e-3
