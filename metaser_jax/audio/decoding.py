"""A recording's bytes -> mono samples, by libsndfile; everything that is no whole recording is an error.

Memory is taken for what is read, in blocks that are mixed to mono, and not for what a header promises.
"""

import io
import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

import numpy as np
import soundfile

from metaser_jax.audio import bounded_files as regular_files
from metaser_jax.audio import containers, mp3
from metaser_jax.errors import RecordingError

MIN_RATE, MAX_RATE = 1_000, 1_000_000
# float32 waveforms lie in [-1, 1], or in the range of 32-bit integers if somebody forgot to scale them. Above that,
# their power overflows.
MAX_SAMPLE = 2.0**31
# Samples of all channels together that are decoded at once.
_BLOCK = 2**20
_FORMATS = ".wav, .flac, .mp3 or .ogg"
# Encoders add up to three frames of silence, of at most 72 ms each, which the header tells the reader to drop.
_MP3_SLACK = 0.3
# As near to its loudest sample a recording is clipped where neighbouring samples are: three steps of 16 bits.
_FULL_SCALE, _FLAT = 0.999, 1e-4


class Source(Protocol):
    """Something that has a recording's bytes and whose str names it, e.g. a member of an archive."""

    def read_bytes(self) -> bytes:
        """Raise OSError, whose strerror says what is wrong."""


class Limits(NamedTuple):
    """How long a recording may be. Attributes: samples, of all channels together; seconds; expected, for messages."""

    samples: int
    seconds: float
    expected: str

    def frames(self, channels: int, sample_rate: int) -> int:
        """Return the same in samples per channel."""
        return int(min(self.samples // channels, self.seconds * sample_rate))


class Sound(NamedTuple):
    """A decoded recording.

    Attributes:
      mono: [n] float32, n > 0, the mean of the channels.
      sample_rate: in Hz. channels: their number.
      peak: largest absolute sample of any channel.
      clipped: share of the samples, of all channels, that lie in a row of three or more at full scale: within 1e-4
        of 1, or of the recording's loudest sample where that is .999 to 1 (of each 2^20 samples', in long ones).
    """

    mono: np.ndarray
    sample_rate: int
    channels: int
    peak: float
    clipped: float

    @property
    def seconds(self) -> float:
        """Duration."""
        return len(self.mono) / self.sample_rate


def read_source(source: str | os.PathLike[str] | Source) -> bytes:
    """Return a recording's bytes. Raises RecordingError: they cannot be read, or there are none."""
    try:
        on_disk = isinstance(source, str | os.PathLike)
        data = regular_files.read_bytes(source) if on_disk else source.read_bytes()
    except OSError as error:
        raise RecordingError(
            str(source), f"cannot be read ({error.strerror or error}), expected a sound file"
        ) from error
    except ValueError as error:  # a name with a null character
        raise RecordingError(str(source), f"cannot be read ({error}), expected a sound file") from error
    if not data:
        raise RecordingError(str(source), f"the file is empty (0 bytes), expected {_FORMATS} audio")
    return data


def decode(data: bytes, path: str, limits: Limits, block: int = _BLOCK) -> Sound:
    """Decode a whole recording.

    Args:
      data: of the file.
      path: for messages.
      limits: of its length.
      block: samples of all channels together that are decoded at once.

    Raises:
      RecordingError: it is not audio, truncated or damaged, has no samples, is longer than the limits, or has samples
        that are not finite.
    """
    data = containers.completed(data, path)
    try:
        with soundfile.SoundFile(_Bytes(data)) as file:
            promised, sample_rate, is_mp3 = file.frames, file.samplerate, file.format == "MP3"
            if not MIN_RATE <= sample_rate <= MAX_RATE:
                raise RecordingError(path, f"{sample_rate:,} Hz, expected {MIN_RATE:,} to {MAX_RATE:,}")
            # What can be sought in is never read beyond what was promised.
            at_most = promised if file.seekable() else None
            sound = sound_of(_blocks(file, block), file.channels, sample_rate, path, limits, at_most)
    except soundfile.SoundFileError as error:
        # The whole text of the error has the address of a buffer in it.
        said = getattr(error, "error_string", str(error))
        what, advice = containers.described(data, path)
        why = f" (libsndfile: {said})" if what == containers.DAMAGED else ""
        reason = f"{what}, expected a complete {_FORMATS} file{why}"
        raise RecordingError(path, reason, *filter(None, [advice])) from error
    if is_mp3 and (there := mp3.seconds(data)) > sound.seconds + _MP3_SLACK:
        raise RecordingError(
            path,
            f"an mp3 of {there:.2f} s whose header does not say so, of which only {sound.seconds:.2f} s can be read; "
            "convert it to .wav or .flac",
        )
    if len(sound.mono) < promised:
        raise RecordingError(
            path,
            f"truncated: the header promises {promised:,} samples, the file has {len(sound.mono):,}, expected a "
            "complete file",
        )
    if not len(sound.mono):
        raise RecordingError(path, "the file has a header but no samples, expected audio")
    return sound


def sound_of(
    blocks: Iterable[np.ndarray], channels: int, sample_rate: int, path: str, limits: Limits, at_most: int | None = None
) -> Sound:
    """Mix blocks of samples, [m, channels] float32 each, to mono; `at_most`: how many samples there can be, if known.

    Raises:
      RecordingError: longer than the limits, or samples that are not finite.
    """
    # Virtual memory: pages are taken as they are written. The limit is in samples of all channels, as it always was.
    most = limits.frames(channels, sample_rate)
    mono = np.empty(max(1, most if at_most is None else min(at_most, most)), np.float32)
    n, peak, n_flat, n_bad = 0, 0.0, 0, 0
    for block in blocks:
        if n + len(block) > most:
            reason = f"longer than {round(most / sample_rate, 1):,g} s, {limits.expected}"
            raise RecordingError(path, reason, "Cut it into parts, or leave it out.")
        loudest = float(np.maximum(block.max(), -block.min()))
        if loudest <= MAX_SAMPLE:
            if channels == 1:  # the same, quicker
                mono[n : n + len(block)] = block[:, 0]
            else:
                block.mean(axis=1, out=mono[n : n + len(block)])
            n_flat += _flat(block, loudest)
        n_bad += 0 if np.isfinite(loudest) else np.count_nonzero(~np.isfinite(block))
        peak = max(peak, loudest)
        n += len(block)
    if n_bad or peak > MAX_SAMPLE:
        found = f"{n_bad:,} samples are NaN or infinite" if n_bad else f"samples reach {peak:.3g}"
        raise RecordingError(path, f"{found}, expected audio in [-1, 1]")
    return Sound(mono[:n], sample_rate, channels, peak, n_flat / max(1, n * channels))


def _blocks(file: soundfile.SoundFile, size: int) -> Iterator[np.ndarray]:
    frames = max(1, size // file.channels)
    while len(block := file.read(frames, dtype="float32", always_2d=True)):
        yield block


def _flat(block: np.ndarray, loudest: float) -> int:
    """Return how many of the samples [m, channels] lie in a row of three or more at full scale."""
    if loudest < _FULL_SCALE:
        return 0
    # A lossy format overshoots by a little; what is far above 1 has another scale.
    top = 1.0 if loudest < 2 else loudest
    high = np.abs(block) >= min(loudest, top) * (1 - _FLAT)
    if high.sum() < 3:
        return 0
    row = high[:-2] & high[1:-1] & high[2:]
    flat = np.zeros_like(high)
    for i in range(3):
        flat[i : len(flat) - 2 + i] |= row
    return int(flat.sum())


class _Bytes(io.BytesIO):
    """Bytes for libsndfile, which a damaged header may send to a place before the first."""

    def __init__(self, data: bytes):
        super().__init__(data)
        self._size = len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = (0, self.tell(), self._size)[whence]
        return super().seek(max(0, start + offset))
