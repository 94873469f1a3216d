"""Frame tracks of a clip -> one vector, the utterance's statistics, as functionals of eGeMAPS.

Each track in turn: mean, deviation (divisor n), 20th, 50th and 80th percentile (linear between frames), the range from
the 20th to the 80th, and the mean absolute change from frame to frame (per frame of 11.6 ms; divide by tracks.STEP for
that of a second); of f0 the 5th and 95th percentile, too, the voice's range. In the tracks' own units.
"""

from collections.abc import Collection

import numpy as np

from metaser_jax.errors import InputError
from metaser_jax.specs.voice import EXTREMES, OVER_ALL, OVER_VOICED, PERCENTILES, TRACKS

# Of a clip with fewer voiced frames, statistics over voiced frames are those over all.
FEWEST_VOICED = 5


def statistics(tracks: np.ndarray) -> np.ndarray:
    """Return the statistics of one clip.

    Args:
      tracks: [frames, 19] float, frames > 0, as of tracks.tracks.

    Returns:
      [171] float32, in the order of STATISTICS; finite.

    Raises:
      InputError: another shape, or no frame.
    """
    tracks = np.asarray(tracks)
    if tracks.ndim != 2 or tracks.shape[1] != len(TRACKS) or not len(tracks):
        raise InputError(f"tracks: got shape {tracks.shape}, expected (frames, {len(TRACKS)}) with frames > 0.")
    tracks = tracks.astype(np.float64)
    everywhere = np.ones(len(tracks), bool)
    voiced = tracks[:, TRACKS.index("voicing")] > 0
    share = voiced.mean()
    if voiced.sum() < FEWEST_VOICED:
        voiced = everywhere
    over_all = _functionals(tracks[:, _at(OVER_ALL)], everywhere)
    over_voiced = _functionals(tracks[:, _at(OVER_VOICED)], voiced)
    extremes = np.percentile(tracks[voiced, TRACKS.index("f0")], EXTREMES)
    return np.concatenate([over_all, over_voiced, extremes, [share]]).astype(np.float32)


def _functionals(x: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """Return FUNCTIONALS of each column of [frames, k] over the frames taken [frames] bool."""
    both = taken[1:] & taken[:-1]
    change = np.abs(np.diff(x, axis=0))[both].sum(0) / max(both.sum(), 1)
    x = x[taken]
    low, median, high = np.percentile(x, PERCENTILES, axis=0)
    return np.stack([x.mean(0), x.std(0), low, median, high, high - low, change], 1).ravel()


def _at(names: Collection[str]) -> list[int]:
    return [TRACKS.index(name) for name in names]
