"""Recordings that are made up: noise in memory, as the bytes of a file, and on the disk."""

import io
import zlib
from pathlib import Path

import numpy as np
import soundfile


def noise(seconds: float = 1.0, channels: int = 1, rate: int = 22050, seed: int = 0) -> np.ndarray:
    """Return noise, [n, channels] float32."""
    return 0.1 * np.random.default_rng(seed).standard_normal((round(seconds * rate), channels)).astype(np.float32)


def encoded(samples: np.ndarray, rate: int = 22050, kind: str = "WAV", subtype: str | None = None) -> bytes:
    """Return the bytes of a sound file."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()


def write_sound(path: Path, *, seconds: float = 0.1, rate: int = 16000, channels: int = 1) -> Path:
    """Write noise that depends on the file's name, so that no two files are alike."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, noise(seconds, channels, rate, zlib.crc32(path.name.encode())), rate)
    return path
