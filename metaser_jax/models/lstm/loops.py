"""What the ways to run the recurrence over time have in common: four loops, and what they hand to each other."""

from collections.abc import Callable
from typing import NamedTuple

import jax

from metaser_jax.models.lstm.cell import Gates


class LSTMParams(NamedTuple):
    """Attributes: kernel_input [F, 4H], kernel_recurrent [H, 4H], bias [4H]."""

    kernel_input: jax.Array
    kernel_recurrent: jax.Array
    bias: jax.Array


class Trace(NamedTuple):
    """What the forward pass leaves, per time step.

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
    """The arguments of `cell_backward` in every time step, each [time, n, H]."""

    dh: jax.Array
    dc_after: jax.Array
    gates: Gates
    cells: jax.Array


class Loops(NamedTuple):
    """The loops over time, which the rules of differentiation in layer.py are made of.

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
