"""Learning rates as functions of the step, besides optax's.

Reference: Smith, "Cyclical learning rates for training neural networks", WACV 2017, for the triangular policy.
"""

import jax
import jax.numpy as jnp
import optax

from metaser_jax.errors import InputError


def cyclical(base: float, maximum: float, half_cycle: int) -> optax.Schedule:
    """Return the triangular policy: from base up to maximum in half_cycle steps, down again in as many, and so on.

      rate(t) = base + (maximum - base) * (1 - |u / half_cycle - 1|),      u = t mod (2 half_cycle)

    Args:
      base, maximum: rates, 0 < base <= maximum.
      half_cycle: steps, 1 or more.

    Raises:
      InputError: rates or steps out of range.
    """
    if not 0 < base <= maximum:
        raise InputError(f"cyclical: got rates {base} to {maximum}, expected 0 < base <= maximum.")
    if half_cycle < 1:
        raise InputError(f"cyclical: got half a cycle of {half_cycle} steps, expected 1 or more.")

    def rate(step: jax.Array | int) -> jax.Array:
        # Whole steps within the cycle first: float32 would not tell late steps apart.
        step = jnp.asarray(step) % (2 * half_cycle)
        return base + (maximum - base) * (1 - jnp.abs(step / half_cycle - 1))

    return rate  # pyright: ignore[reportReturnType]
