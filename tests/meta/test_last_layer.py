"""Last layers that a support set gives, and the learners that start with them, against their formulas and jax.grad."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import textbook
from sklearn.linear_model import Ridge
from textbook import close

from metaser_jax import Batch, Episode, Execution, InputError, cross_entropy
from metaser_jax.meta.cautious import FASTER, Caution, CautiousParams, cautious_proto_maml
from metaser_jax.meta.last_layer import PrototypeStart, RidgeStart, labels_of, prototypes, ridge, start_last_layer
from metaser_jax.meta.proto_maml import ProtoParams, proto_maml
from metaser_jax.meta.r2d2 import RidgeParams, r2d2
from metaser_jax.models.classifier import LastLayer, Linear, Perceptron, last_layer, trained_logits

RNG = np.random.default_rng(0)
# The embedding is x itself; the parameters are the last layer.
PLAIN = LastLayer(lambda params, x: x, lambda params: params, lambda params, layer: layer)


def seen(support, classes=3):
    return support.x, *labels_of(support, classes, support.x.dtype)


def support_of(n, d, classes=3, weight=False):
    x = jnp.asarray(RNG.normal(size=(n, d)), "float32")
    y = jnp.asarray(np.arange(n) % classes, "int32")
    return Batch(x, y, jnp.asarray(RNG.uniform(0.5, 2, n), "float32") if weight else None)


def test_a_class_without_utterances_keeps_its_own_part_of_the_last_layer():
    own = Linear(jnp.asarray(RNG.normal(size=(5, 4)), "float32"), jnp.asarray(RNG.normal(size=4), "float32"))
    how = PrototypeStart(jnp.float32(0.3), jnp.float32(0.2))
    support = support_of(9, 5)
    assert np.all(prototypes(*seen(support, classes=4)).kernel[:, 3] == 0)
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
    one_hot = support._replace(y=jax.nn.one_hot(support.y, 3, dtype=jnp.int32))
    close(found, ridge(*seen(one_hot), jnp.float32(0.7)))
    with pytest.raises(InputError, match=rf"support.y: got float32\[{n}\], expected whole numbers \[n\], or one-hot"):
        seen(support._replace(y=support.y.astype(jnp.float32)))


def members_setting():
    """Two perceptrons side by side, and tasks with weights, of which some are zero; float64."""
    model = Perceptron(3, 4, members=2)
    rng = np.random.default_rng(5)

    def batch():
        x = jnp.asarray(rng.normal(size=(3, 8, 1, 6)))
        return Batch(x, jnp.asarray(rng.integers(0, 4, (3, 8)), jnp.int32), jnp.asarray(rng.integers(0, 3, (3, 8)) / 2))

    params = model.init(jax.random.key(0), jnp.zeros((1, 1, 6), jnp.float32))
    return model, jax.tree.map(lambda p: p.astype("float64"), params), Episode(batch(), batch())


def member_hidden(voice, x):
    return jnp.maximum(x[:, 0] @ voice["kernel"] + voice["bias"], 0)


def member_loss(params, batch):
    """The weighted mean of the members' mean loss, written out."""

    def of_member(layers):
        logits = member_hidden(layers["voice"], batch.x) @ layers["output"]["kernel"] + layers["output"]["bias"]
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), batch.y[:, None], 1)[:, 0]

    losses = jnp.mean(jax.vmap(of_member)(params["params"]), axis=0)
    return jnp.sum(batch.weight * losses) / jnp.sum(batch.weight)


def member_layer(how, params, support):
    """The members' last layers by the formulas."""
    y = jax.nn.one_hot(support.y, 4, dtype=support.weight.dtype)

    def of_member(layers):
        h, own = member_hidden(layers["voice"], support.x), layers["output"]
        if isinstance(how, PrototypeStart):
            total = support.weight @ y
            centres = (y * support.weight[:, None]).T @ h / jnp.where(total > 0, total, 1)[:, None]
            b, s = jax.nn.sigmoid(how.blend) * (total > 0), jnp.exp(how.log_scale) / h.shape[1]
            kernel = (1 - b) * own["kernel"] + b * s * 2 * centres.T
            return {"kernel": kernel, "bias": (1 - b) * own["bias"] - b * s * jnp.sum(centres**2, 1)}
        h = jnp.concatenate([h, jnp.ones_like(h[:, :1])], 1)
        weighted = h * support.weight[:, None]
        w = jnp.linalg.inv(weighted.T @ h + jnp.exp(how.log_penalty) * jnp.eye(h.shape[1])) @ weighted.T @ y
        return {"kernel": jnp.exp(how.log_scale) * w[:-1], "bias": jnp.exp(how.log_scale) * w[-1]}

    return {"params": params["params"] | {"output": jax.vmap(of_member)(params["params"])}}


def learned(name, params):
    """Meta-parameters of which each number differs from where it starts."""
    if name == "ridge":
        return RidgeParams(params, RidgeStart(jnp.float64(-0.5), jnp.float64(0.4)))
    if name.startswith("cautious"):
        rates = {"params": {layer: jnp.float64(0.03 * (i - 8)) for i, layer in enumerate(params["params"])}}
        return CautiousParams(params, Caution(*map(jnp.float64, (0.03, 0.02, 0.05, 0.07)), rates))
    rates = jax.tree.map(lambda p: 0.3 + 0.1 * jnp.cos(p), params) if name == "learned rates" else None
    return ProtoParams(params, PrototypeStart(jnp.float64(0.3), jnp.float64(0.2)), rates)


def written_out(meta, task, first_order):
    """The query loss after adaptation, as the papers and cautious.py define it."""
    start, rates, w = getattr(meta, "start", None), jax.tree.map(lambda _: 0.3, meta.params), 1
    if isinstance(meta, CautiousParams):
        caution = jax.tree.map(lambda number: 10 * number, meta.caution)
        start = PrototypeStart(caution.blend, caution.log_scale)
        log_rates, layers = caution.log_rates["params"], meta.params["params"]
        rates = {"params": {k: jax.tree.map(lambda _, k=k: jnp.exp(log_rates[k]), layers[k]) for k in layers}}
        per_class = jnp.zeros(4).at[task.support.y].add(task.support.weight)
        k = per_class.sum() / jnp.maximum((per_class > 0).sum(), 1)
        w = k / (k + jnp.exp(caution.log_clips)) / (1 + jnp.exp(-caution.trust))
    elif getattr(meta, "rates", None) is not None:
        rates = meta.rates
    path = textbook.path(
        lambda thetas, grads, step: jax.tree.map(lambda p, rate, g: p - rate * g, thetas[-1], rates, grads),
        member_layer(start, meta.params, task.support),
        lambda step: task.support,
        0 if isinstance(meta, RidgeParams) else 2,
        loss=member_loss,
        constant_gradients=first_order,
    )
    kept = jax.tree.map(lambda source, end: source + w * (end - source), meta.params, path[-1])
    return member_loss(kept, task.query)


@pytest.mark.parametrize("name", ["second", "learned rates", "ridge", "cautious second", "cautious first"])
def test_members_with_weights_are_the_textbooks(name):
    assert FASTER == 10
    with jax.enable_x64(True):
        model, params, episode = members_setting()
        loss_fn, where = cross_entropy(trained_logits(model)), last_layer(model)
        how, order = {"execution": Execution(chunk=3)}, "first" if "first" in name else "second"
        if name == "ridge":
            learner = r2d2(loss_fn, where, **how)
        elif name.startswith("cautious"):
            learner = cautious_proto_maml(loss_fn, where, 0.3, 2, order, **how)
        else:
            learner = proto_maml(loss_fn, where, 0.3, 2, order, learn_rates=name == "learned rates", **how)
        meta = learned(name, params)
        assert jax.tree.structure(learner.init(params)) == jax.tree.structure(meta)

        def book(meta):
            return jnp.mean(jax.vmap(lambda task: written_out(meta, task, order == "first"))(episode))

        close(jax.jit(learner.value_and_grad)(meta, episode)[:2], jax.jit(jax.value_and_grad(book))(meta), 1e-10)
