"""The input of a network or a machine: what is heard of recordings (FrontEnd), normalised (normalise.py).

mfcc    frames [n, 120, coef]: silence cut off (trim_db), changes from frame to frame added (deltas)
voice   statistics of the whole clip's frame tracks, as one row [n, 1, 171]

trim      frames before the first and after the last one that is within `trim_db` of the recording's loudest are dropped
deltas    the size of each coefficient's change from the frame before follows the coefficients, [n, 120, 40]
voice     what is more than CLIP deviations from the mean counts as CLIP, since an outlier tells of the recording

NOTE: the paper has MFCC and does none of these.
"""

import dataclasses
from types import MappingProxyType

import numpy as np

from metaser_jax.data.corpus import Corpus
from metaser_jax.data.normalise import Array, normalise, real_frames
from metaser_jax.errors import InputError
from metaser_jax.specs import FrontEnd
from metaser_jax.specs.voice import STATISTICS, columns
from metaser_jax.types import N_FRAMES, N_MFCC

GIVEN = MappingProxyType(
    {
        "mfcc": {"mfcc": (np.float32, (N_FRAMES, N_MFCC)), "n_frames": (np.int32, ())},
        "voice": {"voice": (np.float32, (len(STATISTICS),))},
    }
)
"""What is given of each recording, by FrontEnd.features: field of Corpus -> dtype, shape."""

# librosa's MFCC 0 is the sum of the mel bands' levels in dB over the square root of their number.
DB = 128**0.5
# In deviations.
CLIP = 5.0

PERCENTILES = (10, 25, 50, 75, 90)
NAMES = ("mean", "deviation", *(f"percentile {p}" for p in PERCENTILES))
"""Of utterance_statistics."""


def make_input(corpus: Corpus, how: FrontEnd, train: np.ndarray) -> Corpus:
    """Return the corpus as a network sees it: mfcc [n, how.rows, how.coefs], zero after the real rows.

    Args:
      corpus: as prepared, emotions selected.
      how: what is heard, and how it is normalised.
      train: [m] int, indices of the training part, see normalise.

    Raises:
      InputError: unknown normalisation; features that the corpus lacks.
    """
    given = [getattr(corpus, name) for name in GIVEN[how.features]]
    if any(array is None for array in given):
        raise InputError(
            f"{corpus.name}: got MFCC alone, expected what --features={how.features} is made of. Prepare it."
        )
    x, n = make_x(how, *given)
    if how.features == "mfcc":
        return normalise(dataclasses.replace(corpus, mfcc=x, n_frames=n), how.normalise, train)
    seen = normalise(dataclasses.replace(corpus, mfcc=x, n_frames=n), how.normalise, train, voice=True)
    return dataclasses.replace(seen, mfcc=seen.mfcc.clip(-CLIP, CLIP), voice=None, tracks=None, n_tracks=None)


def make_x(how: FrontEnd, *given: Array) -> tuple[Array, Array]:
    """Return the rows of each recording before they are normalised.

    Args:
      how: what is heard.
      given: as GIVEN says, each [n, ...], NumPy's or jax's arrays.

    Returns:
      x [n, rows, coef], and the number of real rows, [n] int32.
    """
    if how.features == "voice":
        (voice,) = given
        rows = voice.__array_namespace__().ones(voice.shape[0], np.int32)
        return voice[:, None, np.array(columns(how.track_groups))], rows
    x, n = given
    if how.trim_db:
        x, n = trim(x, n, how.trim_db)
    return (add_deltas(x, n) if how.deltas else x), n


def trim(mfcc: Array, n_frames: Array, db: float) -> tuple[Array, Array]:
    """Drop leading and trailing frames whose mean level over mel bands is more than `db` below the loudest frame's.

    Of NumPy's or jax's arrays: mfcc [n, time, coef], n_frames [n] -> the same of what is left.
    """
    xp = mfcc.__array_namespace__()
    time = xp.arange(mfcc.shape[1])
    level = xp.where(time < n_frames[:, None], mfcc[:, :, 0], -xp.inf)
    loud = level >= level.max(axis=1, keepdims=True) - db * DB
    first, last = loud.argmax(axis=1), len(time) - 1 - loud[:, ::-1].argmax(axis=1)
    n_frames = (last - first + 1).astype(xp.int32)
    source = xp.minimum(first[:, None] + time, len(time) - 1)
    mfcc = xp.take_along_axis(mfcc, source[..., None], axis=1)
    return xp.where(real_frames(mfcc, n_frames), mfcc, 0).astype(xp.float32), n_frames


def add_deltas(mfcc: Array, n_frames: Array) -> Array:
    """Append |x_t - x_(t-1)| to the coefficients of each frame; the first frame has the second's.

    Of NumPy's or jax's arrays: [n, time, coef] -> [n, time, 2 * coef].
    """
    xp = mfcc.__array_namespace__()
    change = xp.abs(xp.diff(mfcc, axis=1))
    first = xp.where((n_frames > 1)[:, None, None], change[:, :1], 0)
    change = xp.concatenate([first, change], axis=1).astype(mfcc.dtype)
    return xp.concatenate([mfcc, xp.where(real_frames(mfcc, n_frames), change, 0)], axis=-1)


def utterance_statistics(x: np.ndarray, n_frames: np.ndarray) -> np.ndarray:
    """Return mean, deviation and percentiles of each coefficient over the real frames: a plain classifier's input.

    Args:
      x: [n, time, coef] float, MFCC (normalised or not); what follows the real frames is not looked at.
      n_frames: [n] int, number of real frames, 1 to time.

    Returns:
      [n, 7 * coef] float64: all coefficients' means, then their deviations (of the frames, divisor n), then percentile
      after percentile (linear between frames), in the order of NAMES.
    """
    x = np.asarray(x, np.float64)
    out = np.empty((len(x), len(NAMES), x.shape[2]))
    # Utterances of equal length at once: they are all that numpy's percentile takes.
    for length in np.unique(n_frames):
        at = n_frames == length
        frames = x[at, :length]
        out[at, 0], out[at, 1] = frames.mean(1), frames.std(1)
        out[at, 2:] = np.moveaxis(np.percentile(frames, PERCENTILES, axis=1), 0, 1)
    return out.reshape(len(x), -1)
