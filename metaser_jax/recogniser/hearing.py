"""What a speech encoder hears of clips: by NumPy of little speech, else by jax."""

import functools
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from metaser_jax.audio import encoder as by_numpy
from metaser_jax.audio.encoder import HOP, LAYERS, RATE, Encoder
from metaser_jax.models.lstm import lstm
from metaser_jax.models.lstm_cell import LSTMParams

# Seconds of speech at which compiling, or reading what was compiled, pays.
LONG = 20.0
# Parts of 1.6 s that a call takes; fewer are padded.
BATCH = 64


def hear(encoder: Encoder, clips: Sequence[np.ndarray]) -> np.ndarray:
    """Return audio.encoder.layers of clips, mel bands [t, 40] each: [n, 3, 256] float32, to 1e-5 the same."""
    if sum(map(len, clips)) * HOP / RATE <= LONG:
        return by_numpy.layers(encoder, clips)
    weights = jax.device_put(dict(encoder.weights))

    def of_batch(parts: np.ndarray) -> np.ndarray:
        padded = np.concatenate([parts, np.zeros((BATCH - len(parts), *parts.shape[1:]), np.float32)])
        return np.asarray(_layers(weights, padded))[: len(parts)]

    return by_numpy.of_parts(clips, of_batch, BATCH)


@functools.partial(jax.jit)
def _layers(weights: Mapping[str, jax.Array], parts: jax.Array) -> jax.Array:
    """Return audio.encoder.layers_of_parts of parts [b, 160, 40]."""
    means, states = [], jnp.swapaxes(parts, 0, 1)
    for layer in range(1, LAYERS + 1):
        names = (f"lstm_{layer}/{name}" for name in ("input", "recurrent", "bias"))
        states = lstm(LSTMParams(*(weights[name] for name in names)), states)
        means.append(states.mean(0))
    vector = jax.nn.relu(states[-1] @ weights["linear/kernel"] + weights["linear/bias"])
    vector /= jnp.linalg.norm(vector, axis=1, keepdims=True) + 1e-9
    return jnp.stack([vector, *means[1:]], axis=1)
