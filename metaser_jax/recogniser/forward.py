"""MFCC or statistics of the voice -> logits: all that a model does after feature extraction, as one function.

To jit or to export.
"""

from collections.abc import Callable
from types import MappingProxyType

import jax
import numpy as np

from metaser_jax.data.inputs import CLIP, append_deltas, statistics_rows, trim_frames
from metaser_jax.data.normalise import MIN_STD, SHRINK, Array, Scale, real_frames, rescale
from metaser_jax.models.classifier import make_network
from metaser_jax.specs import ModelSpec
from metaser_jax.specs.voice import STATISTICS
from metaser_jax.types import N_FRAMES, N_MFCC, Params

GIVEN = MappingProxyType(
    {
        "mfcc": {"mfcc": (np.float32, (N_FRAMES, N_MFCC)), "n_frames": (np.int32, ())},
        "voice": {"voice": (np.float32, (len(STATISTICS),))},
    }
)
"""What a model is given of each utterance, by its features: name -> dtype, shape. So are fields of Corpus called."""

Forward = Callable[..., jax.Array]
"""(params, scale, *GIVEN, each [n, ...]) -> logits [n, class].

Given mfcc [n, 120, 20] and n_frames [n] int32, or voice [n, 171], not normalised yet.
scale: mean and std, [coef] or [n, 1, coef]; None where normalise is "none" or "utterance".
"""


def make_forward(settings: ModelSpec) -> Forward:
    """Return the function of a model's settings; the same as inputs.make_input and the network, up to rounding."""
    network = make_network(settings)

    def forward(params: Params, scale: Scale | None, *given: jax.Array) -> jax.Array:
        x, n = make_x(settings, *given)
        if settings.normalise == "utterance":
            scale = _own_scale(x, n)
        if scale is not None:
            x = rescale(x, n, scale)
        if settings.features == "voice":
            x = x.clip(-CLIP, CLIP)
        return network.apply(params, x)

    return forward


def scale_of_one_clip(settings: ModelSpec, everybody: Scale | None) -> Scale | None:
    """Return what a model normalises a clip by of whose voice it has no other.

    A model over the voice that normalises each by its own clips shrinks the mean of this one clip to everybody's
    (normalise.shrunk_scales): so (x - mean) SHRINK / (1 + SHRINK) is left of it, and it is half as sure of what it
    hears as of a voice that it knows. Of every other model, what the model has.
    """
    if everybody is None or settings.features != "voice" or settings.normalise != "speaker":
        return everybody
    return Scale(everybody.mean, everybody.std * ((1 + SHRINK) / SHRINK))


def make_x(settings: ModelSpec, *given: Array) -> tuple[Array, Array]:
    """Return what the network is given before it is normalised: x [n, rows, coef] and its number of real rows [n].

    Args: given: of GIVEN, NumPy's or jax's arrays.
    """
    if settings.features == "voice":
        (voice,) = given
        return statistics_rows(voice, settings.track_groups)
    mfcc, n_frames = given
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
