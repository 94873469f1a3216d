"""PRNG keys among the leaves of a pytree."""

from typing import Any

import jax


def is_key(leaf: Any) -> bool:
    """Return whether a leaf of a pytree, or what jax.eval_shape says of it, is a typed PRNG key."""
    return hasattr(leaf, "dtype") and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
