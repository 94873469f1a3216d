"""Samples -> frame tracks: pitch, loudness, spectral tilt and shape, and five MFCC, of the whole clip.

The low-level descriptors of eGeMAPS that can be had without openSMILE (Eyben et al., "The Geneva Minimalistic Acoustic
Parameter Set (GeMAPS) for voice research and affective computing", IEEE Transactions on Affective Computing 7(2), 2016,
doi 10.1109/TAFFC.2015.2457417), and common ones of the spectrum's shape, by NumPy alone: librosa's modules of the same
would take a second to import. What can be compared is librosa's to rounding; see tests/audio/test_tracks.py.

| group | track | unit, and what it is |
|---|---|---|
| pitch | f0 | semitones above 27.5 Hz, 13.5 to 50.2; from one voiced stretch to the next a line, 150 Hz where none is |
| | voicing | 1 in voiced frames, 0 in others |
| loudness | loudness | natural logarithm of the sum over 40 mel bands of power ** 0.3 |
| tilt | alpha_ratio | dB, energy of 50 to 1,000 Hz over that of 1 to 5 kHz |
| | hammarberg | dB, highest level of 0 to 2 kHz over that of 2 to 5 kHz |
| | slope_0_500, slope_500_1500 | dB per kHz, line through the levels of that band |
| | h1_h2 | dB, level of the first harmonic over that of the second |
| spectrum | flux | 0 to 1.4, distance of the square roots of the mel bands, scaled to length 1, from the last ones |
| | centroid, spread | octaves above 1 Hz, mean and deviation of frequency weighted with magnitudes |
| | rolloff | octaves above 1 Hz, what 85 % of the magnitudes lie below |
| | flatness | natural logarithm of the power's geometric over its arithmetic mean |
| | zero_crossings | share of the samples whose sign is another than the last one's |
| mfcc | mfcc_0 to mfcc_4 | orthonormal cosine transform of the mel bands' natural logarithms |

Level and tilt are of a clip whose peak is 1. A white noise 70 dB below it is added (to the spectra, as its mean power):
silence, and what a low sampling rate leaves of the spectrum, then have values that mean little and stay near the
others.

Pitch is found as P. Boersma does, "Accurate short-term analysis of the fundamental frequency and the harmonics-to-noise
ratio of a sampled sound", Proceedings of the Institute of Phonetic Sciences 17, Amsterdam, 1993, pp. 97-110: by
normalised autocorrelation, and a path through its candidates; constants are his, unless said.
"""

import functools
import math
from collections.abc import Collection

import numpy as np

from metaser_jax.audio.mfcc import MAX_RATE, MIN_RATE, SAMPLE_RATE, mel_filters, resampled
from metaser_jax.errors import InputError
from metaser_jax.specs.voice import EXTREMES, N_MFCC, OVER_ALL, OVER_VOICED, PERCENTILES, POOLED, POOLED_FRAMES, TRACKS

HOP, WINDOW = 256, 1024
STEP = HOP / SAMPLE_RATE
# What is this much quieter than the loudest frame is no part of the clip, at its ends.
TRIM_DB = 30
MELS, LOWEST_MEL, HIGHEST_MEL = 40, 20.0, 8000.0
# f0's zero in Hz, as in eGeMAPS; and what it is said to be in a clip without a voiced frame.
F0_ZERO, F0_UNKNOWN = 27.5, 150.0
NOISE_DB = -70.0
LOWEST, HIGHEST, CANDIDATES = 60.0, 500.0, 5
VOICING_THRESHOLD, SILENCE_THRESHOLD, OCTAVE_COST = 0.45, 0.03, 0.01
# Per step of 10 ms, as in Praat.
JUMP_COST, VOICING_COST, COST_STEP = 0.35, 0.14, 0.01
# Frames of the shortest voiced stretch; a shorter one is a pulse or two, whose frequency is chance. Not Boersma's.
SHORTEST = 4
# Of a clip with fewer voiced frames, statistics over voiced frames are those over all.
FEWEST_VOICED = 5

# Spectra are zero-padded to twice the window, for the autocorrelation; every second bin is one of the window's own.
_SIZE = 2 * WINDOW
_HZ = np.fft.rfftfreq(WINDOW, 1 / SAMPLE_RATE).astype(np.float32)
_HANN = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)
_NOISE = np.float32(10 ** (NOISE_DB / 10) * np.square(_HANN, dtype=np.float64).sum())
# Frames at once: they fit the cache, and a long recording the memory.
_BLOCK = 128
# Bins up to the second harmonic of the highest pitch, and one more.
_HARMONICS = int(2 * HIGHEST * WINDOW / SAMPLE_RATE) + 3


def tracks(samples: np.ndarray, rate: int = SAMPLE_RATE) -> np.ndarray:
    """Return `placed_tracks` without their place."""
    return placed_tracks(samples, rate)[0]


def placed_tracks(samples: np.ndarray, rate: int = SAMPLE_RATE) -> tuple[np.ndarray, float]:
    """Return the frame tracks of a clip, without its offset and the silence at its ends, scaled to a peak of 1.

    Args:
      samples: [n] float, n > 0, finite.
      rate: in Hz, 1,000 to 1,000,000; what is not 22,050 is resampled.

    Returns:
      [1 + m // 256, 19] float32, finite, in the order of TRACKS; m samples at 22,050 Hz are left of the n. Frame i is
      of the 1,024 samples (46 ms) around sample 256 i of these. And where in the clip they begin, in s.

    Raises:
      InputError: not one dimension, no samples, samples that are not finite, or another rate.
    """
    x, start = _normalised(samples, rate)
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(x, WINDOW // 2), WINDOW)[::HOP]
    blocks = (_of_block(frames[i : i + _BLOCK]) for i in range(0, len(frames), _BLOCK))
    shapes, mel, level, amplitude, octaves, strengths = map(np.concatenate, zip(*blocks, strict=True))
    octave, voiced = _pitch_path(octaves, strengths, amplitude)
    octave = _bridged(octave, voiced)
    columns = dict(zip(_SHAPES, shapes.T, strict=True))
    columns |= {f"mfcc_{i}": column for i, column in enumerate(_sums(np.log(mel), _cosines()).T)}
    columns["f0"], columns["voicing"] = 12 * (octave - np.log2(F0_ZERO)), voiced
    columns["loudness"] = np.log((mel**0.3).sum(1))
    columns["h1_h2"] = _harmonic(level, 2**octave) - _harmonic(level, 2 * 2**octave)
    root = np.sqrt(mel)
    root /= np.linalg.norm(root, axis=1, keepdims=True)
    columns["flux"] = np.append(0, np.linalg.norm(np.diff(root, axis=0), axis=1))
    return np.stack([columns[name] for name in TRACKS], 1).astype(np.float32), start / SAMPLE_RATE


def pooled(tracks: np.ndarray) -> np.ndarray:
    """Return the means of every four frames, of the first 5.6 s, as the digest of a corpus reads them.

    Args:
      tracks: [frames, 19] float, frames > 0; of two to four frames that are left at the end their mean is taken.

    Returns:
      [120, 19] float32, zero after the real frames.
    """
    used = tracks[: POOLED * POOLED_FRAMES]
    start = np.arange(0, len(used), POOLED)
    sums = np.add.reduceat(used.astype(np.float64), start, axis=0)
    found = np.zeros((POOLED_FRAMES, tracks.shape[1]), np.float32)
    found[: len(start)] = sums / np.minimum(POOLED, len(used) - start)[:, None]
    return found


def statistics(tracks: np.ndarray) -> np.ndarray:
    """Return the statistics of one clip's tracks, as functionals of eGeMAPS.

    Each track in turn: mean, deviation (divisor n), 20th, 50th and 80th percentile (linear between frames), the range
    from the 20th to the 80th, and the mean absolute change from frame to frame (per frame of 11.6 ms; divide by STEP
    for that of a second); of f0 the 5th and 95th percentile, too, the voice's range. In the tracks' own units.

    Args:
      tracks: [frames, 19] float, frames > 0.

    Returns:
      [171] float32, in the order of STATISTICS; finite.

    Raises:
      InputError: another shape, or no frame.
    """
    tracks = np.asarray(tracks)
    if tracks.ndim != 2 or tracks.shape[1] != len(TRACKS) or not len(tracks):
        raise InputError(f"tracks: got shape {tracks.shape}, expected (frames, {len(TRACKS)}) with frames > 0.")
    tracks = tracks.astype(np.float64)
    everywhere = np.ones(len(tracks), bool)
    voiced = tracks[:, TRACKS.index("voicing")] > 0
    share = voiced.mean()
    if voiced.sum() < FEWEST_VOICED:
        voiced = everywhere
    over_all = _functionals(tracks[:, _at(OVER_ALL)], everywhere)
    over_voiced = _functionals(tracks[:, _at(OVER_VOICED)], voiced)
    extremes = np.percentile(tracks[voiced, TRACKS.index("f0")], EXTREMES)
    return np.concatenate([over_all, over_voiced, extremes, [share]]).astype(np.float32)


@functools.cache
def _lag_weights() -> np.ndarray:
    """Return what a windowed frame's autocorrelation is multiplied with, [2 + longest period] float32, lag after lag.

    The window's own falls with the lag, which would favour short periods; these are its reciprocals.
    """
    own = np.correlate(_HANN.astype(np.float64), _HANN, "full")[WINDOW - 1 :][: int(SAMPLE_RATE / LOWEST) + 2]
    return (own[0] / own).astype(np.float32)


def _pitch_candidates(power: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the highest peaks of each frame's autocorrelation between 60 and 500 Hz: periods that it may have.

    Args:
      power: [t, 1 + WINDOW] float32, power spectra of windowed frames without their means, zero-padded to twice the
        window.

    Returns:
      octave, [t, 5] float32, log2 of the frequency in Hz; and strength, [t, 5] float32, the autocorrelation there, 1
      for a periodic frame, less what a long period costs; -1 where there are fewer.
    """
    weights = _lag_weights()
    shortest, longest = math.ceil(SAMPLE_RATE / HIGHEST), len(weights) - 2
    r = np.fft.irfft(power, axis=1)[:, : longest + 2]
    r *= weights / (r[:, :1] + np.float32(1e-9))
    inner, before, after = r[:, shortest : longest + 1], r[:, shortest - 1 : longest], r[:, shortest + 1 :]
    lags = np.arange(shortest, longest + 1)
    cost = (OCTAVE_COST * np.log2(LOWEST / SAMPLE_RATE * lags)).astype(np.float32)
    strength = np.where((inner >= before) & (inner > after), inner - cost, np.float32(-1))
    best = np.argpartition(strength, -CANDIDATES, axis=1)[:, -CANDIDATES:]
    strength, a, b, c = (np.take_along_axis(of, best, 1) for of in (strength, before, inner, after))
    # The parabola through a peak and its neighbours: periods are no whole numbers of samples.
    bend = a - 2 * b + c
    shift = np.clip(0.5 * (a - c) / np.where(bend < -1e-9, bend, 1), -0.5, 0.5)
    strength = np.where(strength > -1, strength - 0.25 * (a - c) * shift, -1)
    hz = np.clip(SAMPLE_RATE / (lags[best] + shift), LOWEST, HIGHEST)
    return np.log2(hz).astype(np.float32), strength.astype(np.float32)


def _pitch_path(octave: np.ndarray, strength: np.ndarray, amplitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Choose a candidate or none for each frame: the path of greatest strength less what its jumps cost (Viterbi).

    Args:
      octave, strength: [t, 5], the candidates of t > 0 frames.
      amplitude: [t] float, root mean square of the frames; much below the loudest, a frame counts as unvoiced.

    Returns:
      log2 of the frequency in Hz, [t] float32, that of some candidate in unvoiced frames; and [t] bool, voiced.
    """
    t = len(amplitude)
    relative = amplitude / max(float(amplitude.max()), 1e-9)
    unvoiced = VOICING_THRESHOLD + np.maximum(0, 2 - relative * (1 + VOICING_THRESHOLD) / SILENCE_THRESHOLD)
    strength = np.column_stack([strength, unvoiced])
    scale = COST_STEP / STEP
    # [t - 1, from, to]; the last state is unvoiced.
    jump = np.full((t - 1, CANDIDATES + 1, CANDIDATES + 1), VOICING_COST * scale)
    jump[:, :-1, :-1] = JUMP_COST * scale * np.abs(octave[:-1, :, None] - octave[1:, None, :])
    jump[:, -1, -1] = 0
    total, came = strength[0], np.zeros((t, CANDIDATES + 1), np.intp)
    for i in range(1, t):
        through = total[:, None] - jump[i - 1]
        came[i] = through.argmax(0)
        total = through.max(0) + strength[i]
    state = np.empty(t, np.intp)
    state[-1] = total.argmax()
    for i in range(t - 1, 0, -1):
        state[i - 1] = came[i, state[i]]
    voiced = _long(state < CANDIDATES)
    return octave[np.arange(t), np.minimum(state, CANDIDATES - 1)], voiced


def _long(voiced: np.ndarray) -> np.ndarray:
    """Return `voiced` [t] bool without its stretches of fewer than SHORTEST frames."""
    voiced = voiced.copy()
    edges = np.flatnonzero(np.diff(voiced, prepend=False, append=False))
    for start, end in edges.reshape(-1, 2):
        voiced[start:end] = end - start >= SHORTEST
    return voiced


_SHAPES = ("alpha_ratio", "hammarberg", "slope_0_500", "slope_500_1500")
_SHAPES += ("centroid", "spread", "flatness", "rolloff", "zero_crossings")


def _of_block(frames: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the tracks of _SHAPES, mel bands, levels (of harmonics), root mean squares, pitch candidates of frames."""
    frames = frames - frames.mean(1, keepdims=True)
    spectra = np.fft.rfft(frames * _HANN, _SIZE, axis=1)
    power = spectra.real**2 + spectra.imag**2
    octave, strength = _pitch_candidates(power)
    power = power[:, ::2] + _NOISE
    level = 10 * np.log10(power)
    magnitude = np.sqrt(power)
    total = magnitude.sum(1)
    centroid = _sums(magnitude, _HZ) / total
    spread = np.sqrt(np.maximum(_sums(magnitude, _HZ**2) / total - centroid**2, 1))
    below = (np.cumsum(magnitude, axis=1) < 0.85 * total[:, None]).sum(1)
    shapes = (
        10 * np.log10(power[:, _band(50, 1000)].sum(1) / power[:, _band(1000, 5000)].sum(1)),
        level[:, _band(0, 2000)].max(1) - level[:, _band(2000, 5000)].max(1),
        _slope(level, _band(10, 500)),
        _slope(level, _band(500, 1500)),
        np.log2(centroid),
        np.log2(spread),
        (level.mean(1) - 10 * np.log10(power.mean(1))) * np.float32(np.log(10) / 10),
        np.log2(_HZ[below]),
        (np.diff(np.signbit(frames), axis=1)).mean(1),
    )
    mel = _sums(power, mel_filters(WINDOW, MELS, LOWEST_MEL, HIGHEST_MEL, None))
    amplitude = np.sqrt(np.square(frames).mean(1))
    return np.stack(shapes, 1), mel, level[:, :_HARMONICS], amplitude, octave, strength


def _normalised(samples: np.ndarray, rate: int) -> tuple[np.ndarray, int]:
    """Return a clip at 22,050 Hz, without the silence at its ends, with a peak of 1, and its first sample's number.

    Silence is returned as it is.
    """
    x = np.asarray(samples, np.float32)
    if x.ndim != 1 or not x.size:
        raise InputError(f"samples: got shape {x.shape}, expected (n,) with n > 0. Mix channels to one first.")
    if not np.isfinite(x).all():
        raise InputError("samples: some are not finite, expected numbers. Look at how the recording was read.")
    if not MIN_RATE <= rate <= MAX_RATE:
        raise InputError(f"rate: got {rate} Hz, expected {MIN_RATE:,} to {MAX_RATE:,}.")
    x = resampled(x, rate)
    centred = x - np.float32(x.mean(dtype=np.float64))
    peak = np.abs(centred).max()
    if not peak:
        return centred, 0
    x = centred / peak
    loud = _loud(x)
    return x[loud], loud.start


def _loud(x: np.ndarray, window: int = 2048, hop: int = 512) -> slice:
    """Return the part between the first and the last loud frame, as librosa.effects.trim(x, top_db=30)."""
    total = np.concatenate([[0], np.cumsum(np.square(x, dtype=np.float64))])
    start = np.arange(0, len(x) + 1, hop) - window // 2
    energy = total[np.minimum(start + window, len(x))] - total[np.maximum(start, 0)]
    loud = np.flatnonzero(energy > energy.max() * 10 ** (-TRIM_DB / 10))
    return slice(loud[0] * hop, (loud[-1] + 1) * hop)


def _bridged(octave: np.ndarray, voiced: np.ndarray) -> np.ndarray:
    at = np.flatnonzero(voiced)
    if not len(at):
        return np.full(len(octave), np.log2(F0_UNKNOWN))
    return np.interp(np.arange(len(octave)), at, octave[at])


def _harmonic(level: np.ndarray, hz: np.ndarray) -> np.ndarray:
    """Return the highest level [t] of the three bins around a frequency; level is [t, bins], hz [t]."""
    k = np.round(hz * (WINDOW / SAMPLE_RATE)).astype(int)
    return np.take_along_axis(level, k[:, None] + np.arange(-1, 2), 1).max(1)


def _band(lowest: float, highest: float) -> slice:
    """Return the bins from `lowest` to below `highest` Hz."""
    return slice(*np.searchsorted(_HZ, (lowest, highest)))


def _slope(level: np.ndarray, band: slice) -> np.ndarray:
    khz = _HZ[band] / 1000
    khz -= khz.mean()
    return _sums(level[:, band], khz / np.square(khz).sum())


def _sums(of: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the sums of [t, n] weighted with [n] or [m, n]: [t] or [t, m].

    Without BLAS, whose threads cost such small products twice their time, and whose bits depend on their number.
    """
    return np.einsum("tn,...n->t...", of, weights)


@functools.cache
def _cosines() -> np.ndarray:
    """Return the first 5 rows of the orthonormal cosine transform (II) of 40 bands, [5, 40] float32."""
    cosines = np.cos(np.pi / MELS * np.arange(N_MFCC)[:, None] * (np.arange(MELS) + 0.5)) * np.sqrt(2 / MELS)
    cosines[0] *= np.sqrt(0.5)
    return cosines.astype(np.float32)


def _functionals(x: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """Return FUNCTIONALS of each column of [frames, k] over the frames taken [frames] bool."""
    both = taken[1:] & taken[:-1]
    change = np.abs(np.diff(x, axis=0))[both].sum(0) / max(both.sum(), 1)
    x = x[taken]
    low, median, high = np.percentile(x, PERCENTILES, axis=0)
    return np.stack([x.mean(0), x.std(0), low, median, high, high - low, change], 1).ravel()


def _at(names: Collection[str]) -> list[int]:
    return [TRACKS.index(name) for name in names]
