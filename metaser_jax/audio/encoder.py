"""A pretrained speech encoder: a recording -> what its layers hear, [3, 256]; in NumPy.

GE2E's voice encoder, of the package Resemblyzer 0.1.4: three LSTM layers of 256 units over 40 mel bands, trained on
thousands of voices to tell people apart. Beside its vector of a voice, the means over time of its layers 2 and 3 hear
emotion. A recording without its silence is heard in parts of 1.6 s, of which the mean counts:

  vector    mean of |relu(W h_3 + b)|_2 = 1 of each part's last state h_3, again of length 1
  layer 2   mean of all states; layer 3 the same

The weights are fetched by `metaser fetch-encoder`, packed (`pack`) and never part of the package. NOTE: silence is cut
by level, where Resemblyzer has webrtcvad, and frames of mel bands are cut out instead of samples.

Reference: Wan et al., "Generalized end-to-end loss for speaker verification", ICASSP 2018, arXiv 1710.10467.
"""

import functools
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from metaser_jax import npz, untrusted
from metaser_jax.audio.mfcc import blas, resampled
from metaser_jax.errors import InputError
from metaser_jax.extras import version
from metaser_jax.jit_cache import cache_folder, kept_table
from metaser_jax.npz import Spec
from metaser_jax.specs.voice import VECTORS

RATE, WINDOW, HOP, MELS = 16000, 400, 160, 40
UNITS, LAYERS = 256, 3
# Frames of a part, and from one to the next; a last part that is not three quarters full is left out.
PART, STEP, FULL = 160, 77, 0.75
# In dB of full scale: a recording is made as loud; in dB below its loudest and of full scale: silence.
LOUD, SILENT_BELOW, SILENT = -30.0, 35.0, -70.0
# Frames of a block whose level counts, and blocks around one with speech that are kept.
BLOCK, AROUND = 3, 7
# Fewer frames with speech: all count.
LEAST_FRAMES = 25
# Numbers that share a scale, where weights are packed.
PACKED = 32
# Parts at once: their states fit the cache.
BATCH = 64
# Of the packed numbers that metaser fetch-encoder makes of Resemblyzer 0.1.4.
PUBLISHED = "5c7bae73963ab28e"
ENVIRONMENT, FILE = "METASER_ENCODER", "encoder.npz"
FETCH = "metaser fetch-encoder"


class Mel(NamedTuple):
    """Mel bands of a recording. Attributes: frames [t, 40] float32, power, every 10 ms; kept [t] bool, no silence."""

    frames: np.ndarray
    kept: np.ndarray


class Encoder(NamedTuple):
    """An encoder.

    Attributes:
      packed: its numbers as they are stored, see `pack`.
      weights: the same as float32: lstm_K/input [in, 4 * 256], lstm_K/recurrent [256, 4 * 256] and lstm_K/bias of
        K = 1, 2, 3, gates i f g o; linear/kernel [256, 256], linear/bias.
      digest: 16 hexadecimal digits of `packed`.
    """

    packed: Mapping[str, np.ndarray]
    weights: Mapping[str, np.ndarray]
    digest: str


def mel_of(samples: np.ndarray, rate: int) -> Mel:
    """Return the mel bands of samples [n] float32, mono, n > 0, at a rate in Hz."""
    samples = resampled(samples, rate, RATE)
    level = 20 * np.log10(np.sqrt(np.mean(np.square(samples, dtype=np.float64))) + 1e-9)
    samples = samples * np.float32(10 ** (max(0.0, LOUD - level) / 20))
    padded = np.pad(samples, WINDOW // 2)
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    hann, filters, found = np.hanning(WINDOW + 1)[:-1].astype(np.float32), _mel_filters(), []
    for first in range(0, len(windows), 2**14):
        spectrum = np.abs(np.fft.rfft(windows[first : first + 2**14] * hann, axis=1)) ** 2
        found.append(spectrum.astype(np.float32) @ filters.T)
    frames = np.concatenate(found)
    return Mel(frames, _kept(samples, len(frames)))


def _kept(samples: np.ndarray, n: int) -> np.ndarray:
    """Return which of n frames are no silence, by the levels of blocks of 30 ms."""
    everything, size = np.ones(n, bool), BLOCK * HOP
    blocks = samples[: len(samples) // size * size].reshape(-1, size)
    if len(blocks) < BLOCK:
        return everything
    level = 10 * np.log10(np.square(blocks).mean(1) + 1e-10)
    speech = np.convolve(level > max(level.max() - SILENT_BELOW, SILENT), np.ones(AROUND), "same") > 0
    kept = np.repeat(speech, BLOCK)[:n]
    kept = np.pad(kept, (0, n - len(kept)), mode="edge")
    return kept if kept.sum() >= LEAST_FRAMES else everything


@functools.cache
def _mel_filters() -> np.ndarray:
    """Return librosa.filters.mel at 16 kHz, [40, 201] float32; librosa is imported but once, to make them."""

    def make() -> np.ndarray:
        import librosa.filters

        return librosa.filters.mel(sr=RATE, n_fft=WINDOW, n_mels=MELS)

    return kept_table(f"mel_{RATE}_{WINDOW}_{MELS}_librosa_{version('librosa')}", make)


def parts(frames: np.ndarray) -> np.ndarray:
    """Return frames [t, 40], t > 0, as parts [p, 160, 40] float32, the last filled with zeros."""
    start = np.arange(0, max(1, len(frames) - PART + STEP + 1), STEP)
    if len(start) > 1 and len(frames) - start[-1] < FULL * PART:
        start = start[:-1]
    padded = np.pad(frames, ((0, max(0, start[-1] + PART - len(frames))), (0, 0)))
    return padded[start[:, None] + np.arange(PART)].astype(np.float32)


def layers(encoder: Encoder, clips: Sequence[np.ndarray]) -> np.ndarray:
    """Return what the encoder hears of clips, [n, 3, 256] float32: its vector and the means of its layers 2 and 3.

    Args:
      clips: mel bands [t, 40] of each, silence left out.
    """
    with blas().limit(limits=1):
        return of_parts(clips, lambda x: layers_of_parts(encoder.weights, x), BATCH)


def of_parts(clips: Sequence[np.ndarray], hear: Callable[[np.ndarray], np.ndarray], batch: int) -> np.ndarray:
    """Return `layers`, by what hears parts [b, 160, 40] -> [b, 3, 256], vectors of length 1, so many at once."""
    divided = [parts(one) for one in clips]
    every = np.concatenate([np.zeros((0, PART, MELS), np.float32), *divided])
    heard = [hear(every[i : i + batch]) for i in range(0, len(every), batch)]
    of_part = np.concatenate([np.zeros((0, *VECTORS), np.float32), *heard])
    found = np.zeros((len(clips), *VECTORS), np.float32)
    ends = np.cumsum([0, *map(len, divided)])
    for i in range(len(clips)):
        found[i] = of_part[ends[i] : ends[i + 1]].mean(0)
    found[:, 0] /= np.maximum(np.linalg.norm(found[:, 0], axis=1, keepdims=True), 1e-9)
    return found


def layers_of_parts(weights: Mapping[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """Return what is heard of parts [b, 160, 40] float32, [b, 3, 256]."""
    means, states = [], x.transpose(1, 0, 2)
    for layer in range(1, LAYERS + 1):
        states = _lstm(states, *(weights[f"lstm_{layer}/{name}"] for name in ("input", "recurrent", "bias")))
        means.append(states.mean(0))
    vector = np.maximum(states[-1] @ weights["linear/kernel"] + weights["linear/bias"], 0)
    vector /= np.linalg.norm(vector, axis=1, keepdims=True) + 1e-9
    return np.stack([vector, *means[1:]], axis=1)


def _lstm(x: np.ndarray, w_input: np.ndarray, w_recurrent: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Return all states [time, b, 256] of x [time, b, in] float32."""
    time, b, _ = x.shape
    # One tanh for all gates: sigmoid(z) = (1 + tanh(z / 2)) / 2.
    half = np.repeat(np.array([0.5, 0.5, 1, 0.5], np.float32), UNITS)
    gates = (x.reshape(time * b, -1) @ (w_input * half) + bias * half).reshape(time, b, -1)
    w_recurrent = w_recurrent * half
    states, c = np.empty((time, b, UNITS), np.float32), np.zeros((b, UNITS), np.float32)
    h = np.zeros((b, UNITS), np.float32)
    for t in range(time):
        z = gates[t]
        z += h @ w_recurrent
        np.tanh(z, out=z)
        i, f, g, o = (z[:, k * UNITS : (k + 1) * UNITS] for k in range(4))
        i += 1
        i *= g
        f += 1
        f *= c
        i += f
        np.multiply(i, 0.5, out=c)
        o += 1
        h = np.multiply(np.tanh(c), o, out=states[t])
        h *= 0.5
    return states


def pack(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return weights in 1.8 MB: layer 1 and biases as float16, the rest as int8 in blocks of 32 with float16 scales."""
    packed = {}
    for name, array in weights.items():
        if array.ndim < 2 or name.startswith("lstm_1"):
            packed[name] = array.astype(np.float16)
            continue
        blocks = array.reshape(len(array), -1, PACKED)
        scale = (np.abs(blocks).max(2, keepdims=True) / 127).astype(np.float16)
        scale = np.maximum(scale, np.finfo(np.float16).tiny)
        packed[name] = np.round(blocks / scale.astype(np.float32)).clip(-127, 127).astype(np.int8)
        packed[f"{name}/scale"] = scale
    return packed


def make_encoder(packed: Mapping[str, np.ndarray]) -> Encoder:
    """Return the encoder of packed numbers. Raises ValueError: other names, types or shapes, or not finite."""
    npz.check(packed, SPECS, [name for name in SPECS if name.endswith("/scale")])
    weights, sha = {}, hashlib.sha256()
    for name, array in sorted(packed.items()):
        sha.update(f"\0{name}\0".encode() + np.ascontiguousarray(array).tobytes())
        if name.endswith("/scale"):
            continue
        found = array.astype(np.float32)
        if array.dtype == np.int8:
            found = (found * packed[f"{name}/scale"].astype(np.float32)).reshape(len(array), -1)
        weights[name] = found
    return Encoder(packed, weights, sha.hexdigest()[:16])


def _specs() -> dict[str, Spec]:
    half, byte = np.dtype("<f2"), np.dtype("i1")
    found = {}
    for layer, inputs in ((1, MELS), (2, UNITS), (3, UNITS)):
        for name, rows in (("input", inputs), ("recurrent", UNITS)):
            found[f"lstm_{layer}/{name}"] = (rows, 4 * UNITS)
        found[f"lstm_{layer}/bias"] = (4 * UNITS,)
    found |= {"linear/kernel": (UNITS, UNITS), "linear/bias": (UNITS,)}
    specs = {}
    for name, shape in found.items():
        if len(shape) == 1 or name.startswith("lstm_1"):
            specs[name] = Spec(half, shape)
        else:
            blocks = shape[0], shape[1] // PACKED
            specs |= {name: Spec(byte, (*blocks, PACKED)), f"{name}/scale": Spec(half, (*blocks, 1))}
    return specs


SPECS = _specs()
"""Names, types and shapes of an encoder's packed numbers."""


def encoder_bytes(encoder: Encoder) -> bytes:
    """Return the file of an encoder, as numpy.savez makes it."""
    return npz.npz_bytes(encoder.packed)


def read_encoder(data: bytes) -> Encoder:
    """Return `encoder_bytes` undone. Raises ValueError: anything else; the message says what."""
    return make_encoder(npz.read_npz(data, SPECS))


def cached_file() -> Path | None:
    """Return where `metaser fetch-encoder` puts the encoder; None where there is no such place."""
    folder = cache_folder()
    return folder and folder / FILE


def find_encoder() -> Encoder | None:
    """Return the encoder of METASER_ENCODER, else the one that was fetched; None: there is none.

    Raises:
      InputError: the file of METASER_ENCODER is not there, or one is damaged.
    """
    told = os.environ.get(ENVIRONMENT)
    path = Path(told) if told else cached_file()
    if path is None or not (told or path.is_file()):
        return None
    try:
        stat = path.stat()
        return _read(str(path), stat.st_mtime_ns, stat.st_size)
    except (OSError, ValueError) as error:
        what = f"{ENVIRONMENT}={told}" if told else str(path)
        said = getattr(error, "strerror", None) or error
        raise InputError(f"{what} is no encoder to use: {said}. Fetch it again: {FETCH}") from error


@functools.lru_cache(maxsize=4)
def _read(path: str, mtime: int, size: int) -> Encoder:
    return read_encoder(untrusted.read_bytes(path, npz.most_bytes(SPECS)))


def require_encoder(why: str, digest: str = "") -> Encoder:
    """Return the encoder, of this digest where one is given; `why` begins the error: who needs it.

    Raises:
      InputError: there is none, or another one.
    """
    found = find_encoder()
    if found is None:
        raise InputError(f"{why} needs the speech encoder, which is not here. Fetch it once: {FETCH}")
    if digest and found.digest != digest:
        raise InputError(f"{why} needs the speech encoder {digest}, and here is {found.digest}. Give {ENVIRONMENT}.")
    return found
