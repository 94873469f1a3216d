"""A recording -> all that a prepared corpus keeps of it: MFCC, the voice's frame tracks and their statistics."""

import hashlib
import os
from typing import NamedTuple

import numpy as np

from metaser_jax.audio.decoding import Limits, Source, decode, errors_of, quality_of, read_source
from metaser_jax.audio.mfcc import UTTERANCE, mfcc, resampled
from metaser_jax.audio.quality import Quality, why_unusable
from metaser_jax.audio.track_statistics import statistics
from metaser_jax.audio.tracks import tracks
from metaser_jax.errors import RecordingError


class Extraction(NamedTuple):
    """Hold what is kept of one recording.

    Attributes:
      mfcc: [120, 20] float32, zero after the real frames.
      n_frames: number of real frames, 1 to 120.
      tracks: [frames, 19] float32, of the whole recording; see tracks.tracks.
      voice: [171] float32, their statistics; see track_statistics.statistics.
      seconds: duration of the whole recording.
      sample_rate: of the file, in Hz.
      sha256: of the file's bytes, hexadecimal.
      quality: of its sound; None where it was not looked at.
    """

    mfcc: np.ndarray
    n_frames: int
    tracks: np.ndarray
    voice: np.ndarray
    seconds: float
    sample_rate: int
    sha256: str
    quality: Quality | None = None


def extract(path: str | os.PathLike[str] | Source, limits: Limits = UTTERANCE) -> Extraction:
    """Read one recording and compute all that is kept of it.

    Raises:
      RecordingError: as mfcc.load_waveform, or it has no sound (digital silence, a constant), or less than a window.
    """
    with errors_of(str(path)):
        data = read_source(path)
        sound = decode(data, str(path), limits)
        samples = resampled(sound.mono, sound.sample_rate)
        features, n_frames = mfcc(samples)
        of_voice = tracks(samples)
        sha256, quality = hashlib.sha256(data).hexdigest(), quality_of(sound)
        found = Extraction(
            features, n_frames, of_voice, statistics(of_voice), sound.seconds, sound.sample_rate, sha256, quality
        )
        why = why_unusable(found, silence=-np.inf)
        if why is not None:
            raise RecordingError(str(path), why)
        return found
