"""What a network is given of a corpus: silence cut off, changes from frame to frame added, all normalised.

trim      frames before the first and after the last one that is within `trim_db` of the recording's loudest are dropped
deltas    the size of each coefficient's change from the frame before follows the coefficients, [n, 120, 40]
normalise mean 0 and deviation 1 per coefficient, see normalise.py

NOTE: the paper does none of these.
"""

import dataclasses

import numpy as np

from metaser_jax.data.corpus import Corpus
from metaser_jax.data.normalise import Array, normalise, real_frames
from metaser_jax.specs import FrontEnd

# librosa's MFCC 0 is the sum of the mel bands' levels in dB over the square root of their number.
DB = 128**0.5


def make_input(corpus: Corpus, how: FrontEnd, train: np.ndarray) -> Corpus:
    """Return the corpus as a network sees it: mfcc [n, 120, how.coefs], zero after the real frames.

    Args:
      corpus: as prepared, emotions selected.
      train: [m] int, indices of the training part, see normalise.

    Raises:
      InputError: unknown normalisation.
    """
    if how.trim_db:
        corpus = trim(corpus, how.trim_db)
    if how.deltas:
        corpus = add_deltas(corpus)
    return normalise(corpus, how.normalise, train)


def trim(corpus: Corpus, db: float) -> Corpus:
    """Drop leading and trailing frames whose mean level over mel bands is more than `db` below the loudest frame's."""
    mfcc, n_frames = trim_frames(corpus.mfcc, corpus.n_frames, db)
    return dataclasses.replace(corpus, mfcc=mfcc, n_frames=n_frames)


def add_deltas(corpus: Corpus) -> Corpus:
    """Append |x_t - x_(t-1)| to the coefficients of each frame; the first frame has the second's."""
    return dataclasses.replace(corpus, mfcc=append_deltas(corpus.mfcc, corpus.n_frames))


def trim_frames(mfcc: Array, n_frames: Array, db: float) -> tuple[Array, Array]:
    """Return `trim` of arrays, NumPy's or jax's: mfcc [n, time, coef], n_frames [n] -> the same of what is left."""
    xp = mfcc.__array_namespace__()
    time = xp.arange(mfcc.shape[1])
    level = xp.where(time < n_frames[:, None], mfcc[:, :, 0], -xp.inf)
    loud = level >= level.max(axis=1, keepdims=True) - db * DB
    first, last = loud.argmax(axis=1), len(time) - 1 - loud[:, ::-1].argmax(axis=1)
    n_frames = (last - first + 1).astype(xp.int32)
    source = xp.minimum(first[:, None] + time, len(time) - 1)
    mfcc = xp.take_along_axis(mfcc, source[..., None], axis=1)
    return xp.where(real_frames(mfcc, n_frames), mfcc, 0).astype(xp.float32), n_frames


def append_deltas(mfcc: Array, n_frames: Array) -> Array:
    """Return `add_deltas` of arrays, NumPy's or jax's: [n, time, coef] -> [n, time, 2 * coef]."""
    xp = mfcc.__array_namespace__()
    change = xp.abs(xp.diff(mfcc, axis=1))
    first = xp.where((n_frames > 1)[:, None, None], change[:, :1], 0)
    change = xp.concatenate([first, change], axis=1).astype(mfcc.dtype)
    return xp.concatenate([mfcc, xp.where(real_frames(mfcc, n_frames), change, 0)], axis=-1)
