"""What a network is given of a corpus: silence cut off, changes from frame to frame added, all normalised.

trim      frames before the first and after the last one that is within `trim_db` of the recording's loudest are dropped
deltas    the size of each coefficient's change from the frame before follows the coefficients, [n, 120, 40]
normalise mean 0 and deviation 1 per coefficient, see normalise.py

NOTE: the paper does none of these.
"""

import dataclasses
from typing import NamedTuple

import numpy as np

from metaser_jax.corpus import Corpus
from metaser_jax.normalise import normalise
from metaser_jax.types import N_MFCC

# librosa's MFCC 0 is the sum of the mel bands' levels in dB over the square root of their number.
DB = 128**0.5


class Input(NamedTuple):
    """Attributes: trim_db, 0 keeps everything; deltas; normalise, see normalise.py."""

    trim_db: float = 0.0
    deltas: bool = False
    normalise: str = "none"

    @property
    def coefs(self) -> int:
        """Numbers per frame."""
        return N_MFCC * (2 if self.deltas else 1)

    @property
    def of_split(self) -> bool:
        """Whether it depends on which utterances train."""
        return self.normalise in ("corpus", "auto")


def make_input(corpus: Corpus, how: Input, train: np.ndarray) -> Corpus:
    """The corpus as a network sees it: mfcc [n, 120, how.coefs], zero after the real frames.

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
    """Drops leading and trailing frames whose mean level over mel bands is more than `db` below the loudest frame's."""
    time = np.arange(corpus.mfcc.shape[1])
    level = np.where(time < corpus.n_frames[:, None], corpus.mfcc[:, :, 0], -np.inf)
    loud = level >= level.max(axis=1, keepdims=True) - db * DB
    first, last = loud.argmax(axis=1), len(time) - 1 - loud[:, ::-1].argmax(axis=1)
    n_frames = (last - first + 1).astype(np.int32)
    source = np.minimum(first[:, None] + time, len(time) - 1)
    mfcc = np.take_along_axis(corpus.mfcc, source[..., None], axis=1)
    mfcc = np.where((time < n_frames[:, None])[..., None], mfcc, 0).astype(np.float32)
    return dataclasses.replace(corpus, mfcc=mfcc, n_frames=n_frames)


def add_deltas(corpus: Corpus) -> Corpus:
    """Appends |x_t - x_(t-1)| to the coefficients of each frame; the first frame has the second's."""
    change = np.zeros_like(corpus.mfcc)
    change[:, 1:] = np.abs(np.diff(corpus.mfcc, axis=1))
    change[:, 0] = np.where((corpus.n_frames > 1)[:, None], change[:, 1], 0)
    real = (np.arange(change.shape[1]) < corpus.n_frames[:, None])[..., None]
    return dataclasses.replace(corpus, mfcc=np.concatenate([corpus.mfcc, np.where(real, change, 0)], axis=-1))
