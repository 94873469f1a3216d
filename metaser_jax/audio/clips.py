"""A recording of any length -> its MFCC, its voice's tracks and what its sound is like; and the windows for a network.

Decoding, resampling, MFCC and tracks are those of extraction.py, so that the first window is what a network was trained
on. Of a long recording (the paper's utterances are cut after 2.79 s) windows of the same length follow, each half over
the last. A network over statistics of the voice hears a recording whole, or, of more than 8 s, in windows of 5 s.
Nothing here needs jax or TFDS.
"""

import functools
import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from metaser_jax.audio import encoder
from metaser_jax.audio import mfcc as cepstra
from metaser_jax.audio.decoding import MAX_SAMPLES, Limits, Readable, Sound, errors_of, read_sound, sound_of
from metaser_jax.audio.extraction import read_each
from metaser_jax.audio.mfcc import HOP_LENGTH, MAX_FRAMES, MAX_RATE, MIN_RATE, SAMPLE_RATE
from metaser_jax.audio.quality import SILENCE_DBFS, Quality, why_unusable
from metaser_jax.audio.tracks import STEP, placed_tracks, statistics
from metaser_jax.errors import InputError, RecordingError
from metaser_jax.processes import spawn_pool

HOP_SECONDS = HOP_LENGTH / SAMPLE_RATE
# Frames of a window, each of which is half over the last.
WINDOW = MAX_FRAMES
# Of the voice's tracks, in s: a recording of so much is heard whole, a longer one in windows, each half over the last.
WHOLE_SECONDS, VOICE_SECONDS = 8.0, 5.0
MAX_SECONDS = 600
# A window's loudest frame is so far below the recording's loudest: a pause.
SILENT_DB = 40.0
# MFCC 0 is the sum of 128 mel bands' levels in dB over the square root of their number, so that it changes by so much
# where all change by 1 dB; as inputs.DB, whose module needs jax.
_DB = 128**0.5
_MAX_CHANNELS = 64


class Clip(NamedTuple):
    """A recording.

    Attributes:
      frames: [time, 20] float32, time > 0: the MFCC of all of it, by librosa's defaults.
      seconds: duration.
      sample_rate: of the file, in Hz.
      sha256: of the file's bytes, hexadecimal; of the samples as float32, where there is no file.
      quality: of its sound.
      tracks: [t, 19] float32, t > 0: the voice's frame tracks, without the silence at its ends (tracks.placed_tracks);
        None where they were not asked for.
      tracks_start: where in the recording they begin, in s.
      mel: bands that an encoder hears; None where they were not asked for.
      vectors: [k, d] float32, of another encoder; None where none were given.
    """

    frames: np.ndarray
    seconds: float
    sample_rate: int
    sha256: str
    quality: Quality
    tracks: np.ndarray | None = None
    tracks_start: float = 0.0
    mel: encoder.Mel | None = None
    vectors: np.ndarray | None = None


class Upload(NamedTuple):
    """A recording that is in memory and has a name; a features.Source."""

    name: str
    data: bytes

    def __str__(self) -> str:
        return self.name

    def read_bytes(self) -> bytes:
        """Return the bytes of the recording."""
        return self.data


class Windows(NamedTuple):
    """The features of a recording, w windows, as a network takes them.

    Attributes:
      start, end: [w] float64, in s.
      mfcc: [w, 120, 20] float32, zero after the real frames.
      n_frames: [w] int32, number of real frames, 1 to 120.
      silent: [w] bool, nothing is said: the loudest frame's mean level over mel bands is 40 dB below that of the
        recording's loudest, or below -70 dB (which speech above -70 dBFS always is above, its level being some 8 dB
        above its dBFS).
    """

    start: np.ndarray
    end: np.ndarray
    mfcc: np.ndarray
    n_frames: np.ndarray
    silent: np.ndarray


class VoiceWindows(NamedTuple):
    """Windows of a recording, w of them, as a network over statistics of the voice takes them.

    Attributes:
      start, end: [w] float64, in s.
      voice: [w, 171] float32, tracks.statistics of the window's frames.
      silent: [w] bool, as of Windows.
      mels: of each window the bands [t, 40] that an encoder hears, without silence; empty where not asked for.
    """

    start: np.ndarray
    end: np.ndarray
    voice: np.ndarray
    silent: np.ndarray
    mels: tuple[np.ndarray, ...] = ()


def read_clip(source: Readable, max_seconds: float = MAX_SECONDS, *, features: str = "voice") -> Clip:
    """Read one recording of any format of libsndfile; channels are mixed to mono.

    Args: features: FrontEnd.features of who is to hear it: with "mfcc" no tracks are computed, which take longer than
      all else together, and with "encoder" mel bands as well.

    Raises:
      RecordingError: it is missing, empty, not audio, truncated or damaged, without samples, too long, or has samples
        that are not finite.
    """
    return read_with_sound(source, max_seconds, features=features)[0]


def read_with_sound(
    source: Readable, max_seconds: float = MAX_SECONDS, *, features: str = "voice"
) -> tuple[Clip, Sound]:
    """Read as read_clip, and return the samples that it was made of, mono, at the file's rate."""
    with errors_of(str(source)):
        sound, sha256 = read_sound(source, Limits(MAX_SAMPLES, max_seconds))
        return _clip(sound, sha256, features), sound


def read_audible(source: Readable, max_seconds: float = MAX_SECONDS, *, features: str = "voice") -> Clip:
    """Read as read_clip; a recording in which nothing can be heard is a RecordingError, too (check_audible)."""
    clip = read_clip(source, max_seconds, features=features)
    check_audible(clip, str(source))
    return clip


def clip_of(
    samples: np.ndarray, sample_rate: float, max_seconds: float = MAX_SECONDS, *, features: str = "voice"
) -> Clip:
    """Return the same of samples in memory.

    Args:
      samples: [n] or [n, channels], n > 0: floating-point numbers in [-1, 1], or 16- or 32-bit integers of their range.
      sample_rate: in Hz, 1,000 to 1,000,000.
      max_seconds: at most.
      features: see read_clip.

    Raises:
      InputError: another shape or type, NaN, an impossible rate, or longer than max_seconds.
    """
    samples = np.asarray(samples)
    if samples.ndim not in (1, 2) or not samples.size or samples.shape[1:] > (_MAX_CHANNELS,):
        raise InputError(
            f"samples: got shape {samples.shape}, expected [n] or [n, channels] with n > 0 and at most {_MAX_CHANNELS} "
            "channels. Transpose it if the channels come first."
        )
    if not (MIN_RATE <= sample_rate <= MAX_RATE and sample_rate == int(sample_rate)):
        raise InputError(f"sample_rate: got {sample_rate} Hz, expected a whole number, {MIN_RATE:,} to {MAX_RATE:,}.")
    if samples.dtype in (np.int16, np.int32):
        scale = np.float32(1 / -float(np.iinfo(samples.dtype).min))
    elif np.issubdtype(samples.dtype, np.floating):
        scale = np.float32(1)
    else:
        raise InputError(f"samples: got {samples.dtype}, expected floating-point numbers in [-1, 1], int16 or int32.")
    samples = samples.reshape(len(samples), -1)

    def blocks() -> Iterator[np.ndarray]:
        for i in range(0, len(samples), 2**20):
            yield samples[i : i + 2**20].astype(np.float32) * scale

    try:
        sound = sound_of(blocks, samples.shape[1], int(sample_rate), "samples", Limits(MAX_SAMPLES, max_seconds))
    except RecordingError as error:
        raise InputError(f"samples: {error.reason}.") from error
    sha = hashlib.sha256()
    for block in blocks():
        sha.update(block.tobytes())
    return _clip(sound, sha.hexdigest(), features)


def read_all(
    sources: Sequence[Readable],
    workers: int = 0,
    max_seconds: float = MAX_SECONDS,
    pool: Callable[[int], Any] = spawn_pool,
    *,
    features: str = "voice",
) -> Iterator[Clip | RecordingError]:
    """Return read_audible of each, in their order, by several processes where there are many and in bounded memory.

    Args: workers: processes; 0 takes one per core, 1 works in this process. pool: see read_each.
      features: see read_clip.

    Raises:
      InputError: a worker process died.
    """
    read = functools.partial(read_audible, max_seconds=max_seconds, features=features)
    return read_each(read, sources, workers, pool=pool)


def check_audible(clip: Clip, path: str) -> None:
    """Raise RecordingError for a recording in which nobody can be heard: it says nothing of an emotion."""
    if why := why_unusable(clip):
        raise RecordingError(path, why)


def first_window(clip: Clip) -> tuple[np.ndarray, int]:
    """Return what training sees of a recording.

    Mfcc [120, 20] float32, as training sees it, and its number of real frames.
    """
    return cepstra.padded(clip.frames)


def windows(clip: Clip, which: str = "all") -> Windows:
    """Return the windows of a recording: one of up to 120 frames; of more, one every 60.

    The last has more than 60 frames.

    Args: which: "all", or "first" for the first alone.
    """
    start, n_frames = _divided(len(clip.frames), WINDOW, WINDOW, which)
    mfcc = np.stack([cepstra.padded(clip.frames[first:])[0] for first in start])
    end = start + n_frames
    ends = np.minimum(end * HOP_SECONDS, clip.seconds)
    return Windows(start * HOP_SECONDS, ends, mfcc, n_frames, _silent(clip, start, end))


def voice_of(clip: Clip) -> np.ndarray:
    """Return the statistics of a whole recording's tracks, [171] float32, as they are trained on (extraction.extract).

    Raises InputError: it was read without them.
    """
    return statistics(_tracks(clip))


def voice_windows(clip: Clip, which: str = "all") -> VoiceWindows:
    """Return the windows of a recording for a network over statistics of the voice.

    One of up to 8 s of tracks; of more, one of 5 s every 2.5 s, the last of more than that.

    Args: which: "all", or "first" for the first alone.

    Raises InputError: it was read without tracks.
    """
    tracks = _tracks(clip)
    first, n = _divided(len(tracks), int(VOICE_SECONDS / STEP), int(WHOLE_SECONDS / STEP), which)
    voice = np.stack([statistics(tracks[i : i + k]) for i, k in zip(first, n, strict=True)])
    start = clip.tracks_start + first * STEP
    end = start + n * STEP
    from_frame, to_frame = np.round(start / HOP_SECONDS, 3), np.round(end / HOP_SECONDS, 3)
    silent = _silent(clip, np.floor(from_frame).astype(int), np.ceil(to_frame).astype(int))
    spans = zip(start, end, strict=True) if len(tracks) > WHOLE_SECONDS / STEP else [(0.0, clip.seconds)]
    mels = [_speech(clip, *span) for span in spans] if clip.mel else []
    return VoiceWindows(start, np.minimum(end, clip.seconds), voice, silent, tuple(mels))


def speech_of(clip: Clip) -> np.ndarray:
    """Return the mel bands of a whole recording, without silence, [t, 40] float32: what an encoder hears of it.

    Raises InputError: it was read without them.
    """
    return _speech(clip, 0.0, clip.seconds)


def _speech(clip: Clip, start: float, end: float) -> np.ndarray:
    """Return the mel bands from start to end, in s, without silence; all where nothing else is there."""
    if clip.mel is None:
        raise InputError("The clip was read without mel bands. Read it with features=encoder.")
    frames, kept = (part[int(start * 100) : max(int(start * 100) + 1, math.ceil(end * 100) + 1)] for part in clip.mel)
    return frames[kept] if kept.any() else frames


def _divided(time: int, window: int, whole: int, which: str) -> tuple[np.ndarray, np.ndarray]:
    """Return first frame and number of frames of each window, [w] int32: all of up to `whole` frames, or one by one."""
    hop = window // 2
    if time <= whole:
        window, number = time, 1
    else:
        number = 1 if which == "first" else -(-(time - hop) // hop)
    start = hop * np.arange(number, dtype=np.int32)
    return start, np.minimum(window, time - start).astype(np.int32)


def _silent(clip: Clip, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return of each window, from one MFCC frame to before another, [w] int, whether it is silent; see Windows."""
    loudest = np.array([clip.frames[i:k, 0].max() for i, k in zip(start, end, strict=True)])
    return loudest < max(clip.frames[:, 0].max() - SILENT_DB * _DB, SILENCE_DBFS * _DB)


def _tracks(clip: Clip) -> np.ndarray:
    if clip.tracks is None:
        raise InputError("The clip was read without its voice's tracks. Read it with features=voice.")
    return clip.tracks


def _clip(sound: Sound, sha256: str, features: str) -> Clip:
    samples = cepstra.resampled(sound.mono, sound.sample_rate)
    frames = np.ascontiguousarray(cepstra.frames(samples))
    tracks, start = (None, 0.0) if features == "mfcc" else placed_tracks(samples)
    mel = encoder.mel_of(sound.mono, sound.sample_rate) if features == "encoder" else None
    return Clip(frames, sound.seconds, sound.sample_rate, sha256, sound.quality, tracks, start, mel)
