"""LSTM layer over time, with its derivatives derived by hand: backward pass, and tangents of both passes.

  z_t = x_t W_x + h_{t-1} W_h + b,        h_0 = c_0 = 0;        lstm_cell.py makes c_t and h_t of it

There are four loops over time: forward, backward (the gradient), and the tangent of each (together they make the
Hessian-vector product of second-order MAML by forward-over-reverse differentiation). Each carries what is recurrent
through one small product per step. Whatever is not recurrent (the gradients of weights and of x, and all tangents of
them) is one large product before or after the loop, where differentiating the loop would add up [H, 4H] matrices in
every step.

References: Hochreiter and Schmidhuber, "Long short-term memory", 1997, with the forget gate of Gers et al., 2000;
Kemaev et al., "Scalable meta-learning via mixed-mode differentiation", ICML 2025, arXiv 2505.00793.
"""

import functools
from typing import Literal

import jax
import jax.numpy as jnp

from metaser_jax.models import lstm_kernel, lstm_scan
from metaser_jax.models.lstm_cell import Gates, Loops, LSTMParams, Trace, split

Recurrence = Literal["scan", "kernel", "interpret"]
RECURRENCES: dict[str, Loops] = {
    "scan": lstm_scan.LOOPS,
    "kernel": lstm_kernel.LOOPS,
    "interpret": lstm_kernel.INTERPRETED,
}


def lstm(params: LSTMParams, x: jax.Array, recurrence: Recurrence = "scan") -> jax.Array:
    """Return all hidden states of one layer, from a zero state.

    Parameters and x of different types are promoted to one type.

    Args:
      params: weights of the layer; F is the size of an input frame, H the number of hidden units.
      x: [time, n, F], time-major, so that each step reads contiguous memory.
      recurrence: the implementation of the loops over time: "scan" jax.lax.scan; "kernel" one kernel per loop on CUDA,
        which has not been measured yet, and jax.lax.scan elsewhere; "interpret" that kernel, interpreted, for tests.

    Returns:
      [time, n, H] hidden states. Reverse mode differentiates it any number of times (with a kernel once), and forward
      mode differentiates its gradient; forward mode of the function itself is not defined.

    Raises:
      InputError: with a kernel, an H that it cannot take, or reverse mode over reverse mode.
    """
    if any(array.dtype != x.dtype for array in params):
        dtype = jnp.result_type(x, *params)
        params, x = jax.tree.map(lambda array: array.astype(dtype), (params, x))
    return _lstm(params, x, recurrence)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _lstm(params: LSTMParams, x: jax.Array, recurrence: Recurrence) -> jax.Array:
    return _forward(params, x, RECURRENCES[recurrence]).states


def _lstm_fwd(params: LSTMParams, x: jax.Array, recurrence: Recurrence):
    trace = _forward(params, x, RECURRENCES[recurrence])
    return trace.states, (params, trace)


def _lstm_bwd(recurrence: Recurrence, residuals, d_states: jax.Array):
    params, trace = residuals
    dz = _backward(params.kernel_recurrent, d_states, trace.gates, trace.cells, RECURRENCES[recurrence])
    d_kernel = jnp.einsum("rf,rg->fg", _rows(trace.inputs), _rows(dz))
    features = params.kernel_input.shape[0]
    d_params = LSTMParams(d_kernel[:features], d_kernel[features:], jnp.sum(dz, axis=(0, 1)))
    return d_params, dz @ params.kernel_input.T


_lstm.defvjp(_lstm_fwd, _lstm_bwd)


def _rows(sequence: jax.Array) -> jax.Array:
    return sequence.reshape(-1, sequence.shape[-1])


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _forward(params: LSTMParams, x: jax.Array, loops: Loops) -> Trace:
    return loops.forward(params, x)


@_forward.defjvp
def _forward_jvp(loops: Loops, primals, tangents):
    params, _ = primals
    params_dot, x_dot = tangents
    trace = _forward(*primals, loops)
    # Of z's tangent, all but h_dot W_h is not recurrent.
    kernel_dot = jnp.concatenate([params_dot.kernel_input, params_dot.kernel_recurrent])
    of_gate = zip(split(params.kernel_input), split(kernel_dot), split(params_dot.bias), strict=True)
    z_dot = tuple(x_dot @ k + trace.inputs @ k_dot + b_dot for k, k_dot, b_dot in of_gate)
    return trace, loops.forward_tangent(params.kernel_recurrent, x_dot, z_dot, trace.gates, trace.cells)


@functools.partial(jax.custom_jvp, nondiff_argnums=(4,))
def _backward(
    kernel_recurrent: jax.Array, d_states: jax.Array, gates: Gates, cells: jax.Array, loops: Loops
) -> jax.Array:
    """Return the gradient with respect to z, [time, n, 4H], given that with respect to the states, [time, n, H]."""
    return loops.backward(kernel_recurrent, d_states, gates, cells, keep=False)[0]


@_backward.defjvp
def _backward_jvp(loops: Loops, primals, tangents):
    kernel, *_ = primals
    kernel_dot, d_states_dot, gates_dot, cells_dot = tangents
    dz, steps = loops.backward(*primals, keep=True)
    # Of what a step receives from the step after it, this part of the tangent is not recurrent.
    dz_after = jnp.concatenate([dz[1:], jnp.zeros_like(dz[:1])])
    d_states_dot = d_states_dot + dz_after @ kernel_dot.T
    return dz, loops.backward_tangent(kernel, d_states_dot, steps, gates_dot, cells_dot)
