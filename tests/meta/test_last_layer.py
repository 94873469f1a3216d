"""Last layers that a support set gives: against their formulas, and the learners' gradients against jax.grad."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import textbook
from sklearn.linear_model import Ridge
from test_contract import close

from metaser_jax import Batch, EmotionLSTM, Episode, Execution, InputError, cross_entropy
from metaser_jax.meta.last_layer import PrototypeStart, RidgeStart, labels_of, prototypes, ridge, start_last_layer
from metaser_jax.meta.proto_maml import proto_maml
from metaser_jax.meta.r2d2 import r2d2
from metaser_jax.models.classifier import LastLayer, Linear, Perceptron, last_layer, trained_logits

RNG = np.random.default_rng(0)
# The embedding is x itself; the parameters are the last layer.
PLAIN = LastLayer(lambda params, x: x, lambda params: params, lambda params, layer: layer)


def seen(support, classes=3):
    """What `prototypes` and `ridge` are given of a support set."""
    return support.x, *labels_of(support, classes, support.x.dtype)


def support_of(n, d, classes=3, weight=False):
    x = jnp.asarray(RNG.normal(size=(n, d)), "float32")
    y = jnp.asarray(np.arange(n) % classes, "int32")
    return Batch(x, y, jnp.asarray(RNG.uniform(0.5, 2, n), "float32") if weight else None)


@pytest.mark.parametrize("weight", [False, True])
def test_prototypes_prefer_the_nearest(weight):
    """Softmax over classes is that of the negative squared distances, divided by the embedding's size."""
    support = support_of(9, 5, weight=weight)
    found = prototypes(*seen(support))
    by = np.ones(9) if support.weight is None else np.asarray(support.weight)
    centres = np.stack([np.average(support.x[support.y == k], axis=0, weights=by[support.y == k]) for k in range(3)])
    new = RNG.normal(size=(4, 5))
    distance = np.square(new[:, None] - centres).sum(-1) / 5
    close(jax.nn.log_softmax(new @ found.kernel + found.bias), jax.nn.log_softmax(-distance))
    one_hot = support._replace(y=jax.nn.one_hot(support.y, 3, dtype=jnp.int32))
    close(found, prototypes(*seen(one_hot)))


def test_a_class_without_utterances():
    found = prototypes(*seen(support_of(9, 5), classes=4))
    assert np.isfinite(found.kernel).all()
    assert np.all(found.kernel[:, 3] == 0)


def test_a_class_without_utterances_keeps_its_own_part_of_the_last_layer():
    own = Linear(jnp.asarray(RNG.normal(size=(5, 4)), "float32"), jnp.asarray(RNG.normal(size=4), "float32"))
    how = PrototypeStart(jnp.float32(0.3), jnp.float32(0.2))
    support = support_of(9, 5)
    started = start_last_layer(how, PLAIN, own, support)
    np.testing.assert_array_equal(started.kernel[:, 3], own.kernel[:, 3])
    assert np.all(started.kernel[:, :3] != own.kernel[:, :3])
    nothing = support._replace(weight=jnp.zeros(9))
    jax.tree.map(np.testing.assert_array_equal, start_last_layer(how, PLAIN, own, nothing), own)


@pytest.mark.parametrize(("n", "d"), [(6, 20), (40, 5)])
@pytest.mark.parametrize("weight", [False, True])
def test_ridge_is_scikit_learns(n, d, weight):
    """In both spaces; the penalty is on the bias as well, which scikit-learn is given as a column of ones."""
    support = support_of(n, d, weight=weight)
    found = ridge(*seen(support), jnp.float32(0.7))
    with_ones = np.concatenate([support.x, np.ones((n, 1))], axis=1)
    of = Ridge(alpha=0.7, fit_intercept=False).fit(with_ones, np.eye(3)[np.asarray(support.y)], support.weight)
    close(np.concatenate([found.kernel.T, found.bias[:, None]], axis=1), of.coef_, 1e-4)


def test_the_last_layer_of_our_network():
    model = EmotionLSTM(5, 4, "mean_std", "relu", input_statistics=True)
    x = textbook.episode_of(1, 6, "float32").query.x[0]
    params = model.init(jax.random.key(0), x)
    params["params"]["output"]["kernel"] = jnp.asarray(
        RNG.normal(size=params["params"]["output"]["kernel"].shape), "float32"
    )
    where = last_layer(model)
    layer = where.get(params)
    close(where.embed(params, x) @ layer.kernel + layer.bias, model.apply(params, x))
    doubled = where.put(params, Linear(2 * layer.kernel, layer.bias))
    close(model.apply(doubled, x), 2 * where.embed(params, x) @ layer.kernel + layer.bias)


def mean_over_tasks(of_task, episode):
    return jnp.mean(jax.vmap(of_task)(episode))


@pytest.mark.parametrize("order", ["second", "first"])
def test_proto_maml_is_the_textbooks(order):
    """Two inner steps from the blend of the own last layer and the prototypes, all of it differentiated."""
    with jax.enable_x64(True):
        loss_fn, params, episode = textbook.dense_setting("float64")
        where = textbook.DENSE_LAST_LAYER

        def book(meta):
            def of_task(task):
                h, y = where.embed(meta.params, task.support.x), jax.nn.one_hot(task.support.y, textbook.CLASSES)
                centres = y.T @ h / jnp.maximum(y.sum(0), 1)[:, None]
                # A class without utterances keeps its own part.
                b, s = jax.nn.sigmoid(meta.start.blend) * (y.sum(0) > 0), jnp.exp(meta.start.log_scale) / h.shape[1]
                own = where.get(meta.params)
                kernel = (1 - b) * own.kernel + b * s * 2 * centres.T
                bias = (1 - b) * own.bias - b * s * jnp.sum(centres**2, 1)
                start = where.put(meta.params, Linear(kernel, bias))
                constant = order == "first"
                path = textbook.path(
                    textbook.sgd(0.1), start, lambda step: task.support, 2, loss=loss_fn, constant_gradients=constant
                )
                return loss_fn(path[-1], task.query)

            return mean_over_tasks(of_task, episode)

        learner = proto_maml(loss_fn, where, 0.1, 2, order)
        meta = learner.init(params)._replace(start=PrototypeStart(jnp.float64(0.3), jnp.float64(0.2)))
        close(jax.jit(learner.value_and_grad)(meta, episode)[:2], jax.jit(jax.value_and_grad(book))(meta), 1e-11)


def test_r2d2_is_the_derivative_of_its_loss():
    with jax.enable_x64(True):
        loss_fn, params, episode = textbook.dense_setting("float64")
        where = textbook.DENSE_LAST_LAYER

        def book(meta):
            def of_task(task):
                h = where.embed(meta.params, task.support.x)
                h = jnp.concatenate([h, jnp.ones_like(h[:, :1])], 1)
                y = jax.nn.one_hot(task.support.y, textbook.CLASSES, dtype=h.dtype)
                w = jnp.linalg.inv(h.T @ h + jnp.exp(meta.start.log_penalty) * jnp.eye(h.shape[1])) @ h.T @ y
                w = jnp.exp(meta.start.log_scale) * w
                return loss_fn(where.put(meta.params, Linear(w[:-1], w[-1])), task.query)

            return mean_over_tasks(of_task, episode)

        learner = r2d2(loss_fn, where)
        meta = learner.init(params)._replace(start=RidgeStart(jnp.float64(-0.5), jnp.float64(0.4)))
        close(jax.jit(learner.value_and_grad)(meta, episode)[:2], jax.jit(jax.value_and_grad(book))(meta), 1e-10)


def test_labels_that_are_none():
    support = support_of(6, 5)
    with pytest.raises(InputError, match=r"support.y: got float32\[6\], expected whole numbers \[n\], or one-hot"):
        labels_of(support._replace(y=support.y.astype(jnp.float32)), 3, "float32")


def members_setting():
    """Two perceptrons side by side, and tasks with weights, of which some are zero; float64."""
    model = Perceptron(3, 4, members=2)
    rng = np.random.default_rng(5)

    def batch():
        x = jnp.asarray(rng.normal(size=(3, 8, 1, 6)))
        return Batch(x, jnp.asarray(rng.integers(0, 4, (3, 8)), jnp.int32), jnp.asarray(rng.integers(0, 3, (3, 8)) / 2))

    params = model.init(jax.random.key(0), jnp.zeros((1, 1, 6), jnp.float32))
    return model, jax.tree.map(lambda p: p.astype("float64"), params), Episode(batch(), batch())


def member_loss(params, batch):
    """The weighted mean of the members' mean loss, written out."""
    of, losses = params["params"], []
    for m in range(2):
        h = jnp.maximum(batch.x[:, 0] @ of["voice"]["kernel"][m] + of["voice"]["bias"][m], 0)
        logits = h @ of["output"]["kernel"][m] + of["output"]["bias"][m]
        losses.append(-jnp.take_along_axis(jax.nn.log_softmax(logits), batch.y[:, None], 1)[:, 0])
    return jnp.sum(batch.weight * sum(losses) / 2) / jnp.sum(batch.weight)


def member_layer(how, params, support):
    """The members' last layers, one by one, by the formulas."""
    of, kernels, biases = params["params"], [], []
    y = jax.nn.one_hot(support.y, 4, dtype=support.weight.dtype)
    for m in range(2):
        h = jnp.maximum(support.x[:, 0] @ of["voice"]["kernel"][m] + of["voice"]["bias"][m], 0)
        if isinstance(how, PrototypeStart):
            total = support.weight @ y
            centres = (y * support.weight[:, None]).T @ h / jnp.where(total > 0, total, 1)[:, None]
            b, s = jax.nn.sigmoid(how.blend) * (total > 0), jnp.exp(how.log_scale) / h.shape[1]
            kernels.append((1 - b) * of["output"]["kernel"][m] + b * s * 2 * centres.T)
            biases.append((1 - b) * of["output"]["bias"][m] - b * s * jnp.sum(centres**2, 1))
        else:
            h = jnp.concatenate([h, jnp.ones_like(h[:, :1])], 1)
            weighted = h * support.weight[:, None]
            w = jnp.linalg.inv(weighted.T @ h + jnp.exp(how.log_penalty) * jnp.eye(h.shape[1])) @ weighted.T @ y
            kernels.append(jnp.exp(how.log_scale) * w[:-1])
            biases.append(jnp.exp(how.log_scale) * w[-1])
    return {"params": {**of, "output": {"kernel": jnp.stack(kernels), "bias": jnp.stack(biases)}}}


@pytest.mark.parametrize("name", ["second", "first", "learned rates", "ridge"])
def test_members_with_weights_are_the_textbooks(name):
    with jax.enable_x64(True):
        model, params, episode = members_setting()
        loss_fn, where = cross_entropy(trained_logits(model)), last_layer(model)
        how = {"execution": Execution(chunk=3)}
        if name == "ridge":
            learner, start = r2d2(loss_fn, where, **how), RidgeStart(jnp.float64(-0.5), jnp.float64(0.4))
        else:
            order, learn_rates = ("second" if name == "learned rates" else name), name == "learned rates"
            learner = proto_maml(loss_fn, where, 0.3, 2, order, learn_rates=learn_rates, **how)
            start = PrototypeStart(jnp.float64(0.3), jnp.float64(0.2))
        meta = learner.init(params)._replace(start=start)

        def book(meta):
            def update(theta, grads, step):
                rates = getattr(meta, "rates", None)
                if rates is None:
                    return textbook.sgd(0.3)(theta, grads, step)
                return jax.tree.map(lambda p, a, g: p - a * g, theta, rates, grads)

            def of_task(task):
                begin, steps = member_layer(meta.start, meta.params, task.support), 0 if name == "ridge" else 2
                path = textbook.path(
                    update,
                    begin,
                    lambda step: task.support,
                    steps,
                    loss=member_loss,
                    constant_gradients=name == "first",
                )
                return member_loss(path[-1], task.query)

            return mean_over_tasks(of_task, episode)

        close(jax.jit(learner.value_and_grad)(meta, episode)[:2], jax.jit(jax.value_and_grad(book))(meta), 1e-10)
