"""Loops over time by jax.lax.scan, for any device, in the form that was fastest on a CPU.

There, time goes into products and memory traffic. So [x, h] goes through one product per step (projecting all frames
before the loop would write and read [time, n, 4H]), and what is kept is written once, in place.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from metaser_jax.models import lstm_cell
from metaser_jax.models.lstm_cell import Gates, Loops, LSTMParams, Steps, Trace


def _forward(params: LSTMParams, x: jax.Array) -> Trace:
    kernel = jnp.concatenate([params.kernel_input, params.kernel_recurrent])

    def gates_of(inputs, _):
        return lstm_cell.act(lstm_cell.split(inputs @ kernel + params.bias))

    def state_of(gates, c_before, _):
        return lstm_cell.cell(gates, c_before)

    return _forwards(gates_of, state_of, x, params.kernel_recurrent.shape[0])


def _forward_tangent(
    kernel_recurrent: jax.Array, x_dot: jax.Array, z_dot: Gates, gates: Gates, cells: jax.Array
) -> Trace:
    hidden = kernel_recurrent.shape[0]

    def gates_of(inputs_dot, at):
        z_dot, gates, _ = at
        recurrent = lstm_cell.split(inputs_dot[:, -hidden:] @ kernel_recurrent)
        return lstm_cell.act_tangent(gates, tuple(z + r for z, r in zip(z_dot, recurrent, strict=True)))

    def state_of(gates_dot, c_dot, at):
        _, gates, c_before = at
        return jax.jvp(lstm_cell.cell, (gates, c_before), (gates_dot, c_dot))[1]

    return _forwards(gates_of, state_of, x_dot, hidden, (z_dot, gates, cells))


class _Kept(NamedTuple):
    """Trace in the making; inputs [time + 1, n, F + H]: step t finds x_t and h_{t-1} there, and writes h_t."""

    inputs: jax.Array
    cells: jax.Array
    gates: Gates


def _forwards(
    gates_of: Callable[[jax.Array, Any], Gates],
    state_of: Callable[[Gates, jax.Array, Any], tuple[jax.Array, jax.Array]],
    x: jax.Array,
    hidden: int,
    xs: Any = (),
) -> Trace:
    """Run from the first frame to the last.

    Args:
      gates_of: (inputs [n, F + H], of xs) -> gates.
      state_of: (gates, c_before, of xs) -> h, c.
      x: [time, n, F].
      hidden: H.
      xs: what else a step needs, [time, ...].
    """
    time, n, features = x.shape

    def step(carry, at):
        c_before, kept = carry
        t, of_xs = at
        gates = gates_of(_read(kept.inputs, t), of_xs)
        stored = _stored(tuple(_write(array, gate, t) for array, gate in zip(kept.gates, gates, strict=True)))
        h, c = state_of(tuple(_read(array, t) for array in stored), c_before, of_xs)  # pyright: ignore[reportArgumentType]
        inputs = jax.lax.dynamic_update_slice(kept.inputs, h[None], (t + 1, 0, features))
        return (c, _Kept(inputs, _write(kept.cells, c_before, t), stored)), None

    zeros = jnp.zeros((time, n, hidden), x.dtype)
    kept = _Kept(jnp.pad(x, ((0, 1), (0, 0), (0, hidden))), zeros, (zeros,) * 4)  # pyright: ignore[reportArgumentType]
    (_, kept), _ = jax.lax.scan(_saves_its_arguments(step), (zeros[0], kept), (jnp.arange(time), xs))
    return Trace(kept.inputs[1:, :, features:], kept.inputs[:-1], kept.cells, kept.gates)


def _backward(
    kernel_recurrent: jax.Array, d_states: jax.Array, gates: Gates, cells: jax.Array, *, keep: bool
) -> tuple[jax.Array, Steps | None]:
    def step(dh_after, dc_after, at):
        d_state, gates, c_before = at
        dh = d_state + dh_after
        return *lstm_cell.cell_backward(dh, dc_after, gates, c_before), (dh, dc_after) if keep else ()

    dz, kept = _backwards(step, kernel_recurrent, (d_states, gates, cells))
    return dz, Steps(*kept, gates, cells) if keep else None  # pyright: ignore[reportCallIssue]


def _backward_tangent(
    kernel_recurrent: jax.Array, d_states_dot: jax.Array, steps: Steps, gates_dot: Gates, cells_dot: jax.Array
) -> jax.Array:
    def step(dh_after_dot, dc_after_dot, at):
        d_state_dot, steps, others_dot = at
        dots = (d_state_dot + dh_after_dot, dc_after_dot, *others_dot)
        return *jax.jvp(lstm_cell.cell_backward, tuple(steps), dots)[1], ()

    return _backwards(step, kernel_recurrent, (d_states_dot, steps, (gates_dot, cells_dot)))[0]


def _backwards(step: Callable[..., Any], kernel_recurrent: jax.Array, xs: Any) -> tuple[jax.Array, Any]:
    """Run from the last frame to the first.

    Args:
      step: (dh_after, dc_after, of xs) -> dz, dc, what is to be kept.
      kernel_recurrent: [H, 4H].
      xs: what a step needs, [time, n, ...].

    Returns:
      dz [time, n, 4H], and what was kept.
    """
    transposed = kernel_recurrent.T  # once, before the loop

    def with_product(carry, of_xs):
        dz, dc, kept = step(*carry, of_xs)
        dz = _stored(lstm_cell.join(dz))
        return (dz @ transposed, dc), (dz, kept)

    zeros = jnp.zeros_like(jax.tree.leaves(xs)[0][0])
    return jax.lax.scan(_saves_its_arguments(with_product), (zeros, zeros), xs, reverse=True)[1]


def _read(array: jax.Array, t: jax.Array) -> jax.Array:
    return jax.lax.dynamic_index_in_dim(array, t, keepdims=False)


def _write(array: jax.Array, value: jax.Array, t: jax.Array) -> jax.Array:
    return jax.lax.dynamic_update_index_in_dim(array, value, t, 0)


def _stored(arrays: Any) -> Any:
    """Keep XLA's CPU code from computing a value aside for its next reader and copying it to its place."""
    leaves, treedef = jax.tree.flatten(arrays)
    return treedef.unflatten(_stored_on_a_cpu.bind(*leaves))


# The identity; a barrier to the optimizer where it is lowered for a CPU, which is known no sooner.
_stored_on_a_cpu = Primitive("stored_on_a_cpu")
_stored_on_a_cpu.multiple_results = True
_stored_on_a_cpu.def_impl(lambda *arrays: list(arrays))
_stored_on_a_cpu.def_abstract_eval(lambda *arrays: list(arrays))
ad.deflinear2(_stored_on_a_cpu, lambda cotangents, *_: list(cotangents))
batching.primitive_batchers[_stored_on_a_cpu] = lambda arrays, axes: (_stored_on_a_cpu.bind(*arrays), axes)
mlir.register_lowering(_stored_on_a_cpu, mlir.lower_fun(lambda *arrays: arrays))
mlir.register_lowering(
    _stored_on_a_cpu, mlir.lower_fun(lambda *arrays: jax.lax.optimization_barrier(arrays)), platform="cpu"
)


def _saves_its_arguments(step):
    """Save a step's arguments, not their products, where a tangent loop is kept for later (jax.linearize)."""
    return jax.checkpoint(step, prevent_cse=False)


LOOPS = Loops(_forward, _forward_tangent, _backward, _backward_tangent)
