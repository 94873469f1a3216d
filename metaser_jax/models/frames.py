"""Which frames of the input are real."""

import jax
import jax.numpy as jnp


def frame_mask(x: jax.Array) -> jax.Array:
    """Return True for real frames, False for the zero padding after the last of them.

    Args:
      x: [..., time, coef].

    Returns:
      [..., time] bool.
    """
    nonzero = jnp.any(x != 0, axis=-1)
    return jax.lax.cummax(nonzero.astype(jnp.int32), axis=nonzero.ndim - 1, reverse=True).astype(bool)
