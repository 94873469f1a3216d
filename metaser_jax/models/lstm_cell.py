"""Time step of an LSTM: the equations and their gradient, on arrays [n, H]; tangents are jax.jvp of these.

  i, f, g, o = act(z),        act = sigmoid for i, f, o and tanh for g
  c_t = f * c_{t-1} + i * g
  h_t = o * tanh(c_t)

z, of which the gates are made, and the gates are tuples of four arrays: XLA's CPU code for a slice of [n, 4H] is much
slower, and a Triton kernel has none.

`Loops` run the step over time, in one of two ways (lstm_scan.py, lstm_kernel.py).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

Gates = tuple[jax.Array, jax.Array, jax.Array, jax.Array]
"""i, f, g, o: PyTorch's order, so that its weights map block by block."""


def act(z: Gates) -> Gates:
    """Return the gates i, f, g, o of the pre-activations z."""
    i, f, g, o = z
    return _sigmoid(i), _sigmoid(f), jnp.tanh(g), _sigmoid(o)


def act_tangent(gates: Gates, z_dot: Gates) -> Gates:
    """Return the gates' tangents, computed from the gates themselves."""
    i, f, g, o = gates
    slopes = (i * (1 - i), f * (1 - f), 1 - g * g, o * (1 - o))
    return tuple(slope * z for slope, z in zip(slopes, z_dot, strict=True))  # pyright: ignore[reportReturnType]


def cell(gates: Gates, c_before: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the state h and the cell c."""
    i, f, g, o = gates
    c = f * c_before + i * g
    return o * jnp.tanh(c), c


def cell_backward(dh: jax.Array, dc_after: jax.Array, gates: Gates, c_before: jax.Array) -> tuple[Gates, jax.Array]:
    """Return gradients with respect to z and c_before.

    Args:
      dh: gradient with respect to h.
      dc_after: with respect to c, of the next step alone.
      gates, c_before: of this step.
    """
    i, f, g, o = gates
    tanh_c = jnp.tanh(f * c_before + i * g)
    dc = dc_after + dh * o * (1 - tanh_c * tanh_c)
    dz = (dc * g * i * (1 - i), dc * c_before * f * (1 - f), dc * i * (1 - g * g), dh * tanh_c * o * (1 - o))
    return dz, dc * f


def _sigmoid(z: jax.Array) -> jax.Array:
    return 0.5 * jnp.tanh(0.5 * z) + 0.5  # a division less than 1 / (1 + exp(-z))


def split(joined: jax.Array) -> Gates:
    """Split [..., 4H] into four [..., H]."""
    # NOTE: slices, because the gradient of a vmapped scan with jnp.split is wrong in float64 on CPU as compiled by jax
    # 0.10.2 (tests/models/test_lstm.py compares).
    hidden = joined.shape[-1] // 4
    return tuple(joined[..., k * hidden : (k + 1) * hidden] for k in range(4))  # pyright: ignore[reportReturnType]


def join(parts: Gates) -> jax.Array:
    """Join four [..., H] into [..., 4H]."""
    return jnp.concatenate(parts, axis=-1)


class LSTMParams(NamedTuple):
    """Weights of an LSTM layer: kernel_input [F, 4H], kernel_recurrent [H, 4H], bias [4H]."""

    kernel_input: jax.Array
    kernel_recurrent: jax.Array
    bias: jax.Array


class Trace(NamedTuple):
    """Residuals of the forward pass, per time step.

    Attributes:
      states: h_t, [time, n, H].
      inputs: x_t and h_{t-1} side by side, [time, n, F + H].
      cells: c_{t-1}, [time, n, H].
      gates: each [time, n, H].
    """

    states: jax.Array
    inputs: jax.Array
    cells: jax.Array
    gates: Gates


class Steps(NamedTuple):
    """Arguments of `cell_backward` in every time step, each [time, n, H]."""

    dh: jax.Array
    dc_after: jax.Array
    gates: Gates
    cells: jax.Array


class Loops(NamedTuple):
    """Loops over time, of which lstm.py makes its rules of differentiation.

    Attributes:
      forward: (params, x) -> Trace.
      forward_tangent: (kernel_recurrent, x_dot, z_dot, gates, cells) -> tangent of the Trace; z_dot is the tangent of
        what in z is not recurrent, each [time, n, H].
      backward: (kernel_recurrent, d_states, gates, cells, keep=) -> dz [time, n, 4H], and Steps if keep, else None.
      backward_tangent: (kernel_recurrent, d_states_dot, steps, gates_dot, cells_dot) -> tangent of dz; d_states_dot is
        the tangent of what in dh is not recurrent.
    """

    forward: Callable[..., Trace]
    forward_tangent: Callable[..., Trace]
    backward: Callable[..., tuple[jax.Array, Steps | None]]
    backward_tangent: Callable[..., jax.Array]
