"""What tells the emotion in a set of clips and is none: who speaks, and how it was recorded.

A model learns the easiest difference between classes. Where that is the speaker or the microphone, its score is good
and its predictions are worth nothing elsewhere.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from metaser_jax.audio.clips import Clip

# Of the pairs of clips with the same speaker, so many have the same emotion, and there are as many at least.
_SAME_EMOTION, _PAIRS = 0.6, 3
# A property tells so large a share of the labels more than guessing does; and no more than one of a hundred shufflings
# of the labels has as much mutual information with it.
_GAIN, _CHANCE, _SHUFFLINGS = 0.1, 0.01, 1000
# Every clip of one emotion is louder than every clip of another by so many dB; by more where people are.
_LOUDER_DB, _LOUDER_BY_EMOTION_DB, _MIN_CLIPS = 6.0, 20.0, 3
_LOUD_EMOTIONS = ("angry", "happy", "excited", "fear", "frustrated", "surprise")
_QUIET_EMOTIONS = ("sad", "boredom", "calm")


class OneEmotion(NamedTuple):
    """Speakers who say one emotion. Attributes: single: how many; repeated: how many speakers have several clips."""

    single: int
    repeated: int


def one_emotion_speakers(labels: np.ndarray, speakers: np.ndarray, n_emotions: int) -> OneEmotion | None:
    """Return how a speaker's voice tells the emotion; None if it does not, or if the clips cannot say.

    Only speakers of several clips let it be known. It does where speakers say, on average, less than half of the
    emotions (as normalise.resolve counts), and clips of the same speaker mostly share one: a few clips of many speakers
    are few emotions of each by themselves.

    Args: labels: [n] int. speakers: [n] str.
    """
    of = {name: labels[speakers == name] for name in np.unique(speakers)}
    says = np.mean([len(np.unique(of[name])) for name in speakers])
    same, pairs = 0, 0
    for own in of.values():
        number = np.bincount(own)
        same += int((number * (number - 1) // 2).sum())
        pairs += len(own) * (len(own) - 1) // 2
    if says >= n_emotions / 2 or pairs < _PAIRS or same < _SAME_EMOTION * pairs:
        return None
    repeated = [own for own in of.values() if len(own) > 1]
    return OneEmotion(sum(len(np.unique(own)) == 1 for own in repeated), len(repeated))


def conditions(clips: Sequence[Clip], labels: np.ndarray, emotions: Sequence[str]) -> list[str]:
    """Return warnings where sample rate, channels or loudness tell the emotion.

    Args: labels: [n] int, index into `emotions`.
    """
    found = []
    for what, unit, values in (
        ("The sample rate", "{:,} Hz", np.array([clip.sample_rate for clip in clips])),
        ("The number of channels", "{}", np.array([clip.quality.channels for clip in clips])),
    ):
        if tells(values, labels):
            table = "; ".join(
                f"{unit.format(value)}: {_counts(labels[values == value], emotions)}"
                for value in np.unique(values).tolist()
            )
            found.append(
                f"{what} goes with the emotion ({table}): the model can learn the recorder in place of the emotion, "
                "and the score cannot tell the two apart. Record all emotions in the same way."
            )
    loudness = np.array([clip.quality.loudness_db for clip in clips])
    for loud, quiet, gap in _louder(loudness, labels, emotions):
        found.append(
            f"Every clip of {emotions[loud]} is louder than every clip of {emotions[quiet]}, by {gap:.0f} dB or more: "
            "perhaps the microphone's level or distance and not the emotion, and the model can learn that. Record all "
            "emotions in the same way, in turns."
        )
    return found


def tells(values: np.ndarray, labels: np.ndarray) -> bool:
    """Return whether a property [n] tells labels [n] int: better than guessing, and than of shuffled labels."""
    if len(set(values.tolist())) < 2:
        return False
    table = _table(values, labels)
    if table.max(axis=1).sum() - table.sum(axis=0).max() < _GAIN * len(labels):
        return False
    rng = np.random.default_rng(0)
    information = _information(table)
    as_good = sum(
        _information(_table(values, rng.permutation(labels))) >= information - 1e-9 for _ in range(_SHUFFLINGS)
    )
    return as_good < _CHANCE * _SHUFFLINGS


def _table(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return how often each value has each label, [value, class]."""
    code = np.unique(values, return_inverse=True)[1]
    width = int(labels.max()) + 1
    return np.bincount(code * width + labels, minlength=(int(code.max()) + 1) * width).reshape(-1, width)


def _information(table: np.ndarray) -> float:
    """Return the mutual information of rows and columns, up to what shuffling does not change."""
    return float(np.sum(table * np.log(np.maximum(table, 1))))


def _louder(loudness: np.ndarray, labels: np.ndarray, emotions: Sequence[str]) -> list[tuple[int, int, float]]:
    """Return (louder class, quieter class, dB) of classes that loudness keeps apart, more than emotions do."""
    of = {label: loudness[(labels == label) & np.isfinite(loudness)] for label in np.unique(labels).tolist()}
    of = {label: own for label, own in of.items() if len(own) >= _MIN_CLIPS}
    found = []
    for loud, a in of.items():
        for quiet, b in of.items():
            natural = emotions[loud] in _LOUD_EMOTIONS or emotions[quiet] in _QUIET_EMOTIONS
            gap = float(a.min() - b.max())
            if gap >= (_LOUDER_BY_EMOTION_DB if natural else _LOUDER_DB):
                found.append((loud, quiet, gap))
    return found


def _counts(labels: np.ndarray, emotions: Sequence[str]) -> str:
    number = np.bincount(labels, minlength=len(emotions))
    return ", ".join(f"{n} {emotion}" for emotion, n in zip(emotions, number, strict=True) if n)
