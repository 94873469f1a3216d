"""A recording's bytes -> mono samples, by libsndfile or FFmpeg; everything that is no whole recording is an error.

Memory is taken for what is read, in blocks that are mixed to mono, and not for what a header promises.
"""

import contextlib
import difflib
import hashlib
import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, Protocol

import numpy as np
import soundfile

from metaser_jax import untrusted
from metaser_jax.audio import containers, formats, mp3
from metaser_jax.audio.mfcc import MAX_RATE, MIN_RATE
from metaser_jax.audio.quality import SILENCE_DBFS, Quality, loudness
from metaser_jax.errors import InputError, RecordingError

# float32 waveforms lie in [-1, 1], or in the range of 32-bit integers if somebody forgot to scale them. Above that,
# their power overflows.
MAX_SAMPLE = 2.0**31
# Samples of all channels together that are decoded at once.
_BLOCK = 2**20
_FORMATS = ".wav, .flac, .mp3 or .ogg"
# Encoders add up to three frames of silence, of at most 72 ms each, which the header tells the reader to drop.
_MP3_SLACK = 0.3
# Bytes of a FLAC stream before its first frame, at least.
_FLAC_HEADER = 42
# Of libsndfile's errors the one for an encoding that it does not read.
_UNSUPPORTED = 4
_SILENT_POWER = 10 ** (SILENCE_DBFS / 10)
# As near to its loudest sample a recording is clipped where neighbouring samples are: three steps of 16 bits.
_FULL_SCALE, _FLAT = 0.999, 1e-4


@contextlib.contextmanager
def errors_of(path: str) -> Iterator[None]:
    """Make whatever is raised while a recording is read that recording's error: it stops no other."""
    try:
        yield
    except RecordingError:
        raise
    except MemoryError as error:
        reason = "reading it takes too much memory, expected a recording of some seconds"
        raise RecordingError(path, reason, "Cut it into parts, or leave it out.") from error
    except Exception as error:
        said = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        raise RecordingError(path, f"cannot be read ({said}), expected a complete {_FORMATS} file") from error


class Source(Protocol):
    """Something that has a recording's bytes and whose str names it, e.g. a member of an archive."""

    def read_bytes(self) -> bytes:
        """Raise OSError, whose strerror says what is wrong."""


Readable = str | os.PathLike[str] | Source
"""A file's path, or what has its bytes."""


class Limits(NamedTuple):
    """A limit of a recording's length. Attributes: samples, of all channels together; seconds; expected, for people."""

    samples: int
    seconds: float
    expected: str = "expected at most that"


# Of all channels together: 10 minutes of stereo at 48 kHz. What is longer is no utterance, and would fill the memory.
MAX_SAMPLES = 600 * 2 * 48000
# Of one channel at 48 kHz; at a low rate the limit above would be hours, which resampling makes large.
UTTERANCE = Limits(MAX_SAMPLES, 1200, "expected an utterance of some seconds")


class Sound(NamedTuple):
    """A decoded recording.

    Attributes:
      mono: [n] float32, n > 0, the mean of the channels, or the loudest alone where they cancel.
      sample_rate: in Hz.
      quality: what it sounds like.
    """

    mono: np.ndarray
    sample_rate: int
    quality: Quality

    @property
    def seconds(self) -> float:
        """Duration."""
        return len(self.mono) / self.sample_rate


def read_sound(source: Readable, limits: Limits) -> tuple[Sound, str]:
    """Return a recording's sound, and the SHA-256 of its bytes. Raises RecordingError: see read_source and decode."""
    data = read_source(source)
    return decode(data, str(source), limits), hashlib.sha256(data).hexdigest()


def read_source(source: Readable) -> bytes:
    """Return a recording's bytes. Raises RecordingError: they cannot be read, or there are none."""
    try:
        on_disk = isinstance(source, str | os.PathLike)
        data = untrusted.read_bytes(source) if on_disk else source.read_bytes()
    except (OSError, ValueError) as error:  # of a name with a null character a ValueError
        advice = _almost(str(source)) if isinstance(error, FileNotFoundError) else ""
        reason = f"cannot be read ({getattr(error, 'strerror', None) or error}), expected a sound file"
        raise RecordingError(str(source), reason, advice) from error
    if not data:
        raise RecordingError(str(source), f"the file is empty (0 bytes), expected {_FORMATS} audio")
    return data


def _almost(path: str) -> str:
    """Return what to do about a name that is not there, with the one beside it that is almost the same."""
    try:
        # A link to nothing is there, and no file.
        names = set(os.listdir(os.path.dirname(path) or ".")) - {os.path.basename(path)}
    except OSError:
        names = set()
    close = difflib.get_close_matches(os.path.basename(path), names, n=1, cutoff=0.75)
    return "Check the name." + (f" Did you mean {os.path.join(os.path.dirname(path), close[0])}?" if close else "")


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
    data, header = containers.completed(data, path)
    try:
        return _decoded_by_libsndfile(data, header, path, limits, block)
    except soundfile.LibsndfileError as error:
        if not (demuxer := containers.demuxer(data)) or not formats.is_installed():
            # The whole text of the error has the address of a buffer in it.
            what, advice = containers.described(data, path, unsupported=error.code == _UNSUPPORTED)
            why = f" (libsndfile: {error.error_string})" if what == containers.DAMAGED else ""
            raise RecordingError(path, f"{what}, expected a complete {_FORMATS} file{why}", *advice) from error
        rate, channels, of_tracks = formats.first_track(data, demuxer, path)
        sound = sound_of(lambda: formats.blocks(data, demuxer, path), channels, rate, path, limits)
        return sound._replace(quality=sound.quality._replace(of_tracks=of_tracks))


def _decoded_by_libsndfile(data: bytes, header: str, path: str, limits: Limits, block: int) -> Sound:
    """Return the sound of all that the header promises, and more where there is more."""
    stream = None
    if data[:4] == b"fLaC" and len(data) >= _FLAC_HEADER:
        sound, promised = _decoded_flac(data, path, limits, block)
        header = containers.MORE if 0 < promised < len(sound.mono) else ""
    else:
        sound, promised, is_mp3 = _decoded(data, path, limits, block)
        stream = mp3.stream(data) if is_mp3 else None
    if stream and stream.seconds > sound.seconds + _MP3_SLACK:
        # libsndfile takes it for shorter than it is.
        header = containers.MORE if stream.tag is not None else ""
        data = mp3.with_length(data, stream) or data
        sound, promised, _ = _decoded(data, path, limits, block)
        stream = mp3.stream(data)
    if stream and stream.seconds > sound.seconds + _MP3_SLACK:
        reason = f"an mp3 of {stream.seconds:.2f} s whose header does not say so, of which only {sound.seconds:.2f} s"
        raise RecordingError(path, f"{reason} can be read, expected all of it; convert it to .wav or .flac")
    if len(sound.mono) < promised and not (stream and stream.is_whole(data)):
        promise = f"the header promises {promised:,} samples, the file has {len(sound.mono):,}"
        raise RecordingError(path, f"truncated: {promise}, expected a complete file")
    return sound._replace(quality=sound.quality._replace(header=header))


def _decoded(data: bytes, path: str, limits: Limits, block: int) -> tuple[Sound, int, bool]:
    """Return the sound, the samples that the header promises, and whether it is an mp3."""
    with _File(_Bytes(data)) as file:
        promised, sample_rate, channels, is_mp3 = file.frames, file.samplerate, file.channels, file.format == "MP3"
        # What can be sought in is never read beyond what was promised.
        at_most = promised if soundfile.SoundFile.seekable(file) else None

    def blocks() -> Iterator[np.ndarray]:
        with _File(_Bytes(data)) as file:
            frames, left = max(1, block // channels), sys.maxsize if at_most is None else at_most
            while left > 0 and len(part := file.read(min(frames, left), dtype="float32", always_2d=True)):
                left -= len(part)
                yield part

    return sound_of(blocks, channels, sample_rate, path, limits, at_most), promised, is_mp3


def _decoded_flac(data: bytes, path: str, limits: Limits, block: int) -> tuple[Sound, int]:
    """Return the sound of a FLAC stream, and the samples that its header promises; 0: it does not say.

    A program that writes into a pipe leaves 0 there (RFC 9639, section 8.2). libsndfile then reads to the end, and with
    another number no further than that: so 0 is put there.
    """
    promised = int.from_bytes(data[21:26], "big") % 2**36
    try:
        sound, _, _ = _decoded(data[:21] + bytes([data[21] & 0xF0]) + bytes(4) + data[26:], path, limits, block)
    except soundfile.LibsndfileError as error:
        if not promised:
            reason = "truncated: its last frame is cut off, expected a complete .flac file"
            raise RecordingError(path, reason) from error
        sound, _, _ = _decoded(data, path, limits, block)  # what disturbs is behind the sound: a tag
    return sound, promised


def sound_of(
    blocks: Callable[[], Iterable[np.ndarray]],
    channels: int,
    sample_rate: int,
    path: str,
    limits: Limits,
    at_most: int | None = None,
) -> Sound:
    """Mix blocks of samples to mono; where the channels cancel, take the loudest alone.

    Args: blocks: yields [m, channels] float32, the same each time. at_most: how many samples there can be, if known.

    Raises:
      RecordingError: another rate, longer than the limits, or samples that are not finite.
    """
    if not MIN_RATE <= sample_rate <= MAX_RATE:
        raise RecordingError(path, f"{sample_rate:,} Hz, expected {MIN_RATE:,} to {MAX_RATE:,}")
    # The limit is in samples of all channels, as it always was.
    most = int(min(limits.samples // channels, limits.seconds * sample_rate))

    def mixed(channel: int | None) -> tuple[np.ndarray, float, float, np.ndarray]:
        # Virtual memory: pages are taken as they are written.
        mono = np.empty(max(1, most if at_most is None else min(at_most, most)), np.float32)
        n, peak, n_flat, n_bad, energy = 0, 0.0, 0, 0, np.zeros(channels)
        for block in blocks():
            if n + len(block) > most:
                reason = f"longer than {round(most / sample_rate, 1):,g} s, {limits.expected}"
                raise RecordingError(path, reason, "Cut it into parts, or leave it out.")
            loudest = float(np.maximum(block.max(), -block.min()))
            if loudest <= MAX_SAMPLE:
                if channels == 1 or channel is not None:  # the same, quicker
                    mono[n : n + len(block)] = block[:, channel or 0]
                else:
                    block.mean(axis=1, out=mono[n : n + len(block)])
                n_flat += _flat(block, loudest)
                if channels > 1:
                    energy += np.einsum("ij,ij->j", block, block, dtype=np.float64)
            n_bad += 0 if np.isfinite(loudest) else np.count_nonzero(~np.isfinite(block))
            peak = max(peak, loudest)
            n += len(block)
        if n_bad or peak > MAX_SAMPLE:
            found = f"{n_bad:,} samples are NaN or infinite" if n_bad else f"samples reach {peak:.3g}"
            raise RecordingError(path, f"{found}, expected audio in [-1, 1]")
        if not n:
            raise RecordingError(path, "the file has a header but no samples, expected audio")
        return mono[:n], peak, n_flat / (n * channels), energy / n

    mono, peak, clipped, power = mixed(None)
    level, loudest, one_channel = loudness(mono, sample_rate), int(power.argmax()), False
    if power[loudest] > _SILENT_POWER and level < SILENCE_DBFS:
        alone, *_ = mixed(loudest)
        if (level_alone := loudness(alone, sample_rate)) >= SILENCE_DBFS:
            mono, level, one_channel = alone, level_alone, True
    below, offset = 0.0, float(mono.mean(dtype=np.float64))
    if power[loudest] > 0:
        below = 10 * np.log10(max(np.mean(np.square(mono), dtype=np.float64), 1e-30) / power[loudest])
    quality = Quality(peak, clipped, level, channels, offset, min(0.0, float(below)), one_channel)
    return Sound(mono, sample_rate, quality)


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


class _File(soundfile.SoundFile):
    """A file that is read from its beginning to its end.

    soundfile seeks after each block of what it can seek in, and a decoder of mp3 then begins anew.
    """

    def seekable(self) -> bool:
        """Return False."""
        return False


class _Bytes(io.BytesIO):
    """Bytes for libsndfile, which a damaged header may send to a place before the first."""

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = (0, self.tell(), self.getbuffer().nbytes)[whence]
        return super().seek(max(0, start + offset))
