"""A recording -> all that a prepared corpus keeps of it: MFCC, the voice's frame tracks and their statistics."""

import hashlib
import os
from typing import NamedTuple

import numpy as np

from metaser_jax.audio.decoding import Limits, Source, read_source
from metaser_jax.audio.mfcc import UTTERANCE, mfcc, waveform_of
from metaser_jax.audio.track_statistics import statistics
from metaser_jax.audio.tracks import tracks


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
    """

    mfcc: np.ndarray
    n_frames: int
    tracks: np.ndarray
    voice: np.ndarray
    seconds: float
    sample_rate: int
    sha256: str


def extract(path: str | os.PathLike[str] | Source, limits: Limits = UTTERANCE) -> Extraction:
    """Read one recording and compute all that is kept of it. Raises RecordingError as mfcc.load_waveform does."""
    data = read_source(path)
    waveform = waveform_of(data, str(path), limits)
    features, n_frames = mfcc(waveform.samples)
    of_voice = tracks(waveform.samples)
    sha256 = hashlib.sha256(data).hexdigest()
    return Extraction(
        features, n_frames, of_voice, statistics(of_voice), waveform.seconds, waveform.sample_rate, sha256
    )
