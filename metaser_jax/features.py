"""Waveform or file -> MFCC [120, 20] and the number of real frames, as librosa computes them with its defaults.

20 coefficients, 22,050 Hz mono, hop 512, as in the paper: 120 frames are about 2.79 s. Nothing is normalised. librosa
is imported at the first use, because it takes seconds.
"""

import functools
import hashlib
import io
import os
import warnings
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import soundfile

from metaser_jax import mp3
from metaser_jax.errors import InputError

SAMPLE_RATE = 22050
HOP_LENGTH = 512
N_MFCC = 20
MAX_FRAMES = 120

# Programs that write a wav file into a pipe do not know its length and leave one of these in the header (or more:
# sox takes a number just under 2 GiB).
_UNKNOWN_SIZE = 0x7FFF0000
# float32 waveforms lie in [-1, 1], or in the range of 32-bit integers if somebody forgot to scale them. Above that,
# their power overflows.
_MAX_SAMPLE = 2.0**31
_BLOCK = 2**20
# Of all channels together: 10 minutes of stereo at 48 kHz. What is longer is no utterance, and would fill the memory.
MAX_SAMPLES = 600 * 2 * 48000
MIN_RATE, MAX_RATE = 1_000, 1_000_000
_FORMATS = ".wav, .flac, .mp3 or .ogg"
# Encoders add up to three frames of silence, of at most 72 ms each, which the header tells the reader to drop.
_MP3_SLACK = 0.3


class Source(Protocol):
    """Something that has a recording's bytes and whose str names it, e.g. a member of an archive."""

    def read_bytes(self) -> bytes:
        """Raises OSError, whose strerror says what is wrong."""


class RecordingError(InputError):
    """A recording that cannot be used.

    Attributes:
      path: the file.
      reason: what was found in it, and what was expected.
    """

    def __init__(self, path: str, reason: str):
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}. Fetch this recording again, or leave it out."


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
    """Reads a .wav, .flac, .mp3 or .ogg file; the samples are those of librosa.load(path).

    Raises:
      RecordingError: the file is missing, empty, not audio, truncated or damaged, without samples, or has samples that
        are not finite.
    """
    return _waveform(_read(path), os.fspath(path))


def mfcc(samples: np.ndarray) -> tuple[np.ndarray, int]:
    """The first 120 frames of librosa.feature.mfcc(y=samples, sr=22050, n_mfcc=20), transposed and padded with zeros.

    One thread computes them, since the number of threads changes the last bits.

    Args:
      samples: [n] float32 at 22,050 Hz, n > 0.

    Returns:
      [120, 20] float32 and the number of real frames, min(120, 1 + n // 512).

    Raises:
      InputError: not one dimension, or no samples.
    """
    if samples.ndim != 1 or not samples.size:
        raise InputError(f"samples: got shape {samples.shape}, expected (n,) with n > 0.")
    librosa, threads = _librosa()
    with threads.limit(limits=1), warnings.catch_warnings():
        # A clip shorter than one window is padded; librosa does it right and warns all the same.
        warnings.filterwarnings("ignore", message="n_fft=.* is too large", category=UserWarning)
        frames = librosa.feature.mfcc(y=samples, sr=SAMPLE_RATE, n_mfcc=N_MFCC, hop_length=HOP_LENGTH).T
    n_frames = min(len(frames), MAX_FRAMES)
    features = np.zeros((MAX_FRAMES, N_MFCC), np.float32)
    features[:n_frames] = frames[:n_frames]
    return features, n_frames


def extract(path: str | os.PathLike[str] | Source) -> Extraction:
    """Reads one recording and computes all that is kept of it. Raises RecordingError as load_waveform does."""
    data = _read(path)
    waveform = _waveform(data, str(path))
    features, n_frames = mfcc(waveform.samples)
    return Extraction(features, n_frames, waveform.seconds, waveform.sample_rate, hashlib.sha256(data).hexdigest())


@functools.cache
def _librosa():
    """librosa with its lazy submodules, and the controller of the BLAS threads of all that was loaded by then."""
    import librosa
    from threadpoolctl import ThreadpoolController

    librosa.feature.mfcc, librosa.resample  # noqa: B018 (loads them)
    return librosa, ThreadpoolController()


def _read(path: str | os.PathLike[str] | Source) -> bytes:
    source = path if hasattr(path, "read_bytes") else Path(path)
    try:
        data = source.read_bytes()
    except OSError as error:
        raise RecordingError(str(path), f"cannot be read ({error.strerror})") from error
    if not data:
        raise RecordingError(str(path), f"the file is empty (0 bytes), expected {_FORMATS} audio")
    return data


def _waveform(data: bytes, path: str) -> Waveform:
    _check_ogg(data, path)
    audio, sample_rate = _decode(_checked_riff(data, path), path)
    if not len(audio):
        raise RecordingError(path, "the file has a header but no samples")
    if not np.all(np.abs(audio) <= _MAX_SAMPLE):
        n_bad = np.count_nonzero(~np.isfinite(audio))
        found = f"{n_bad} samples are NaN or infinite" if n_bad else f"samples reach {np.abs(audio).max():.3g}"
        raise RecordingError(path, f"{found}, expected audio in [-1, 1]")
    librosa, _ = _librosa()
    samples = librosa.resample(librosa.to_mono(audio.T), orig_sr=sample_rate, target_sr=SAMPLE_RATE)
    return Waveform(samples, len(audio) / sample_rate, sample_rate)


def _decode(data: bytes, path: str) -> tuple[np.ndarray, int]:
    """[n, channels] float32 and the sampling rate."""
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            promised, sample_rate, is_mp3 = file.frames, file.samplerate, file.format == "MP3"
            if not MIN_RATE <= sample_rate <= MAX_RATE:
                raise RecordingError(path, f"{sample_rate:,} Hz, expected {MIN_RATE:,} to {MAX_RATE:,}")
            # In blocks, so that memory is taken for what is there and not for what a damaged header promises.
            blocks, n_read = [], 0
            while len(block := file.read(_BLOCK, dtype="float32", always_2d=True)):
                blocks.append(block)
                n_read += block.size
                if n_read > MAX_SAMPLES:
                    limit = MAX_SAMPLES / file.channels / sample_rate
                    reason = (
                        f"longer than {limit:,.0f} s, expected an utterance of some seconds; cut it into utterances"
                    )
                    raise RecordingError(path, reason)
            blocks = blocks or [np.zeros((0, file.channels), np.float32)]
    except soundfile.SoundFileError as error:
        # The whole text of the error has the address of a buffer in it.
        said = getattr(error, "error_string", str(error))
        known = data[:4] in (b"RIFF", b"RIFX", b"RF64", b"fLaC", b"OggS") or data[:3] == b"ID3"
        what = "the audio is truncated or damaged" if known else "this is not audio"
        raise RecordingError(path, f"{what}, expected a complete {_FORMATS} file (libsndfile: {said})") from error
    audio = np.concatenate(blocks)
    read = len(audio) / sample_rate
    if is_mp3 and (there := mp3.seconds(data)) > read + _MP3_SLACK:
        raise RecordingError(
            path,
            f"an mp3 of {there:.2f} s whose header does not say so, of which only {read:.2f} s can be read; convert it "
            "to .wav or .flac",
        )
    if len(audio) < promised:
        raise RecordingError(path, f"truncated: the header promises {promised:,} samples, the file has {len(audio):,}")
    return audio, sample_rate


def _check_ogg(data: bytes, path: str) -> None:
    """Raises RecordingError unless the last page of an Ogg file is whole and ends its stream (RFC 3533, section 6).

    libsndfile reads what is there.
    """
    if data[:4] != b"OggS":
        return
    page = data[data.rfind(b"OggS") :]
    segments = page[27 : 27 + page[26]] if len(page) > 26 else b""
    if not segments or not page[5] & 4 or len(page) < 27 + page[26] + sum(segments):
        raise RecordingError(path, "truncated: the stream has no end, expected a complete .ogg file")


def _checked_riff(data: bytes, path: str) -> bytes:
    """The bytes of a .wav file whose audio is complete; libsndfile reads a truncated one without a word.

    If the header was never completed (its lengths are 0), the audio reaches to the end of the file, and the bytes that
    are returned say so.
    """
    order = {b"RIFF": "little", b"RIFX": "big"}.get(data[:4])
    if order is None:
        return data
    riff_size = int.from_bytes(data[4:8], order)
    position = 12
    while position + 8 <= len(data):
        name, start = data[position : position + 4], position + 8
        size = int.from_bytes(data[position + 4 : start], order)
        if name == b"data":
            if size == 0 and start < len(data) and riff_size <= start:
                return data[: position + 4] + b"\xff" * 4 + data[start:]
            if len(data) - start < size < _UNKNOWN_SIZE:
                held = len(data) - start
                raise RecordingError(
                    path, f"truncated: the header promises {size:,} bytes of audio, the file has {held:,}"
                )
            return data
        position = start + size + size % 2
    return data
