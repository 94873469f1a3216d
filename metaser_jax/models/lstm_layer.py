"""An LSTM layer in Flax, and how the states over time become one vector."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn

from metaser_jax.models.lstm import LSTMParams, Recurrence, lstm


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


class LSTM(nn.Module):
    """One LSTM layer: [time, n, F] -> [time, n, hidden_dim]."""

    hidden_dim: int
    recurrence: Recurrence = "scan"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Return the states: [time, n, F] -> [time, n, hidden_dim]."""
        gates = 4 * self.hidden_dim
        # As PyTorch initialises its LSTM, and so the authors: uniform within 1 / sqrt(hidden_dim).
        bound = self.hidden_dim**-0.5

        def uniform(key, shape, dtype=jnp.float32):
            return jax.random.uniform(key, shape, dtype, -bound, bound)

        return lstm(
            LSTMParams(
                self.param("kernel_input", uniform, (x.shape[-1], gates)),
                self.param("kernel_recurrent", uniform, (self.hidden_dim, gates)),
                self.param("bias", uniform, (gates,)),
            ),
            x,
            self.recurrence,
        )
