"""The algorithms as their papers write them: plain loops and jax.grad, none of metaser_jax's own derivatives.

For comparison in the tests; slow, and clear.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from metaser_jax import Batch, EmotionLSTM, Episode, cross_entropy
from metaser_jax.models.classifier import LastLayer, Linear

INNER_LR = 0.3  # large enough that the second-order term is far above any tolerance
CLASSES, COEF, TIME = 4, 3, 6


def optimised(function):
    """The function, compiled as for users: tests/conftest.py has everything else compiled without optimisation."""
    options = {"xla_backend_optimization_level": 3, "xla_cpu_use_fusion_emitters": True}
    return jax.jit(function, compiler_options=options)


def episode_of(tasks, n, dtype):
    """Random utterances, one in each set padded."""
    rng = np.random.default_rng(1)

    def batch():
        x = jnp.asarray(rng.normal(size=(tasks, n, TIME, COEF)), dtype)
        return Batch(x.at[:, 0, -2:].set(0), jnp.asarray(rng.integers(0, CLASSES, (tasks, n)), jnp.int32))

    return Episode(batch(), batch())


def setting(pooling="last", statistics=False):
    """A small network of ours, its parameters (no layer's are all zero), and an episode of two tasks, in float64."""
    model = EmotionLSTM(5, CLASSES, pooling, "none" if pooling == "last" else "relu", statistics)
    episode = episode_of(2, 4, "float64")
    params = model.init(jax.random.key(0), episode.query.x[0].astype("float32"))
    params = jax.tree.map(lambda p: p.astype("float64"), params)
    if statistics:
        shape = params["params"]["output"]["kernel"].shape
        params["params"]["output"]["kernel"] = jnp.asarray(np.random.default_rng(3).normal(size=shape, scale=0.3))
    return model, params, episode


def dense_setting(dtype="float32"):
    """A network without a recurrence, quick to compile: its loss, parameters, and an episode of four tasks."""
    rng = np.random.default_rng(2)

    def layer(size_in, size_out):
        return {"kernel": jnp.asarray(rng.normal(size=(size_in, size_out)), dtype), "bias": jnp.zeros(size_out, dtype)}

    params = {"params": {"body": layer(COEF, 6), "hidden": layer(6, 5), "output": layer(5, CLASSES)}}
    return dense_loss_fn, params, episode_of(4, 8, dtype)


def dense_embed(params, x):
    layers = params["params"]
    out = jnp.mean(x, axis=1)
    for name in ("body", "hidden"):
        out = jnp.tanh(out) @ layers[name]["kernel"] + layers[name]["bias"]
    return jnp.tanh(out)


def dense_logits(params, x):
    output = params["params"]["output"]
    return dense_embed(params, x) @ output["kernel"] + output["bias"]


DENSE_LAST_LAYER = LastLayer(
    embed=dense_embed,
    get=lambda params: Linear(**params["params"]["output"]),
    put=lambda params, layer: {"params": {**params["params"], "output": layer._asdict()}},
)
dense_loss_fn = cross_entropy(dense_logits)


def states(layers, x):
    """Those of the second LSTM layer, step by step, [time, n, hidden]: gates i, f, g, o."""
    sequence = jnp.swapaxes(x, 0, 1)
    for name in ("lstm_1", "lstm_2"):
        w, u, b = (layers[name][k] for k in ("kernel_input", "kernel_recurrent", "bias"))
        hidden = u.shape[0]

        def step(carry, frame, w=w, u=u, b=b, hidden=hidden):
            h, c = carry
            z = frame @ w + h @ u + b
            i, f, g, o = (z[:, k * hidden : (k + 1) * hidden] for k in range(4))
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        zeros = jnp.zeros((x.shape[0], hidden), x.dtype)
        _, sequence = jax.lax.scan(step, (zeros, zeros), sequence)
    return sequence


def logits(params, x):
    """The paper's network: the last state; two dense layers."""
    layers = params["params"]
    hidden = states(layers, x)[-1] @ layers["hidden"]["kernel"] + layers["hidden"]["bias"]
    return hidden @ layers["output"]["kernel"] + layers["output"]["bias"]


def logits_with_statistics(params, x):
    """The network that sees statistics of its input, utterance by utterance, each without its padding."""
    layers = params["params"]
    constants = jax.lax.stop_gradient(layers["standardise"])

    def of_one(frames, n):
        real = (jnp.arange(len(frames)) < n)[:, None]

        def mean(values):
            return jnp.sum(jnp.where(real, values, 0), axis=0) / n

        shares = [mean(1 / (1 + jnp.exp(-4 * (frames - t)))) for t in (-1.3, -0.67, 0.0, 0.67, 1.3)]
        statistics = (jnp.concatenate([mean(frames), *shares]) - constants["shift"]) / constants["scale"]
        pooled = mean(states(layers, frames[None])[:, 0])
        hidden = jnp.maximum(pooled @ layers["hidden"]["kernel"] + layers["hidden"]["bias"], 0)
        return jnp.concatenate([hidden, statistics]) @ layers["output"]["kernel"] + layers["output"]["bias"]

    return jax.vmap(of_one)(x, jnp.full(len(x), TIME).at[0].add(-2))  # as episode_of pads


def loss_fn(params, batch, logits=logits):
    """Mean cross-entropy of the paper's network, or of another."""
    losses = optax.softmax_cross_entropy_with_integer_labels(logits(params, batch.x), batch.y)
    weight = jnp.ones_like(losses) if batch.weight is None else batch.weight
    return jnp.sum(weight * losses) / jnp.sum(weight)


def path(update, params, support_of_step, steps, *, loss=loss_fn, constant_gradients=False):
    """Parameters before the first and after each inner step; update: (those so far, gradient, step) -> the next."""
    thetas = [params]
    for step in range(steps):
        grads = jax.grad(loss)(thetas[-1], support_of_step(step))
        thetas.append(update(thetas, jax.lax.stop_gradient(grads) if constant_gradients else grads, step))
    return thetas


def mean_query_loss(episode, adapted_path, weights=None, *, loss=loss_fn):
    """adapted_path(support) -> thetas; mean over tasks of the last one's query loss, or of all, weighted."""

    def of_task(task):
        thetas = adapted_path(task.support)[1:]
        if weights is None:
            return loss(thetas[-1], task.query)
        return jnp.asarray(weights) @ jnp.stack([loss(theta, task.query) for theta in thetas])

    return jnp.mean(jax.vmap(of_task)(episode))


def maml_loss(loss, params, episode):
    """MAML's loss after two inner steps at a rate of 0.1, to be differentiated."""

    def step(thetas, grads, _):
        return jax.tree.map(lambda p, g: p - 0.1 * g, thetas[-1], grads)

    return mean_query_loss(episode, lambda support: path(step, params, lambda _: support, 2, loss=loss), loss=loss)


def close(a, b, tolerance=2e-5):
    """Two pytrees of arrays are equal, number by number."""
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance), a, b)


def assert_is_the_derivative(value_and_grad, meta_params, episode, directions):
    """The gradient times random directions, against central differences of the loss; float64."""
    flat, unravel = jax.flatten_util.ravel_pytree(meta_params)
    value_and_grad = jax.jit(value_and_grad)
    grads = jax.flatten_util.ravel_pytree(value_and_grad(meta_params, episode)[1])[0]
    for seed in range(directions):
        step = 1e-5 * np.random.default_rng(seed).normal(size=flat.shape)
        after, before = (value_and_grad(unravel(flat + sign * step), episode)[0] for sign in (1, -1))
        np.testing.assert_allclose(grads @ step, (after - before) / 2, rtol=1e-6)
