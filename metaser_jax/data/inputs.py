"""What a network is given of a corpus, by FrontEnd.features, all normalised (normalise.py).

mfcc    frames [n, 120, coef]: silence cut off (trim_db), changes from frame to frame added (deltas)
voice   statistics of the whole clip's frame tracks, as one row [n, 1, 171]
tracks  frame tracks themselves, means of every four frames, [n, 120, 19]
both    the statistics, folded into as many rows of 19 as they need (9), and after them the tracks: [n, 129, 19]

trim      frames before the first and after the last one that is within `trim_db` of the recording's loudest are dropped
deltas    the size of each coefficient's change from the frame before follows the coefficients, [n, 120, 40]
voice, tracks: what is more than CLIP deviations from the mean counts as CLIP, since an outlier tells of the recording

NOTE: the paper has MFCC and does none of these.
"""

import dataclasses
from collections.abc import Collection

import numpy as np

from metaser_jax.data.corpus import Corpus
from metaser_jax.data.normalise import Array, normalise, real_frames
from metaser_jax.errors import InputError
from metaser_jax.specs import FrontEnd
from metaser_jax.specs.voice import columns, tracks_of

# librosa's MFCC 0 is the sum of the mel bands' levels in dB over the square root of their number.
DB = 128**0.5


# In deviations.
CLIP = 5.0


def make_input(corpus: Corpus, how: FrontEnd, train: np.ndarray) -> Corpus:
    """Return the corpus as a network sees it: mfcc [n, how.rows, how.coefs], zero after the real rows.

    Args:
      corpus: as prepared, emotions selected.
      how: what is heard, and how it is normalised.
      train: [m] int, indices of the training part, see normalise.

    Raises:
      InputError: unknown normalisation; features that the corpus lacks.
    """
    if how.features == "mfcc":
        if how.trim_db:
            corpus = trim(corpus, how.trim_db)
        if how.deltas:
            corpus = add_deltas(corpus)
        return normalise(corpus, how.normalise, train)
    n = len(corpus)
    seen = [
        normalise(dataclasses.replace(corpus, mfcc=x, n_frames=m), how.normalise, train, voice=True)
        for x, m in _voice_parts(corpus, how)
    ]
    x, n_frames = np.clip(seen[-1].mfcc, -CLIP, CLIP), seen[-1].n_frames
    if how.statistics_rows:
        folded = np.clip(seen[0].mfcc, -CLIP, CLIP).reshape(n, -1)
        folded = np.pad(folded, ((0, 0), (0, how.statistics_rows * how.coefs - folded.shape[1])))
        x = np.concatenate([folded.reshape(n, how.statistics_rows, how.coefs), x], axis=1)
        n_frames = n_frames + np.int32(how.statistics_rows)
    return dataclasses.replace(corpus, mfcc=x, n_frames=n_frames, voice=None, tracks=None, n_tracks=None)


def _voice_parts(corpus: Corpus, how: FrontEnd) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return what is normalised apart, x [n, rows, coef] and n_rows [n]: statistics, frames, or both in this order."""
    parts = []
    if how.features in ("voice", "both") and corpus.voice is not None:
        parts.append(statistics_rows(corpus.voice, how.track_groups))
    if how.features in ("tracks", "both") and corpus.tracks is not None and corpus.n_tracks is not None:
        parts.append((corpus.tracks[..., list(tracks_of(how.track_groups))], corpus.n_tracks))
    if len(parts) < (2 if how.features == "both" else 1):
        raise InputError(
            f"{corpus.name}: got MFCC alone, expected what --features={how.features} is made of. Prepare it."
        )
    return parts


def statistics_rows(voice: Array, groups: Collection[str]) -> tuple[Array, Array]:
    """Return the statistics of some groups as one row, of arrays, NumPy's or jax's.

    Args: voice: [n, 171]. groups: of specs.voice.GROUPS.

    Returns: [n, 1, coef], and the number of rows, [n] int32.
    """
    xp = voice.__array_namespace__()
    return voice[:, None, np.array(columns(groups))], xp.ones(voice.shape[0], xp.int32)


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
