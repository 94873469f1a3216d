"""What a classifier on averages sees of an utterance: statistics of its frames, for the model's last layer.

Of every coefficient the mean over the real frames; of the MFCC, for each of five thresholds, also how much of the time
the coefficient is above it:

  share_t = mean over frames of sigmoid(SLOPE * (x - t)),      t in THRESHOLDS

which is a smooth form of the distribution's percentiles. The thresholds are in deviations of normalised features.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from metaser_jax.specs.network import THRESHOLDS

SLOPE = 4.0


def input_statistics(x: jax.Array, mask: jax.Array, mfcc: int) -> jax.Array:
    """Return statistics of each utterance.

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
    """To mean 0 and deviation 1 over the utterances that the parameters were initialised with: [n, F] -> [n, F].

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
