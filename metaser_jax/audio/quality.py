"""The quality of a recording's sound, and the notes on it, which are the same in every command and the library.

A note says what was found, why it matters and what to do. The limits were chosen on RAVDESS, EMO-DB and URDU, so that
what is usual in good recordings causes none.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from metaser_jax.audio.containers import MORE, REST

# Nothing in a recording is louder: no speech, but a microphone that is off. RAVDESS's quietest speech has -58 dBFS.
SILENCE_DBFS = -70.0
# One window of 2,048 samples at 22,050 Hz, of which a spectrum is made: in less nobody says anything.
LEAST_SECONDS = 2048 / 22050
_LISTED = 5
_SHORT_SECONDS = 1.0
_CLIPPED_SHARE = 5e-4
_QUIET_DBFS = -55.0
# Lossy formats overshoot by a little.
_MAX_PEAK = 4.0
_LOW_RATE = 16_000
# Of a mixture of channels, below the loudest of them, apart from what mixing many takes: they are nearly opposite.
_CANCEL_DB = 20.0
# A constant so much stronger than the sound itself.
_OFFSET_DB = 6.0
_LOUDEST_STEPS = 4
_SPEECH, _MICROPHONE = f"expected speech (above {SILENCE_DBFS:.0f} dBFS)", "check the microphone"


class Quality(NamedTuple):
    """Measures of a recording's sound.

    Attributes:
      peak: largest absolute sample of any channel, as in the file; 1 is full scale.
      clipped: share of the samples, of all channels, that lie in a row of three or more at full scale: within 1e-4
        of 1, or of the recording's loudest sample where that is .999 to 1 (of each 2^20 samples', in long ones).
      loudness_db: root mean square of the loudest 0.4 s, mixed to mono, without its mean, in dBFS: a square wave of 1
        has 0. -inf for digital silence, and for a constant.
      channels: of the file.
      offset: the mean of all samples, of which the sound should have none.
      mixed_db: level of the mixture of all channels over the loudest channel's, at most 0.
      one_channel: whether the mixture is silent because the channels cancel, and the loudest channel was taken.
      header: containers.MORE where the header said less than there is, containers.REST where something behind the
        sound was not read, or "".
      of_tracks: how many audio tracks the file has, of which the first was read.
    """

    peak: float
    clipped: float
    loudness_db: float
    channels: int
    offset: float = 0.0
    mixed_db: float = 0.0
    one_channel: bool = False
    header: str = ""
    of_tracks: int = 1


class Measured(NamedTuple):
    """The ground of the notes, without the features."""

    quality: Quality
    seconds: float
    sample_rate: int

    @classmethod
    def of(cls, one: Any) -> "Measured":
        """Return it of a recording whose quality is known: a Clip, an Extraction or what was measured of one."""
        return cls(one.quality, one.seconds, one.sample_rate)


def loudness(samples: np.ndarray, rate: int) -> float:
    """Return Quality.loudness_db of [n] samples, n > 0."""
    step = max(1, rate // 10)
    steps = len(samples) // step
    if steps < _LOUDEST_STEPS:
        rows, together = samples[None], 1
    else:
        rows, together = samples[: steps * step].reshape(steps, step), _LOUDEST_STEPS
    n, ones = together * rows.shape[1], np.ones(together)
    mean = np.convolve(rows.sum(axis=1, dtype=np.float64), ones, "valid") / n
    power = np.convolve([np.square(row, dtype=np.float64).sum() for row in rows], ones, "valid") / n
    # Where both are equal but for rounding, there is nothing but the mean.
    varying = np.where(power - mean**2 > 1e-12 * power, power - mean**2, 0).max()
    return 10 * float(np.log10(varying)) if varying > 0 else -np.inf


def why_unusable(one: Any, *, silence: float = SILENCE_DBFS) -> str | None:
    """Return why nobody can be heard in a recording, and what was expected; None if somebody may be.

    Args: silence: what is below is refused, in dBFS; -inf refuses digital silence and constants alone.
    """
    quality = one.quality
    if one.seconds < LEAST_SECONDS:
        samples = round(one.seconds * one.sample_rate)
        count = "a single sample" if samples == 1 else f"{samples:,} samples"
        return f"{count} ({one.seconds:.2g} s), expected speech (at least {LEAST_SECONDS:.2f} s)"
    if quality.loudness_db > -np.inf and quality.loudness_db >= silence:
        return None
    if quality.peak == 0:
        return f"digital silence, {_SPEECH}; {_MICROPHONE}"
    if _of_offset(one):
        return f"a constant (DC) of {quality.offset:.2g} of full scale and no sound, {_SPEECH}; {_MICROPHONE}"
    silent = f"silence: its loudest part has {quality.loudness_db:.0f} dBFS, {_SPEECH}; "
    # No 16-bit file has so small numbers.
    if quality.peak <= 2**-15:
        return silent + "if these are 16-bit numbers stored with 32 bits, multiply them by 65,536"
    return silent + _MICROPHONE


def _nearly_cancel(one: Any) -> bool:
    quality = one.quality
    return not quality.one_channel and quality.mixed_db < -_CANCEL_DB - 20 * np.log10(quality.channels)


def _of_offset(one: Any) -> bool:
    return abs(one.quality.offset) > 10 ** ((one.quality.loudness_db + _OFFSET_DB) / 20)


# (of which recordings it holds, what is said of them, what it means and what to do)
_KINDS = (
    (
        lambda one: one.quality.loudness_db < SILENCE_DBFS,
        "in which nothing can be heard",
        "Learned as an emotion, silence makes the others worse. Leave it out, and check the microphone.",
    ),
    (
        lambda one: SILENCE_DBFS <= one.quality.loudness_db < _QUIET_DBFS,
        f"very quiet (below {_QUIET_DBFS:.0f} dBFS)",
        "Noise may hide the voice. Check that somebody speaks there; record closer to the microphone.",
    ),
    (
        lambda one: one.quality.clipped > _CLIPPED_SHARE,
        "recorded too loud, so that the wave is cut off",
        "It sounds harsh, and harshness is taken for anger. Record again with a lower level.",
    ),
    (
        lambda one: one.quality.peak > _MAX_PEAK,
        "of which the samples reach far beyond 1 (full scale)",
        "Numbers of another scale sound like shouting. Divide them, e.g. by 32,768, and save them again.",
    ),
    (
        lambda one: one.quality.one_channel,
        "whose channels are opposite and cancel when they are mixed",
        "The louder channel was taken alone. Check how the microphone was wired.",
    ),
    (
        _nearly_cancel,
        "whose channels nearly cancel when they are mixed",
        "Little of the voice is left. Save one channel alone.",
    ),
    (
        lambda one: one.quality.header == MORE,
        "with more sound than the header says",
        "All of it was read. What wrote the header was wrong or stopped early; listen to the end.",
    ),
    (
        lambda one: one.quality.header == REST,
        "with something behind the sound that the header does not tell of",
        "It was not read. If the sound ends too early, convert it again.",
    ),
    (
        lambda one: one.quality.of_tracks > 1,
        "with several audio tracks",
        "The first was read. Save another one alone if the voice is in that.",
    ),
    (
        _of_offset,
        "with a constant (DC) that is stronger than the sound",
        "It comes from the recording device. Remove it, e.g. with a high-pass filter of 50 Hz.",
    ),
    (
        lambda one: one.sample_rate < _LOW_RATE,
        "of a low sample rate ({rates})",
        "Above half of it there is no sound, where the recordings that the model comes from have some. Record with "
        "16,000 Hz or more, unless what will be predicted is such speech as well, e.g. from the telephone.",
    ),
    (
        lambda one: one.seconds < _SHORT_SECONDS,
        "shorter than a second",
        "There is little of an emotion in it. Whole sentences of two to three seconds are best.",
    ),
)


def notes_of(one: Any) -> tuple[str, ...]:
    """Return what people should know of one recording, a sentence or two each."""
    said = [(_which(text, [one]), means) for holds, text, means in _KINDS if holds(one)]
    return tuple(f"{which[:1].upper()}{which[1:]}. {means}" for which, means in said)


def notes_of_all(recordings: Sequence[Any], files: Sequence[str] | np.ndarray, what: str = "clip") -> list[str]:
    """Return what people should know of n recordings, a text of each kind, which names the first files.

    Args: files: [n], their names. what: what they are called, in the singular.
    """
    texts = []
    for holds, text, means in _KINDS:
        found = [i for i, one in enumerate(recordings) if holds(one)]
        if found:
            which = _which(text, [recordings[i] for i in found])
            texts.append(f"{count(len(found), what)} {which}: {named([files[i] for i in found])}. {means}")
    return texts


def _which(text: str, found: Sequence[Any]) -> str:
    return text.format(rates=", ".join(f"{rate:,} Hz" for rate in sorted({one.sample_rate for one in found})))


def named(files: Sequence[str] | np.ndarray) -> str:
    """Return the first files and how many more there are."""
    more = f" and {len(files) - _LISTED} more" if len(files) > _LISTED else ""
    return ", ".join(files[:_LISTED]) + more


def count(n: int, one: str = "clip") -> str:
    """Return a number of things: "1 clip", "2 clips"."""
    return f"{n:,} {one}{'s' * (n != 1)}"
