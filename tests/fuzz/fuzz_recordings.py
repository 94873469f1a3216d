"""Fuzzes the reading of recordings with atheris: whatever the bytes are, they read or are a RecordingError.

make fuzz, or python tests/fuzz/fuzz_recordings.py -max_total_time=300 CORPUS. One file of each container is written
into an empty CORPUS; a file in place of it is read once. libsndfile and FFmpeg are not instrumented, but the code
around them is.
"""

import sys
from pathlib import Path

import atheris

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "audio")]

with atheris.instrument_imports(include=["metaser_jax.audio", "metaser_jax.errors"]):
    from metaser_jax.audio.decoding import Limits, decode
    from metaser_jax.errors import RecordingError

from containers import FOREIGN, by_ffmpeg, containers  # noqa: E402

LIMITS = Limits(10**6, 30, "expected less")


def read(data: bytes) -> None:
    """Decode, without the guard that makes every exception a RecordingError."""
    try:
        sound = decode(data, "fuzzed.wav", LIMITS)
    except RecordingError:
        return
    assert len(sound.mono) > 0


def write_seeds(folder: Path) -> None:
    """Write a short sound in each container, if the folder is empty."""
    folder.mkdir(parents=True, exist_ok=True)
    sounds = [*(one.data for one in containers(0.1)), *(by_ffmpeg(kind, 1, 0.3) for kind in FOREIGN)]
    for i, data in enumerate(sounds if not any(folder.iterdir()) else []):
        (folder / f"{i:02d}").write_bytes(data)


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        if not argument.startswith("-") and not Path(argument).is_file():
            write_seeds(Path(argument))
    atheris.Setup(sys.argv, read)
    atheris.Fuzz()
