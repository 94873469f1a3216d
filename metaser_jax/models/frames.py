"""Which frames of the input are real."""

import jax
import jax.numpy as jnp

from metaser_jax.errors import InputError


def frame_mask(x: jax.Array) -> jax.Array:
    """Return True for real frames, False for the zero padding after the last of them.

    It takes any sequences padded with zeros at their end, whatever a frame holds; zeros before a real frame are real.

        frame_mask(jnp.array([[1.0, 2.0], [0.0, 0.0], [3.0, 0.0], [0.0, 0.0]]))  # [True, True, True, False]

    Args:
      x: [..., time, feature], of any number type.

    Returns:
      [..., time] bool.

    Raises:
      InputError: x has fewer than two axes.
    """
    if x.ndim < 2:
        raise InputError(f"frame_mask: got shape {x.shape}, expected [..., time, feature]; x[:, None] has one feature.")
    nonzero = jnp.any(x, axis=-1)
    return jax.lax.cummax(nonzero.astype(jnp.int32), axis=nonzero.ndim - 1, reverse=True).astype(bool)
