"""Fundamental frequency by normalised autocorrelation, and a path through its candidates (Boersma, 1993).

P. Boersma, "Accurate short-term analysis of the fundamental frequency and the harmonics-to-noise ratio of a sampled
sound", Proceedings of the Institute of Phonetic Sciences 17, Amsterdam, pp. 97-110; constants are its, unless said.
"""

import math
from typing import NamedTuple

import numpy as np

LOWEST, HIGHEST = 60.0, 500.0
CANDIDATES = 5
VOICING_THRESHOLD, SILENCE_THRESHOLD, OCTAVE_COST = 0.45, 0.03, 0.01
# Frames of the shortest voiced stretch; a shorter one is a pulse or two, whose frequency is chance. Not Boersma's.
SHORTEST = 4
# Per step of 10 ms, as in Praat.
JUMP_COST, VOICING_COST, STEP = 0.35, 0.14, 0.01


class Candidates(NamedTuple):
    """Periods that a frame may have, t frames.

    Attributes:
      octave: [t, 5] float32, log2 of the frequency in Hz.
      strength: [t, 5] float32, autocorrelation there, 1 for a periodic frame, less what a long period costs; -1 where
        there are fewer.
    """

    octave: np.ndarray
    strength: np.ndarray


def lag_weights(window: np.ndarray, rate: int) -> np.ndarray:
    """Return what a windowed frame's autocorrelation is multiplied with, lag after lag.

    The window's own falls with the lag, which would favour short periods; these are its reciprocals.

    Args:
      window: [w] float.
      rate: in Hz.

    Returns:
      [2 + longest period] float32, of lags 0, 1 and so on.
    """
    own = np.correlate(window.astype(np.float64), window, "full")[len(window) - 1 :][: int(rate / LOWEST) + 2]
    return (own[0] / own).astype(np.float32)


def candidates(power: np.ndarray, weights: np.ndarray, rate: int) -> Candidates:
    """Return the highest peaks of each frame's autocorrelation between 60 and 500 Hz.

    Args:
      power: [t, 1 + n // 2] float32, power spectra of windowed frames without their means, zero-padded to n, at least
        as much longer than the window as the longest period.
      weights: of lag_weights, for that window.
      rate: in Hz.
    """
    shortest, longest = math.ceil(rate / HIGHEST), len(weights) - 2
    r = np.fft.irfft(power, axis=1)[:, : longest + 2]
    r *= weights / (r[:, :1] + np.float32(1e-9))
    inner, before, after = r[:, shortest : longest + 1], r[:, shortest - 1 : longest], r[:, shortest + 1 :]
    lags = np.arange(shortest, longest + 1)
    cost = (OCTAVE_COST * np.log2(LOWEST / rate * lags)).astype(np.float32)
    strength = np.where((inner >= before) & (inner > after), inner - cost, np.float32(-1))
    best = np.argpartition(strength, -CANDIDATES, axis=1)[:, -CANDIDATES:]
    strength, a, b, c = (np.take_along_axis(of, best, 1) for of in (strength, before, inner, after))
    # The parabola through a peak and its neighbours: periods are no whole numbers of samples.
    bend = a - 2 * b + c
    shift = np.clip(0.5 * (a - c) / np.where(bend < -1e-9, bend, 1), -0.5, 0.5)
    strength = np.where(strength > -1, strength - 0.25 * (a - c) * shift, -1)
    hz = np.clip(rate / (lags[best] + shift), LOWEST, HIGHEST)
    return Candidates(np.log2(hz).astype(np.float32), strength.astype(np.float32))


def path(found: Candidates, amplitude: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Choose a candidate or none for each frame: the path of greatest strength less what its jumps cost (Viterbi).

    Args:
      found: of t > 0 frames.
      amplitude: [t] float, root mean square of the frames; much below the loudest, a frame counts as unvoiced.
      step: seconds from frame to frame.

    Returns:
      log2 of the frequency in Hz, [t] float32, that of some candidate in unvoiced frames; and [t] bool, voiced.
    """
    octave, t = found.octave, len(amplitude)
    relative = amplitude / max(float(amplitude.max()), 1e-9)
    unvoiced = VOICING_THRESHOLD + np.maximum(0, 2 - relative * (1 + VOICING_THRESHOLD) / SILENCE_THRESHOLD)
    strength = np.column_stack([found.strength, unvoiced])
    scale = STEP / step
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
