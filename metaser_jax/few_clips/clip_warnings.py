"""What is wrong with a set of labelled clips, or will make its score lie: plain sentences for people.

Each says what was found, why it matters and what to do. The limits were chosen on RAVDESS, EMO-DB and URDU, so that
what is usual in good recordings causes none.
"""

import hashlib
from collections.abc import Sequence

import numpy as np

from metaser_jax.audio.clips import HOP_SECONDS, MAX_FRAMES, Clip
from metaser_jax.audio.quality import SILENCE_DBFS, count, named, notes_of_all
from metaser_jax.data.corpus import UNKNOWN_SPEAKER
from metaser_jax.few_clips.confounds import conditions, one_emotion_speakers

# Macro F1 with five clips per emotion, mean of five corpora whose voices say all of them: experiments/README.md,
# Normalisation.
_WORTH = "with five clips of each emotion, macro F1 was .64 without the speakers' names and .73 with them"
_LEARNED_SECONDS = MAX_FRAMES * HOP_SECONDS
# Of what learning does not hear, so much is as loud as speech: within 20 dB of the loudest, in the mean level.
_CUT_SECONDS, _CUT_DB = 0.3, 20 * 128**0.5


def warnings_of(
    clips: Sequence[Clip],
    labels: Sequence[int] | np.ndarray,
    speakers: Sequence[str] | np.ndarray,
    files: Sequence[str] | np.ndarray,
    emotions: Sequence[str],
    *,
    whole: bool = False,
) -> list[str]:
    """Return warnings about n labelled clips, the gravest first; none where nothing is wrong.

    Args:
      clips: [n].
      labels: [n] int, index into `emotions`.
      speakers: [n] str, corpus.UNKNOWN_SPEAKER where it is not known.
      files: [n] str, names for the sentences.
      emotions: the model's.
      whole: whether learning hears all of a clip, and not only its first 2.79 s.
    """
    labels, speakers, files = np.asarray(labels, int), np.asarray(speakers, str), np.asarray(files, str)
    return [
        *_unknown_speakers(speakers, voice=whole),
        *_duplicates(clips, labels, files, emotions),
        *_classes(labels, emotions),
        *_speakers(labels, speakers, emotions),
        *conditions(clips, labels, emotions),
        *notes_of_all(clips, files),
        *_cut(clips, files, whole),
    ]


def _duplicates(clips: Sequence[Clip], labels: np.ndarray, files: np.ndarray, emotions: Sequence[str]) -> list[str]:
    alike: dict[bytes, list[int]] = {}
    for i, clip in enumerate(clips):
        if clip.quality.loudness_db >= SILENCE_DBFS:  # silence is all alike
            alike.setdefault(hashlib.sha256(clip.frames).digest(), []).append(i)
    groups = [group for group in alike.values() if len(group) > 1]
    across = [group for group in groups if len(set(labels[group])) > 1]
    within = [group for group in groups if len(set(labels[group])) == 1]
    found = []
    if across:
        pairs = [" = ".join(f"{files[i]} ({emotions[labels[i]]})" for i in group) for group in across]
        found.append(
            f"CONTRADICTION: {count(len(across), 'recording')} labelled as more than one emotion: {named(pairs)}. At "
            "least one of the labels is wrong, and both are learned. Listen to them and remove the wrong copies."
        )
    if within:
        pairs = [" = ".join(files[group]) for group in within]
        found.append(
            f"{count(len(within), 'recording')} given more than once: {named(pairs)}. Copies teach nothing, and "
            "each counts once more in the score, whose interval is then too narrow. Keep one of each."
        )
    return found


def _classes(labels: np.ndarray, emotions: Sequence[str]) -> list[str]:
    number = np.bincount(labels, minlength=len(emotions))
    counts = ", ".join(f"{emotion} {n}" for emotion, n in zip(emotions, number, strict=True))
    missing = [emotion for emotion, n in zip(emotions, number, strict=True) if n == 0]
    few = [emotion for emotion, n in zip(emotions, number, strict=True) if 0 < 2 * n < number.max()]
    found = []
    if missing:
        found.append(
            f"No clip of {' and none of '.join(missing)} ({counts}): how this language sounds there cannot be learned, "
            "and the score says nothing about it. Record as many as of the others."
        )
    if few:
        found.append(
            f"Fewer than half as many clips of {' and of '.join(few)} as of another emotion ({counts}): what is rare "
            "is predicted too seldom. Record more of it, or give fewer of the others."
        )
    return found


def _unknown_speakers(speakers: np.ndarray, *, voice: bool) -> list[str]:
    unknown = int((speakers == UNKNOWN_SPEAKER).sum())
    if not unknown:
        return []
    of = "any clip" if unknown == len(speakers) else f"{unknown:,} of {count(len(speakers))}"
    worth = ""
    if voice:
        worth = (
            f" Nothing that you can tell is worth more: {_WORTH}. For a voice that says several emotions is heard by "
            "what is loud and high for this voice."
        )
    return [
        f"It is not known who speaks in {of}. Put each speaker's clips into a folder of his or her own, inside the "
        f"emotions' folders, fill the CSV's column speaker, or give --speaker_pattern.{worth} And the same voice may "
        "be learned and scored, so that the score is better than for voices that the model has not heard."
    ]


def _speakers(labels: np.ndarray, speakers: np.ndarray, emotions: Sequence[str]) -> list[str]:
    names = np.unique(speakers)
    if UNKNOWN_SPEAKER in names:
        return []
    if len(names) == 1:
        return [
            f"All {count(len(speakers))} are of one speaker, {names[0]}: how well the model does with other voices "
            "cannot be known; probably worse. Add clips of other people."
        ]
    says = one_emotion_speakers(labels, speakers, len(emotions))
    if says is None:
        return []
    return [
        f"{says.single} of the {says.repeated} speakers with several clips say one emotion only: the voice tells the "
        "emotion, and a model that knows these voices and nothing of emotions may score as well. Record each speaker "
        "in every emotion; until then do not trust the score for new speakers."
    ]


def _cut(clips: Sequence[Clip], files: np.ndarray, whole: bool) -> list[str]:
    cut = files[[not whole and _cut_off(clip) >= _CUT_SECONDS for clip in clips]]
    if not len(cut):
        return []
    return [
        f"{count(len(cut))} in which somebody still speaks after {_LEARNED_SECONDS:.2f} s: {named(cut)}. Only what "
        "is before is learned and scored. Cut them so that the part with the emotion comes first."
    ]


def _cut_off(clip: Clip) -> float:
    """Return seconds of speech behind the first window."""
    late = clip.frames[MAX_FRAMES:, 0]
    return HOP_SECONDS * int((late > clip.frames[:, 0].max() - _CUT_DB).sum())
