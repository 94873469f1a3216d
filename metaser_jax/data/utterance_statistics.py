"""An utterance as one vector: statistics of its MFCC over the real frames, what a plain classifier is given."""

import numpy as np

from metaser_jax.errors import InputError

PERCENTILES = (10, 25, 50, 75, 90)
NAMES = ("mean", "deviation", *(f"percentile {p}" for p in PERCENTILES))


def utterance_statistics(x: np.ndarray, n_frames: np.ndarray) -> np.ndarray:
    """Return mean, deviation and percentiles of each coefficient over the real frames.

    Args:
      x: [n, time, coef] float, MFCC (normalised or not); what follows the real frames is not looked at.
      n_frames: [n] int, number of real frames, 1 to time.

    Returns:
      [n, 7 * coef] float64: all coefficients' means, then their deviations (of the frames, divisor n), then percentile
      after percentile (linear between frames), in the order of NAMES.

    Raises:
      InputError: arrays that do not fit each other, or an utterance without a real frame.
    """
    x, n_frames = np.asarray(x, np.float64), np.asarray(n_frames)
    if x.ndim != 3 or n_frames.shape != x.shape[:1]:
        raise InputError(
            f"utterance_statistics: got x {x.shape} and n_frames {n_frames.shape}, expected [n, time, coef] and [n]."
        )
    bad = np.flatnonzero((n_frames < 1) | (n_frames > x.shape[1]))
    if len(bad):
        raise InputError(
            f"utterance_statistics: utterance {bad[0]} has {n_frames[bad[0]]} real frames, expected 1 to {x.shape[1]}."
        )
    out = np.empty((len(x), len(NAMES), x.shape[2]))
    # Utterances of equal length at once: they are all that numpy's percentile takes.
    for length in np.unique(n_frames):
        at = n_frames == length
        frames = x[at, :length]
        out[at, 0], out[at, 1] = frames.mean(1), frames.std(1)
        out[at, 2:] = np.moveaxis(np.percentile(frames, PERCENTILES, axis=1), 0, 1)
    return out.reshape(len(x), -1)
