"""The recurrence: one LSTM layer over time, as a pure function with its backward pass derived by hand.

With gates in the order i, f, g, o (PyTorch's order, so that its weights map block by block):

  [i f g o]_t = x_t W_x + h_{t-1} W_h + b
  c_t = sigmoid(f) * c_{t-1} + sigmoid(i) * tanh(g)
  h_t = sigmoid(o) * tanh(c_t),            h_0 = c_0 = 0

The backward pass carries dh and dc through one small product per step; the gradients of the weights and of x are one
large product each after the loop, where differentiating the loop would add up [H, 4H] matrices in every step. It is
made of differentiable operations, so it can be differentiated again (second-order MAML).

Reference: Hochreiter and Schmidhuber, "Long short-term memory", 1997, with the forget gate of Gers et al., 2000.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class LSTMParams(NamedTuple):
    """Attributes: kernel_input [F, 4H], kernel_recurrent [H, 4H], bias [4H]."""

    kernel_input: jax.Array
    kernel_recurrent: jax.Array
    bias: jax.Array


def _step(kernel_recurrent, carry, projected):
    """One time step: the new (h, c), and the gates after their non-linearities."""
    h, c = carry
    gates = projected + h @ kernel_recurrent
    hidden = h.shape[-1]
    # NOTE: slices, because the gradient of this loop with jnp.split under vmap is wrong in float64 on CPU as compiled
    # by jax 0.10.2 (tests/test_lstm.py compares).
    i, f, g, o = (gates[..., k * hidden : (k + 1) * hidden] for k in range(4))
    i, f, g, o = jax.nn.sigmoid(i), jax.nn.sigmoid(f), jnp.tanh(g), jax.nn.sigmoid(o)
    c = f * c + i * g
    return (o * jnp.tanh(c), c), (i, f, g, o)


def _scan(params: LSTMParams, x: jax.Array, keep):
    # What does not depend on h is one large product before the loop instead of a small one in each step.
    projected = x @ params.kernel_input + params.bias
    zeros = jnp.zeros((x.shape[1], params.kernel_recurrent.shape[0]), projected.dtype)

    def step(carry, z):
        carry, gates = _step(params.kernel_recurrent, carry, z)
        return carry, keep(carry, gates)

    return jax.lax.scan(step, (zeros, zeros), projected)[1]


@jax.custom_vjp
def lstm(params: LSTMParams, x: jax.Array) -> jax.Array:
    """All hidden states of one layer, from a zero state.

    Args:
      params: weights of the layer; F is the size of an input frame, H the number of hidden units.
      x: [time, n, F], time-major, so that each step reads contiguous memory.

    Returns:
      [time, n, H] hidden states. Reverse mode differentiates it any number of times; forward mode does not.
    """
    return _scan(params, x, keep=lambda carry, gates: carry[0])


def _forward(params: LSTMParams, x: jax.Array):
    states, cells, gates = _scan(params, x, keep=lambda carry, gates: (*carry, gates))
    return states, (params, x, states, cells, gates)


def _shift(sequence: jax.Array) -> jax.Array:
    """[time, ...] -> what each step found: zeros, then all but the last."""
    return jnp.concatenate([jnp.zeros_like(sequence[:1]), sequence[:-1]])


def _backward(residuals, d_states: jax.Array):
    params, x, states, cells, gates = residuals
    transposed = params.kernel_recurrent.T

    def step(carry, at):
        dh, dc = carry
        d_state, c, c_before, (i, f, g, o) = at
        dh = dh + d_state
        tanh_c = jnp.tanh(c)
        dc = dc + dh * o * (1 - tanh_c * tanh_c)
        d_gates = jnp.concatenate(
            [dc * g * i * (1 - i), dc * c_before * f * (1 - f), dc * i * (1 - g * g), dh * tanh_c * o * (1 - o)],
            axis=-1,
        )
        return (d_gates @ transposed, dc * f), d_gates

    zeros = jnp.zeros_like(states[0])
    _, d_gates = jax.lax.scan(step, (zeros, zeros), (d_states, cells, _shift(cells), gates), reverse=True)
    d_params = LSTMParams(
        kernel_input=jnp.einsum("tnf,tng->fg", x, d_gates),
        kernel_recurrent=jnp.einsum("tnh,tng->hg", _shift(states), d_gates),
        bias=jnp.sum(d_gates, axis=(0, 1)),
    )
    return d_params, d_gates @ params.kernel_input.T


lstm.defvjp(_forward, _backward)
