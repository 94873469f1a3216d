"""Tiny recordings with real headers, in the naming of each corpus."""

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

# Each corpus as its archive lays it out, with folders in a case of their own; every emotion is there.
FILES = {
    "demo_urdu": ("f1_angry_03.wav", "f1_happy_00.wav", "m2_neutral_01.wav", "m2_sad_10.wav"),
    "emodb": (*(f"WAV/03a01{code}a.wav" for code in "WFNTLEA"), "WAV/16b10Wf.wav"),
    "ravdess": (
        *(f"Actor_01/03-01-0{code}-01-01-01-01.wav" for code in range(1, 9)),
        "more/ACTOR_24/03-01-05-02-02-02-24.WAV",
    ),
    "urdu": ("ANGRY/SM1_F10_A010.wav", "Happy/SF1_F1_H01.wav", "neutral/SM5_F2_N02.wav", "Sad/SM24_F3_S03.wav"),
}


def _write_sound(path: Path, *, seconds: float = 0.1, rate: int = 16000, channels: int = 1) -> Path:
    """Writes noise that depends on the file's name, so that no two files are alike."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(zlib.crc32(path.name.encode()))
    soundfile.write(path, 0.1 * rng.standard_normal((round(seconds * rate), channels)), rate)
    return path


@pytest.fixture
def write_sound() -> Callable[..., Path]:
    """write_sound(path, seconds=, rate=, channels=)."""
    return _write_sound


@pytest.fixture
def corpus_files() -> dict[str, tuple[str, ...]]:
    """The files that make_corpus writes."""
    return FILES


@pytest.fixture
def recordings_dir(tmp_path: Path) -> Path:
    """A --manual_dir."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    return folder


@pytest.fixture
def make_corpus(recordings_dir: Path) -> Callable[[str], Path]:
    """Writes a small corpus and returns its folder."""

    def make(name: str) -> Path:
        for file in FILES[name]:
            _write_sound(recordings_dir / name / file)
        return recordings_dir / name

    return make
