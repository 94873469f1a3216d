"""Where a network's last, linear layer is, for learners that make it of a support set."""

from collections.abc import Callable
from typing import NamedTuple

import jax

from metaser_jax.types import Params


class Linear(NamedTuple):
    """Attributes: kernel [d, class]; bias [class]. Of several networks at once [member, ...]."""

    kernel: jax.Array
    bias: jax.Array


class LastLayer(NamedTuple):
    """Where a network's last, linear layer is, and what it sees: logits = embed(params, x) @ kernel + bias.

    Attributes:
      embed: (params, x [n, ...]) -> [n, d], or [n, member, d].
      get: params -> Linear.
      put: (params, Linear) -> params with that last layer.
    """

    embed: Callable[[Params, jax.Array], jax.Array]
    get: Callable[[Params], Linear]
    put: Callable[[Params, Linear], Params]
