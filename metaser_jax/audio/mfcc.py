"""Samples -> MFCC [120, 20] and the number of real frames, as librosa computes them with its defaults.

20 coefficients, 22,050 Hz mono, hop 512, as in the paper: 120 frames are about 2.79 s. Nothing is normalised.
"""

import functools
import math
from typing import Literal

import numpy as np
from threadpoolctl import ThreadpoolController

from metaser_jax.extras import version
from metaser_jax.jit_cache import kept_table
from metaser_jax.types import N_FRAMES, N_MFCC

SAMPLE_RATE = 22050
HOP_LENGTH = 512
N_FFT = 2048
N_MELS = 128
MAX_FRAMES = N_FRAMES

# Of what is resampled.
MIN_RATE, MAX_RATE = 1_000, 1_000_000

# Windows that are transformed at once: 16 MiB of them.
_BLOCK = 1024


def frames(samples: np.ndarray) -> np.ndarray:
    """Return librosa.feature.mfcc(y=samples, sr=22050, n_mfcc=20), transposed; the same to the bit.

    In its steps, because librosa takes two seconds to import (numba and scipy.signal): its mel filters are made by it
    once, and kept. One thread computes them, since their number changes the last bits.

    Args:
      samples: [n] float32 at 22,050 Hz, n > 0.

    Returns:
      [1 + n // 512, 20] float32.
    """
    import scipy.fft

    with blas().limit(limits=1):
        filters = mel_filters(N_FFT, N_MELS, 0.0, SAMPLE_RATE / 2, "slaney")
        mel = np.einsum("ft,mf->mt", np.abs(_spectrum(samples)) ** 2.0, filters, optimize=True)
        level = 10.0 * np.log10(np.maximum(1e-10, mel))
        level = np.maximum(level, level.max() - 80.0)
        return np.asarray(scipy.fft.dct(level, axis=-2, type=2, norm="ortho"))[:N_MFCC].T


def _spectrum(samples: np.ndarray) -> np.ndarray:
    """Return librosa.stft(samples), [1025, 1 + n // 512] complex64: its windows are centred, with silence around."""
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(samples, N_FFT // 2), N_FFT)[::HOP_LENGTH]
    hann = 0.5 + 0.5 * np.cos(np.linspace(-np.pi, np.pi, N_FFT + 1)[:-1])
    spectrum = np.empty((len(windows), 1 + N_FFT // 2), np.complex64)
    for start in range(0, len(windows), _BLOCK):
        spectrum[start : start + _BLOCK] = np.fft.rfft(hann * windows[start : start + _BLOCK])
    return spectrum.T


def padded(frames: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the first 120 frames of [n, 20] float32, [120, 20], zero after the real ones, and how many are real."""
    first = frames[:MAX_FRAMES]
    found = np.zeros((MAX_FRAMES, N_MFCC), np.float32)
    found[: len(first)] = first
    return found, len(first)


def resampled(samples: np.ndarray, rate: int, to: int = SAMPLE_RATE) -> np.ndarray:
    """Return samples, [n] float32 at a rate in Hz, at 22,050 Hz or another; those of librosa.resample."""
    if rate == to:
        return samples
    import soxr

    found = soxr.resample(samples, rate, to, quality="soxr_hq")
    n = math.ceil(len(samples) * (to / rate))
    return np.pad(found[:n], (0, n - min(n, len(found))))


@functools.cache
def mel_filters(n_fft: int, n_mels: int, fmin: float, fmax: float, norm: Literal["slaney"] | None) -> np.ndarray:
    """Return librosa.filters.mel at 22,050 Hz, [n_mels, 1 + n_fft // 2] float32; arguments as its.

    librosa is imported but once, to make them.
    """

    def make() -> np.ndarray:
        import librosa.filters

        return librosa.filters.mel(sr=SAMPLE_RATE, n_fft=n_fft, n_mels=n_mels, fmin=fmin, fmax=fmax, norm=norm)

    return kept_table(f"mel_{n_fft}_{n_mels}_{fmin:g}_{fmax:g}_{norm}_librosa_{version('librosa')}", make)


@functools.cache
def blas() -> ThreadpoolController:
    """Return the controller of the BLAS threads of all that is loaded."""
    return ThreadpoolController()
