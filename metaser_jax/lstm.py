"""The recurrence: one LSTM layer over time, as a pure function.

With gates in the order i, f, g, o (PyTorch's order, so that its weights map block by block):

  [i f g o]_t = x_t W_x + h_{t-1} W_h + b
  c_t = sigmoid(f) * c_{t-1} + sigmoid(i) * tanh(g)
  h_t = sigmoid(o) * tanh(c_t),            h_0 = c_0 = 0

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


def lstm(params: LSTMParams, x: jax.Array) -> jax.Array:
    """All hidden states of one layer, from a zero state.

    Args:
      params: weights of the layer; F is the size of an input frame, H the number of hidden units.
      x: [time, n, F], time-major, so that each step reads contiguous memory.

    Returns:
      [time, n, H] hidden states.
    """
    # What does not depend on h is one large product before the loop instead of a small one in each step.
    projected = x @ params.kernel_input + params.bias
    hidden = params.kernel_recurrent.shape[0]
    zeros = jnp.zeros((x.shape[1], hidden), projected.dtype)

    def step(carry, z):
        h, c = carry
        gates = z + h @ params.kernel_recurrent
        # NOTE: slices, because the gradient of this loop with jnp.split under vmap is wrong in float64 on CPU as
        # compiled by jax 0.10.2 (tests/test_lstm.py compares).
        i, f, g, o = (gates[..., k * hidden : (k + 1) * hidden] for k in range(4))
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    _, states = jax.lax.scan(step, (zeros, zeros), projected)
    return states
