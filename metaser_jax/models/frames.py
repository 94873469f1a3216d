"""Statistics over an utterance's real frames: mask of the real frames, pooling of states, statistics of the input.

The input's statistics are for the last layer of a classifier that also sees averages. Of every coefficient the mean
over the real frames; of the MFCC, for each of five thresholds, also how much of the time the coefficient is above it:

  share_t = mean over frames of sigmoid(SLOPE * (x - t)),      t in THRESHOLDS

which is a smooth form of the distribution's percentiles. The thresholds are in deviations of normalised features.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn

from metaser_jax.errors import InputError
from metaser_jax.specs.network import THRESHOLDS

SLOPE = 4.0


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


def _pool_last(states: jax.Array, mask: jax.Array) -> jax.Array:
    del mask  # as the paper: the state after the padding
    return states[-1]


def _pool_mean(states: jax.Array, mask: jax.Array) -> jax.Array:
    weight = mask.T.astype(states.dtype)[..., None]
    return jnp.sum(weight * states, axis=0) / jnp.maximum(jnp.sum(weight, axis=0), 1)


def _pool_mean_std(states: jax.Array, mask: jax.Array) -> jax.Array:
    mean = _pool_mean(states, mask)
    # The epsilon keeps the square root differentiable, twice, where an utterance has one real frame.
    std = jnp.sqrt(_pool_mean(jnp.square(states - mean), mask) + 1e-5)
    return jnp.concatenate([mean, std], axis=-1)


POOLINGS: dict[str, Callable[[jax.Array, jax.Array], jax.Array]] = {
    "last": _pool_last,
    "mean": _pool_mean,
    "mean_std": _pool_mean_std,
}


def input_statistics(x: jax.Array, mask: jax.Array, mfcc: int) -> jax.Array:
    """Return the statistics of each utterance's input.

    Args:
      x: [n, time, coef], normalised, of which the first `mfcc` coefficients are MFCC.
      mask: [n, time] bool, the real frames.
      mfcc: their number.

    Returns:
      [n, coef + len(THRESHOLDS) * mfcc].
    """
    weight = mask.astype(x.dtype)[..., None]
    frames = jnp.maximum(jnp.sum(weight, axis=1), 1)

    def mean(values: jax.Array) -> jax.Array:
        return jnp.sum(weight * values, axis=1) / frames

    static = x[..., :mfcc]
    shares = [mean(jax.nn.sigmoid(SLOPE * (static - threshold))) for threshold in THRESHOLDS]
    return jnp.concatenate([mean(x), *shares], axis=-1)


class Standardise(nn.Module):
    """Standardisation by the mean and deviation of the utterances given to init: [n, F] -> [n, F].

    The parameters are constants: nothing trains them. Initialised with fewer than two utterances, they change nothing.
    """

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Return the statistics, shifted and scaled."""
        # Asked where it matters only: a number of utterances that is a symbol (jax.export) cannot be compared.
        alone = not self.is_initializing() or x.shape[0] < 2
        shift = self.param("shift", lambda _: jnp.zeros_like(x[0]) if alone else jnp.mean(x, axis=0))
        # A statistic that does not vary is not blown up.
        scale = self.param("scale", lambda _: jnp.ones_like(x[0]) if alone else jnp.maximum(jnp.std(x, axis=0), 1e-2))
        return (x - jax.lax.stop_gradient(shift)) / jax.lax.stop_gradient(scale)
