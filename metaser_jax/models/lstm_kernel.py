"""Loops over time on a GPU, each as one kernel, where each of lax.scan's 120 steps starts several small ones.

Rows (utterances) do not mix: a program of the kernel's grid takes a block of them through all time steps, keeps their
state in registers, and reads the recurrent weights in every step, from the caches. vmap over tasks adds an axis to the
grid. Projections and all else that is not recurrent are large products before or after.

NOTE: tested in Pallas's interpreter and lowered for CUDA; it has not run on a GPU yet.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from metaser_jax.errors import InputError
from metaser_jax.models import lstm_cell, lstm_scan
from metaser_jax.models.lstm_cell import Gates, Loops, LSTMParams, Steps, Trace

ROWS = 16  # the fewest that Triton multiplies by a matrix
# Triton's blocks are powers of two, and an [H, H] factor of its product goes through a multiprocessor's shared memory.
HIDDEN = (16, 32, 64, 128)

Step = Callable[[Any, tuple[jax.Array, jax.Array], Any], tuple[tuple[jax.Array, jax.Array], Any]]
"""(matrix, carry, x) -> (carry, y), as jax.lax.scan's; of the matrix it reads the gates' parts, by `_of_gates`."""


def _forward(params: LSTMParams, x: jax.Array, *, interpret: bool) -> Trace:
    def step(kernel, carry, z):
        h, c_before = carry
        gates = lstm_cell.act(_plus_recurrent(z, h, kernel))
        h, c = lstm_cell.cell(gates, c_before)
        return (h, c), (h, c_before, gates)

    z = tuple(
        x @ k + b for k, b in zip(lstm_cell.split(params.kernel_input), lstm_cell.split(params.bias), strict=True)
    )
    return _trace(x, *_in_one_kernel(step, z, params.kernel_recurrent, interpret=interpret))


def _forward_tangent(
    kernel_recurrent: jax.Array, x_dot: jax.Array, z_dot: Gates, gates: Gates, cells: jax.Array, *, interpret: bool
) -> Trace:
    def step(kernel, carry, at):
        h_dot, c_dot = carry
        z_dot, gates, c_before = at
        gates_dot = lstm_cell.act_tangent(gates, _plus_recurrent(z_dot, h_dot, kernel))
        _, after = jax.jvp(lstm_cell.cell, (gates, c_before), (gates_dot, c_dot))
        return after, (after[0], c_dot, gates_dot)

    return _trace(x_dot, *_in_one_kernel(step, (z_dot, gates, cells), kernel_recurrent, interpret=interpret))


def _plus_recurrent(z: Gates, h: jax.Array, kernel: Any) -> Gates:
    return tuple(z + h @ kernel[:, gate] for z, gate in zip(z, _of_gates(h), strict=True))


def _trace(x: jax.Array, states: jax.Array, cells: jax.Array, gates: Gates) -> Trace:
    h_before = jnp.concatenate([jnp.zeros_like(states[:1]), states[:-1]])
    return Trace(states, jnp.concatenate([x, h_before], axis=-1), cells, gates)


def _backward(
    kernel_recurrent: jax.Array, d_states: jax.Array, gates: Gates, cells: jax.Array, *, keep: bool, interpret: bool
) -> tuple[jax.Array, Steps | None]:
    def step(transposed, carry, at):
        dh_after, dc_after = carry
        d_state, gates, c_before = at
        dh = d_state + dh_after
        dz, dc = lstm_cell.cell_backward(dh, dc_after, gates, c_before)
        return (_to_before(dz, transposed), dc), (dz, (dh, dc_after) if keep else ())

    xs = (d_states, gates, cells)
    dz, kept = _in_one_kernel(step, xs, kernel_recurrent.T, reverse=True, interpret=interpret)
    return lstm_cell.join(dz), Steps(*kept, gates, cells) if keep else None  # pyright: ignore[reportCallIssue]


def _backward_tangent(
    kernel_recurrent: jax.Array,
    d_states_dot: jax.Array,
    steps: Steps,
    gates_dot: Gates,
    cells_dot: jax.Array,
    *,
    interpret: bool,
) -> jax.Array:
    def step(transposed, carry, at):
        dh_after_dot, dc_after_dot = carry
        d_state_dot, steps, others_dot = at
        dots = (d_state_dot + dh_after_dot, dc_after_dot, *others_dot)
        _, (dz_dot, dc_dot) = jax.jvp(lstm_cell.cell_backward, tuple(steps), dots)
        return (_to_before(dz_dot, transposed), dc_dot), dz_dot

    xs = (d_states_dot, steps, (gates_dot, cells_dot))
    return lstm_cell.join(_in_one_kernel(step, xs, kernel_recurrent.T, reverse=True, interpret=interpret))


def _to_before(dz: Gates, transposed: Any) -> jax.Array:
    """Return the gradient that the step before receives from dz."""
    return sum(d @ transposed[gate] for d, gate in zip(dz, _of_gates(dz[0]), strict=True))  # pyright: ignore[reportReturnType]


def _of_gates(h: jax.Array) -> list[slice]:
    """Return the slices of i, f, g, o among 4H."""
    hidden = h.shape[-1]
    return [slice(k * hidden, (k + 1) * hidden) for k in range(4)]


def _in_one_kernel(step: Step, xs: Any, matrix: jax.Array, *, interpret: bool, reverse: bool = False) -> Any:
    """Run jax.lax.scan of a step that does not mix rows, from a zero state, and return the ys.

    Args:
      step: on arrays [n, H], which it neither slices nor concatenates; its carry is two of them.
      xs: pytree of arrays [time, n, H].
      matrix: what the step multiplies by.
      interpret: in Pallas's interpreter, on any device.
      reverse: from the last time step to the first.

    Returns:
      Pytree of arrays [time, n, H].
    """
    xs, xs_tree = jax.tree.flatten(xs)
    time, n, hidden = xs[0].shape
    zeros = jnp.zeros((ROWS, hidden), xs[0].dtype)

    def of_leaves(matrix, carry, xs):
        return step(matrix, carry, xs_tree.unflatten(xs))

    _, y = jax.eval_shape(of_leaves, matrix, (zeros, zeros), [zeros] * len(xs))
    shapes, y_tree = jax.tree.flatten(y)

    def kernel(matrix, *refs):
        row = pl.program_id(0) * ROWS + jax.lax.broadcasted_iota(jnp.int32, (ROWS, hidden), 0)
        inside = row < n  # the last block may reach beyond the last row

        def at(t, carry):
            t = time - 1 - t if reverse else t
            x = [triton.load(ref.at[t], mask=inside, other=0) for ref in refs[: len(xs)]]
            carry, y = of_leaves(matrix, carry, x)
            for ref, value in zip(refs[len(xs) :], jax.tree.leaves(y), strict=True):
                triton.store(ref.at[t], value, mask=inside)
            return carry

        start = jnp.zeros((ROWS, hidden), xs[0].dtype)
        jax.lax.fori_loop(0, time, at, (start, start))

    of_block = pl.BlockSpec((time, ROWS, hidden), lambda block: (0, block, 0))
    ys = pl.pallas_call(
        kernel,
        grid=(pl.cdiv(n, ROWS),),
        in_specs=[pl.BlockSpec(matrix.shape, lambda block: (0, 0)), *(of_block for _ in xs)],
        out_specs=[of_block for _ in shapes],
        out_shape=[jax.ShapeDtypeStruct((time, n, hidden), shape.dtype) for shape in shapes],
        compiler_params=triton.CompilerParams(num_warps=8, num_stages=1),
        interpret=interpret,
    )(matrix, *xs)
    return y_tree.unflatten(ys)


def _checked(loop: Callable[..., Any], loop_of_scan: Callable[..., Any], interpret: bool) -> Callable[..., Any]:
    """Return the loop with its errors: on CUDA, or interpreted anywhere; on other platforms the scan."""

    def checked(weights, *arrays, **options):
        # The recurrent kernel comes first, or the params that hold it.
        hidden = jax.tree.leaves(weights)[-1].shape[-1] // 4
        if hidden not in HIDDEN:
            raise InputError(
                f"hidden_dim: got {hidden} with recurrence 'kernel', expected one of: {', '.join(map(str, HIDDEN))}. "
                "Recurrence 'scan' takes any."
            )
        here = functools.partial(loop, interpret=interpret, **options)
        if interpret:
            results = here(weights, *arrays)
        else:
            # Chosen when the program is lowered, so that what was begun on a GPU can be gone on with elsewhere.
            elsewhere = functools.partial(loop_of_scan, **options)
            results = jax.lax.platform_dependent(weights, *arrays, cuda=here, default=elsewhere)
        return jax.tree.map(_not_transposable.bind, results)

    return checked


def _refuse(*_):
    raise InputError(
        "recurrence: got 'kernel' under reverse mode over reverse mode (hvp 'reverse_over_reverse'), expected "
        "'scan', or forward mode over reverse mode (hvp 'forward_over_reverse')."
    )


# The identity; a kernel has no transpose, and what jax says of that does not help.
_not_transposable = Primitive("not_transposable")
_not_transposable.def_impl(lambda y: y)
_not_transposable.def_abstract_eval(lambda y: y)
ad.deflinear2(_not_transposable, _refuse)
batching.defvectorized(_not_transposable)
mlir.register_lowering(_not_transposable, lambda _, y: [y])


def _loops(interpret: bool) -> Loops:
    loops = Loops(_forward, _forward_tangent, _backward, _backward_tangent)
    return Loops(*(_checked(*pair, interpret) for pair in zip(loops, lstm_scan.LOOPS, strict=True)))


LOOPS = _loops(interpret=False)
INTERPRETED = _loops(interpret=True)
