"""The algorithms as their papers write them: plain loops and jax.grad, none of metaser_jax's own derivatives.

For comparison in the tests; slow, and clear.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from metaser_jax import Batch, EmotionLSTM, Episode, cross_entropy

INNER_LR = 0.3  # large enough that the second-order term is far above any tolerance
CLASSES, COEF, TIME = 4, 3, 6


def episode_of(tasks, n, dtype):
    """Random utterances, one in each set padded."""
    rng = np.random.default_rng(1)

    def batch():
        x = jnp.asarray(rng.normal(size=(tasks, n, TIME, COEF)), dtype)
        return Batch(x.at[:, 0, -2:].set(0), jnp.asarray(rng.integers(0, CLASSES, (tasks, n)), jnp.int32))

    return Episode(batch(), batch())


def setting(pooling="last"):
    """A small network of ours, its parameters, and an episode of two tasks, in float64."""
    model = EmotionLSTM(5, CLASSES, pooling, activation="none" if pooling == "last" else "relu")
    params = model.init(jax.random.key(0), jnp.zeros((1, TIME, COEF), jnp.float32))
    return model, jax.tree.map(lambda p: p.astype("float64"), params), episode_of(2, 4, "float64")


def dense_setting(dtype="float32"):
    """A network without a recurrence, quick to compile: its loss, parameters, and an episode of four tasks."""
    rng = np.random.default_rng(2)

    def layer(size_in, size_out):
        return {"kernel": jnp.asarray(rng.normal(size=(size_in, size_out)), dtype), "bias": jnp.zeros(size_out, dtype)}

    params = {"params": {"body": layer(COEF, 6), "hidden": layer(6, 5), "output": layer(5, CLASSES)}}

    return dense_loss_fn, params, episode_of(4, 8, dtype)


def _dense_logits(params, x):
    layers = params["params"]
    out = jnp.mean(x, axis=1)
    for name in ("body", "hidden", "output"):
        out = jnp.tanh(out) @ layers[name]["kernel"] + layers[name]["bias"]
    return out


dense_loss_fn = cross_entropy(_dense_logits)


def logits(params, x):
    """The paper's network, step by step: gates i, f, g, o; the last state; two dense layers."""
    layers = params["params"]
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
    hidden = sequence[-1] @ layers["hidden"]["kernel"] + layers["hidden"]["bias"]
    return hidden @ layers["output"]["kernel"] + layers["output"]["bias"]


def loss_fn(params, batch):
    """Mean cross-entropy of the paper's network."""
    losses = optax.softmax_cross_entropy_with_integer_labels(logits(params, batch.x), batch.y)
    weight = jnp.ones_like(losses) if batch.weight is None else batch.weight
    return jnp.sum(weight * losses) / jnp.sum(weight)


def sgd(rate):
    """theta <- theta - rate * gradient, in each step."""
    return lambda params, grads, step: jax.tree.map(lambda p, g: p - rate * g, params, grads)


def path(update, params, support_of_step, steps, *, loss=loss_fn, constant_gradients=False):
    """Parameters before the first and after each inner step."""
    thetas = [params]
    for step in range(steps):
        grads = jax.grad(loss)(thetas[-1], support_of_step(step))
        if constant_gradients:
            grads = jax.lax.stop_gradient(grads)
        thetas.append(update(thetas[-1], grads, step))
    return thetas


def assert_is_the_derivative(value_and_grad, meta_params, episode, directions):
    """The gradient times random directions, against central differences of the loss; float64."""
    flat, unravel = jax.flatten_util.ravel_pytree(meta_params)
    value_and_grad = jax.jit(value_and_grad)
    grads = jax.flatten_util.ravel_pytree(value_and_grad(meta_params, episode)[1])[0]
    for seed in range(directions):
        step = 1e-5 * np.random.default_rng(seed).normal(size=flat.shape)
        after, before = (value_and_grad(unravel(flat + sign * step), episode)[0] for sign in (1, -1))
        np.testing.assert_allclose(grads @ step, (after - before) / 2, rtol=1e-6)


def mean_query_loss(episode, adapted_path, weights=None, *, loss=loss_fn):
    """adapted_path(support) -> thetas; mean over tasks of the last one's query loss, or of all, weighted."""

    def of_task(task):
        thetas = adapted_path(task.support)[1:]
        losses = jnp.stack([loss(theta, task.query) for theta in (thetas[-1:] if weights is None else thetas)])
        return losses[-1] if weights is None else jnp.sum(weights * losses)

    return jnp.mean(jax.vmap(of_task)(episode))
