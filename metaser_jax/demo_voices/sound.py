"""From an Utterance to the samples of its recording: eSpeak's voice, then its loudness and colour, room and channel."""

import numpy as np

from metaser_jax.demo_voices.espeak import Engine
from metaser_jax.demo_voices.recipe import Utterance

SECONDS = (1.2, 2.5)  # shortest and longest recording
REFERENCE = 0.03  # RMS of a voice at 0 dB, of full scale
_FADE_SECONDS = 0.02
_HUM = -25.0  # dB of tilt: rooms hum rather than hiss


def record(engine: Engine, utterance: Utterance, rng: np.random.Generator) -> np.ndarray:
    """Make one recording.

    Args:
      engine: the eSpeak engine; what it has said before matters (see espeak.py).
      utterance: what to say and how.
      rng: for the background noise.

    Returns:
      [n] int16 at the engine's sample rate; 1.2 to 2.5 seconds; not clipped.
    """
    rate = engine.sample_rate
    voice = _trim(engine.say(utterance.text, utterance.voice) / 32768.0)
    voice = _tilt(voice, utterance.tilt + utterance.channel_tilt, rate)
    voice *= 10 ** (np.linspace(0.0, -utterance.decay, len(voice)) / 20)
    voice *= REFERENCE * 10 ** (utterance.level / 20) / np.sqrt(np.mean(voice**2))

    before, after = (round(seconds * rate) for seconds in utterance.pauses)
    n = max(before + len(voice) + after, round(SECONDS[0] * rate))
    clip = np.zeros(n)
    clip[before : before + len(voice)] = voice
    clip = clip[: round(SECONDS[1] * rate)]
    noise = _tilt(rng.standard_normal(len(clip)), _HUM + utterance.channel_tilt, rate)
    clip += noise * REFERENCE * 10 ** (-utterance.snr / 20) / np.sqrt(np.mean(noise**2))

    clip *= 10 ** (utterance.gain / 20)
    fade = np.linspace(0.0, 1.0, round(_FADE_SECONDS * rate))
    clip[: len(fade)] *= fade
    clip[-len(fade) :] *= fade[::-1]
    clip *= min(1.0, 0.95 / np.max(np.abs(clip)))
    return np.round(clip * 32767).astype(np.int16)


def _trim(voice: np.ndarray) -> np.ndarray:
    loud = np.flatnonzero(np.abs(voice) > 0.02 * np.max(np.abs(voice)))
    return voice[loud[0] : loud[-1] + 1]


def _tilt(samples: np.ndarray, db: float, rate: int) -> np.ndarray:
    """Turn the spectrum about 1 kHz: `db` is the gain of high frequencies over low ones (a first-order shelf)."""
    # scipy.signal has such filters, and takes longer to import than a process here has to work.
    n = -(-len(samples) // 2048) * 2048  # a transform of prime length would take longer than the speech
    kilohertz = np.fft.rfftfreq(n, 1000 / rate)
    ratio = 10 ** (db / 20)
    shelf = np.sqrt((ratio * kilohertz**2 + 1) / (kilohertz**2 + ratio))
    return np.fft.irfft(np.fft.rfft(samples, n) * shelf, n)[: len(samples)]
