"""MFCC -> logits: all that a model does after feature extraction, as one function to jit or to export."""

from collections.abc import Callable

import jax

from metaser_jax.data.inputs import append_deltas, trim_frames
from metaser_jax.data.normalise import MIN_STD, Scale, real_frames, rescale
from metaser_jax.models.classifier import make_network
from metaser_jax.specs import ModelSpec
from metaser_jax.types import Params

Forward = Callable[[Params, Scale | None, jax.Array, jax.Array], jax.Array]
"""(params, scale, mfcc [n, 120, 20], n_frames [n] int32) -> logits [n, class].

scale: mean and std, [coef] or [n, 1, coef]; None where normalise is "none" or "utterance".
"""


def make_forward(settings: ModelSpec) -> Forward:
    """Return the function of a model's settings; the same as inputs.make_input and the network, up to rounding."""
    network = make_network(settings)

    def forward(params: Params, scale: Scale | None, mfcc: jax.Array, n_frames: jax.Array) -> jax.Array:
        x, n = make_x(settings, mfcc, n_frames)
        if settings.normalise == "utterance":
            scale = _own_scale(x, n)
        if scale is not None:
            x = rescale(x, n, scale)
        return network.apply(params, x)

    return forward


def make_x(settings: ModelSpec, mfcc: jax.Array, n_frames: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return what the network is given before it is normalised: x [n, 120, coef] and its number of real frames [n]."""
    if settings.trim_db:
        mfcc, n_frames = trim_frames(mfcc, n_frames, settings.trim_db)
    if settings.deltas:
        mfcc = append_deltas(mfcc, n_frames)
    return mfcc, n_frames


def _own_scale(x: jax.Array, n_frames: jax.Array) -> Scale:
    """Return each utterance's own, [n, 1, coef]."""
    xp = x.__array_namespace__()
    real = real_frames(x, n_frames)
    count = n_frames[:, None, None]
    mean = xp.where(real, x, 0).sum(axis=1, keepdims=True) / count
    var = xp.where(real, xp.square(x - mean), 0).sum(axis=1, keepdims=True) / count
    return Scale(mean, xp.maximum(xp.sqrt(var), MIN_STD))
