"""The recurrence against flax's own LSTM, and what follows from its equations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from textbook import optimised

from metaser_jax.models.lstm import LSTMParams, lstm

pytestmark = pytest.mark.usefixtures("strict_promotion")
TIME, N, F, H = 9, 3, 5, 7


def arguments(dtype="float32", n=N, hidden=H, tasks=()):
    """Parameters and frames; with tasks, each has its own."""
    random = np.random.default_rng(0)
    shapes = ((F, 4 * hidden), (hidden, 4 * hidden), (4 * hidden,), (TIME, n, F))
    *params, x = (jnp.asarray(random.normal(size=(*tasks, *shape)) / 3, dtype) for shape in shapes)
    return LSTMParams(*params), 3 * x


def flax_lstm(params, x):
    """The same layer by flax."""
    inputs, recurrents = (jnp.split(k, 4, 1) for k in (params.kernel_input, params.kernel_recurrent))
    biases = jnp.split(params.bias, 4)
    cell = {}
    for gate, inp, rec, bias in zip("ifgo", inputs, recurrents, biases, strict=True):
        cell |= {f"i{gate}": {"kernel": inp}, f"h{gate}": {"kernel": rec, "bias": bias}}
    rnn = nn.RNN(nn.OptimizedLSTMCell(H, dtype=x.dtype, param_dtype=x.dtype), time_major=True)
    return rnn.apply({"params": {"cell": cell}}, x)


def test_gradient_under_vmap_equals_a_loop():
    """As compiled: jax 0.10.2 got this wrong in float64 with jnp.split for the gates."""
    with jax.enable_x64(True):
        params, frames = arguments("float64")
        x = jnp.stack([frames, frames[::-1]])

        def value(params, x):
            return jnp.sum(jnp.sin(lstm(params, x)))

        batched = optimised(jax.grad(lambda p: jnp.sum(jax.vmap(value, (None, 0))(p, x))))(params)
        looped = optimised(jax.grad(lambda p: value(p, x[0]) + value(p, x[1])))(params)
        jax.tree.map(lambda b, e: np.testing.assert_allclose(b, e, rtol=1e-12, atol=1e-12), batched, looped)


def test_backward_pass_equals_automatic_differentiation_twice():
    """The hand-derived backward pass, and its own derivative, against flax's LSTM differentiated by jax."""
    with jax.enable_x64(True):
        params, x = arguments("float64")

        def value(function, params, x):
            return jnp.sum(jnp.sin(function(params, x)))

        def squared_gradient(function, params, x):
            grads = jax.grad(value, argnums=(1, 2))(function, params, x)
            return sum(jnp.sum(jnp.square(g)) for g in jax.tree.leaves(grads))

        for of in (value, squared_gradient):
            got, expected = (jax.jit(jax.grad(of, (1, 2)), static_argnums=0)(f, params, x) for f in (lstm, flax_lstm))
            jax.tree.map(lambda g, e: np.testing.assert_allclose(g, e, rtol=1e-10, atol=1e-12), got, expected)


def test_a_state_depends_on_its_own_utterances_past_alone():
    params, x = arguments()
    states = lstm(params, x)
    np.testing.assert_allclose(states, flax_lstm(params, x), rtol=1e-5, atol=1e-6)
    small = jax.tree.map(lambda p: p.astype("bfloat16"), params)  # of other types than x
    with jax.numpy_dtype_promotion("standard"):
        value, grads = jax.value_and_grad(lambda params: jnp.sum(lstm(params, x) * states))(small)
    assert (value.dtype, *(g.dtype for g in grads)) == ("float32", "bfloat16", "bfloat16", "bfloat16")
    np.testing.assert_allclose(value, jnp.sum(states * states), rtol=0.05)
    np.testing.assert_array_equal(states[:4], lstm(params, x.at[4:].set(9.0))[:4])
    np.testing.assert_allclose(states[:, 1:2], lstm(params, x[:, 1:2]), rtol=1e-5, atol=1e-6)
