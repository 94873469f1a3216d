"""librosa's mel filters, without importing it but once: that takes two seconds (numba and scipy.signal)."""

import functools
from typing import Literal

import numpy as np

from metaser_jax.jit_cache import kept_table
from metaser_jax.versions import version


@functools.cache
def mel_filters(n_fft: int, n_mels: int, fmin: float, fmax: float, norm: Literal["slaney"] | None) -> np.ndarray:
    """Return librosa.filters.mel at 22,050 Hz, [n_mels, 1 + n_fft // 2] float32; arguments as its."""

    def make() -> np.ndarray:
        import librosa.filters

        return librosa.filters.mel(sr=22050, n_fft=n_fft, n_mels=n_mels, fmin=fmin, fmax=fmax, norm=norm)

    return kept_table(f"mel_{n_fft}_{n_mels}_{fmin:g}_{fmax:g}_{norm}_librosa_{version('librosa')}", make)
