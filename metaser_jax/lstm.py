"""The recurrence: one LSTM layer over time, with its derivatives derived by hand: backward pass, and tangents of both.

With gates in the order i, f, g, o (PyTorch's order, so that its weights map block by block):

  [i f g o]_t = act(x_t W_x + h_{t-1} W_h + b),        act = sigmoid for i, f, o and tanh for g
  c_t = f * c_{t-1} + i * g
  h_t = o * tanh(c_t),            h_0 = c_0 = 0

There are four loops over time: forward, backward (the gradient), and the tangent of each (together they make the
Hessian-vector product of second-order MAML by forward-over-reverse differentiation). Each carries what is recurrent
through one small product per step. Whatever is not recurrent (the gradients of weights and of x, and all tangents of
them) is one large product before or after the loop, where differentiating the loop would add up [H, 4H] matrices in
every step; only the projection of x_t stays with that of h_{t-1}, in one product of both.

References: Hochreiter and Schmidhuber, "Long short-term memory", 1997, with the forget gate of Gers et al., 2000;
Kemaev et al., "Scalable meta-learning via mixed-mode differentiation", ICML 2025, arXiv 2505.00793.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class LSTMParams(NamedTuple):
    """Attributes: kernel_input [F, 4H], kernel_recurrent [H, 4H], bias [4H]."""

    kernel_input: jax.Array
    kernel_recurrent: jax.Array
    bias: jax.Array


@jax.custom_vjp
def lstm(params: LSTMParams, x: jax.Array) -> jax.Array:
    """All hidden states of one layer, from a zero state.

    Args:
      params: weights of the layer; F is the size of an input frame, H the number of hidden units.
      x: [time, n, F], time-major, so that each step reads contiguous memory.

    Returns:
      [time, n, H] hidden states. Reverse mode differentiates it any number of times, and forward mode differentiates
      its gradient; forward mode of the function itself is not defined.
    """
    return _forward(params, x).states


class _Trace(NamedTuple):
    """What the backward pass needs of the forward pass, per time step.

    Attributes:
      states: h_t, [time, n, H].
      inputs: x_t and h_{t-1} side by side, [time, n, F + H].
      cells: c_{t-1}, [time, n, H].
      gates: i, f, g, o, each [time, n, H]. Apart, since XLA's CPU code for a slice of [n, 4H] is several times slower.
    """

    states: jax.Array
    inputs: jax.Array
    cells: jax.Array
    gates: tuple[jax.Array, jax.Array, jax.Array, jax.Array]


def _lstm_fwd(params: LSTMParams, x: jax.Array):
    trace = _forward(params, x)
    return trace.states, (params, trace)


def _lstm_bwd(residuals, d_states: jax.Array):
    params, trace = residuals
    d_gates = _backward(params.kernel_recurrent, trace.cells, trace.gates, d_states)
    d_kernel = jnp.einsum("rf,rg->fg", _rows(trace.inputs), _rows(d_gates))
    features = params.kernel_input.shape[0]
    d_params = LSTMParams(d_kernel[:features], d_kernel[features:], jnp.sum(d_gates, axis=(0, 1)))
    return d_params, d_gates @ params.kernel_input.T


lstm.defvjp(_lstm_fwd, _lstm_bwd)


def _rows(sequence: jax.Array) -> jax.Array:
    return sequence.reshape(-1, sequence.shape[-1])


def _gates(joined: jax.Array) -> tuple[jax.Array, ...]:
    """[..., 4H] -> i, f, g, o."""
    # NOTE: slices, because the gradient of a vmapped scan with jnp.split is wrong in float64 on CPU as compiled by jax
    # 0.10.2 (tests/test_lstm.py compares).
    hidden = joined.shape[-1] // 4
    return tuple(joined[..., k * hidden : (k + 1) * hidden] for k in range(4))


def _sigmoid(z: jax.Array) -> jax.Array:
    return 0.5 * jnp.tanh(0.5 * z) + 0.5  # a division less than 1 / (1 + exp(-z))


def _cell(gates, c_before):
    """One step's gates and cell -> its h and c."""
    i, f, g, o = gates
    c = f * c_before + i * g
    return o * jnp.tanh(c), c


@jax.custom_jvp
def _forward(params: LSTMParams, x: jax.Array) -> _Trace:
    # One product of [x, h] per step: projecting all frames before the loop would write and read [time, n, 4H].
    kernel = jnp.concatenate([params.kernel_input, params.kernel_recurrent])

    def step(carry, x):
        h, c_before = carry
        inputs = jnp.concatenate([x, h], axis=-1)
        i, f, g, o = _gates(inputs @ kernel + params.bias)
        gates = (_sigmoid(i), _sigmoid(f), jnp.tanh(g), _sigmoid(o))
        h, c = _cell(gates, c_before)
        return (h, c), _Trace(h, inputs, c_before, gates)

    zeros = jnp.zeros((x.shape[1], params.kernel_recurrent.shape[0]), x.dtype)
    return jax.lax.scan(step, (zeros, zeros), x)[1]


@_forward.defjvp
def _forward_jvp(primals, tangents):
    params, _ = primals
    params_dot, x_dot = tangents
    trace = _forward(*primals)
    # Of the gates' tangents before act, all but h_dot W_h is not recurrent.
    kernel_dot = jnp.concatenate([params_dot.kernel_input, params_dot.kernel_recurrent])
    of_gate = zip(_gates(params.kernel_input), _gates(kernel_dot), _gates(params_dot.bias), strict=True)
    z_dot = tuple(x_dot @ k + trace.inputs @ k_dot + b_dot for k, k_dot, b_dot in of_gate)

    @_saves_its_arguments
    def step(carry, at):
        h_dot, c_dot = carry
        x_dot, z_dot, gates, c_before = at
        i, f, g, o = gates
        slopes = (i * (1 - i), f * (1 - f), 1 - g * g, o * (1 - o))
        recurrent = _gates(h_dot @ params.kernel_recurrent)
        gates_dot = tuple(s * (z + r) for s, z, r in zip(slopes, z_dot, recurrent, strict=True))
        _, after = jax.jvp(_cell, (gates, c_before), (gates_dot, c_dot))
        return after, _Trace(after[0], jnp.concatenate([x_dot, h_dot], axis=-1), c_dot, gates_dot)

    zeros = jnp.zeros_like(trace.states[0])
    return trace, jax.lax.scan(step, (zeros, zeros), (x_dot, z_dot, trace.gates, trace.cells))[1]


def _cell_backward(dh, dc_after, gates, c_before):
    """Gradients of one step's h, and of its c as the next step has it -> of its gates before act, and of c_before."""
    i, f, g, o = gates
    tanh_c = jnp.tanh(f * c_before + i * g)
    dc = dc_after + dh * o * (1 - tanh_c * tanh_c)
    d_gates = (dc * g * i * (1 - i), dc * c_before * f * (1 - f), dc * i * (1 - g * g), dh * tanh_c * o * (1 - o))
    return jnp.concatenate(d_gates, axis=-1), dc * f


def _backward_loop(kernel, cells, gates, d_states, keep):
    transposed = kernel.T  # once, before the loop

    def step(carry, at):
        dh_after, dc_after = carry
        d_state, gates, c_before = at
        dh = d_state + dh_after
        d_gates, dc = _cell_backward(dh, dc_after, gates, c_before)
        return (d_gates @ transposed, dc), (d_gates, *keep(dh, dc_after))

    zeros = jnp.zeros_like(d_states[0])
    return jax.lax.scan(step, (zeros, zeros), (d_states, gates, cells), reverse=True)[1]


@jax.custom_jvp
def _backward(kernel: jax.Array, cells: jax.Array, gates: tuple[jax.Array, ...], d_states: jax.Array) -> jax.Array:
    """Gradient of the states, [time, n, H] -> of the gates before act, [time, n, 4H]."""
    return _backward_loop(kernel, cells, gates, d_states, keep=lambda dh, dc: ())[0]


@_backward.defjvp
def _backward_jvp(primals, tangents):
    kernel, cells, gates, _ = primals
    kernel_dot, cells_dot, gates_dot, d_states_dot = tangents
    d_gates, dh, dc_after = _backward_loop(*primals, keep=lambda dh, dc: (dh, dc))
    # Of what a step receives from the step after it, this part of the tangent is not recurrent.
    d_gates_after = jnp.concatenate([d_gates[1:], jnp.zeros_like(d_gates[:1])])
    d_states_dot = d_states_dot + d_gates_after @ kernel_dot.T
    transposed = kernel.T

    @_saves_its_arguments
    def step(carry, at):
        dh_after_dot, dc_after_dot = carry
        d_state_dot, primals, others_dot = at
        tangents = (d_state_dot + dh_after_dot, dc_after_dot, *others_dot)
        _, (d_gates_dot, dc_dot) = jax.jvp(_cell_backward, primals, tangents)
        return (d_gates_dot @ transposed, dc_dot), d_gates_dot

    zeros = jnp.zeros_like(dh[0])
    xs = (d_states_dot, (dh, dc_after, gates, cells), (gates_dot, cells_dot))
    return d_gates, jax.lax.scan(step, (zeros, zeros), xs, reverse=True)[1]


def _saves_its_arguments(step):
    """Where a tangent loop is kept for later (jax.linearize), its arguments are, and not products of them."""
    return jax.checkpoint(step, prevent_cse=False)
