"""Waveform or file -> MFCC [120, 20] and the number of real frames, as librosa computes them with its defaults.

20 coefficients, 22,050 Hz mono, hop 512, as in the paper: 120 frames are about 2.79 s. Nothing is normalised. librosa
is imported at the first use, because it takes seconds.
"""

import functools
import hashlib
import os
import warnings
from typing import NamedTuple

import numpy as np

from metaser_jax.audio.decoding import Limits, Sound, Source, decode, read_source
from metaser_jax.errors import InputError, RecordingError

SAMPLE_RATE = 22050
HOP_LENGTH = 512
N_FFT = 2048
N_MFCC = 20
MAX_FRAMES = 120

# Of all channels together: 10 minutes of stereo at 48 kHz. What is longer is no utterance, and would fill the memory.
MAX_SAMPLES = 600 * 2 * 48000
# Of one channel at 48 kHz; at a low rate the limit above would be hours, which resampling makes large.
MAX_SECONDS = 1200
UTTERANCE = Limits(MAX_SAMPLES, MAX_SECONDS, "expected an utterance of some seconds")

__all__ = [
    "Extraction",
    "RecordingError",
    "Source",
    "Waveform",
    "extract",
    "frames",
    "load_waveform",
    "mfcc",
    "resampled",
]


class Waveform(NamedTuple):
    """One recording.

    Attributes:
      samples: [n] float32, mono at 22,050 Hz.
      seconds: duration.
      sample_rate: of the file, in Hz.
    """

    samples: np.ndarray
    seconds: float
    sample_rate: int


class Extraction(NamedTuple):
    """What is kept of one recording.

    Attributes:
      mfcc: [120, 20] float32, zero after the real frames.
      n_frames: number of real frames, 1 to 120.
      seconds: duration of the whole recording.
      sample_rate: of the file, in Hz.
      sha256: of the file's bytes, hexadecimal.
    """

    mfcc: np.ndarray
    n_frames: int
    seconds: float
    sample_rate: int
    sha256: str


def load_waveform(path: str | os.PathLike[str]) -> Waveform:
    """Read a .wav, .flac, .mp3 or .ogg file; the samples are those of librosa.load(path).

    Raises:
      RecordingError: the file is missing, empty, not audio, truncated or damaged, without samples, or has samples that
        are not finite.
    """
    return _waveform(read_source(path), str(path))


def frames(samples: np.ndarray) -> np.ndarray:
    """Return librosa.feature.mfcc(y=samples, sr=22050, n_mfcc=20), transposed; the same to the bit.

    In its steps, because librosa.feature takes half a second more to import, and makes its mel filters anew for each
    recording, which is an eighth of the time. One thread computes them, since their number changes the last bits.

    Args:
      samples: [n] float32 at 22,050 Hz, n > 0.

    Returns:
      [1 + n // 512, 20] float32.

    Raises:
      InputError: not one dimension, or no samples.
    """
    if samples.ndim != 1 or not samples.size:
        raise InputError(f"samples: got shape {samples.shape}, expected (n,) with n > 0.")
    librosa, threads = _librosa()
    import scipy.fft

    with threads.limit(limits=1), warnings.catch_warnings():
        # A clip shorter than one window is padded; librosa does it right and warns all the same.
        warnings.filterwarnings("ignore", message="n_fft=.* is too large", category=UserWarning)
        power = np.abs(librosa.stft(samples, n_fft=N_FFT, hop_length=HOP_LENGTH)) ** 2.0
        mel = np.einsum("...ft,mf->...mt", power, _mel_filters(), optimize=True)
        return scipy.fft.dct(librosa.power_to_db(mel), axis=-2, type=2, norm="ortho")[:N_MFCC].T


def mfcc(samples: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the first 120 of `frames`, padded with zeros.

    Args:
      samples: [n] float32 at 22,050 Hz, n > 0.

    Returns:
      [120, 20] float32 and the number of real frames, min(120, 1 + n // 512).

    Raises:
      InputError: not one dimension, or no samples.
    """
    first = frames(samples)[:MAX_FRAMES]
    features = np.zeros((MAX_FRAMES, N_MFCC), np.float32)
    features[: len(first)] = first
    return features, len(first)


def extract(path: str | os.PathLike[str] | Source, limits: Limits = UTTERANCE) -> Extraction:
    """Read one recording and compute all that is kept of it. Raises RecordingError as load_waveform does."""
    data = read_source(path)
    waveform = _waveform(data, str(path), limits)
    features, n_frames = mfcc(waveform.samples)
    return Extraction(features, n_frames, waveform.seconds, waveform.sample_rate, hashlib.sha256(data).hexdigest())


def resampled(sound: Sound) -> np.ndarray:
    """Return a recording's samples at 22,050 Hz, [n] float32."""
    librosa, _ = _librosa()
    return librosa.resample(sound.mono, orig_sr=sound.sample_rate, target_sr=SAMPLE_RATE)


def _waveform(data: bytes, path: str, limits: Limits = UTTERANCE) -> Waveform:
    sound = decode(data, path, limits)
    return Waveform(resampled(sound), sound.seconds, sound.sample_rate)


@functools.cache
def _mel_filters() -> np.ndarray:
    """Return [128, 1025] float32."""
    librosa, _ = _librosa()
    return librosa.filters.mel(sr=SAMPLE_RATE, n_fft=N_FFT)


@functools.cache
def _librosa():
    """Return librosa with its lazy submodules, and the controller of the BLAS threads of all that is loaded."""
    import librosa
    from threadpoolctl import ThreadpoolController

    librosa.stft, librosa.resample, librosa.filters.mel  # noqa: B018 (loads them)
    return librosa, ThreadpoolController()
