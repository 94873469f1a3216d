"""Labelled clips, as they are read, and warnings of what is wrong with them, or will make their score lie.

A warning says what was found, why it matters and what to do. The limits were chosen on RAVDESS, EMO-DB and URDU, so
that what is usual in good recordings causes none.

A model learns the easiest difference between classes. Where that is the speaker or the microphone, its score is good
and its predictions are worth nothing elsewhere.
"""

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from metaser_jax.audio.clips import HOP_SECONDS, MAX_FRAMES, Clip, read_all
from metaser_jax.audio.quality import SILENCE_DBFS, count, named, notes_of_all
from metaser_jax.data.corpus import UNKNOWN_SPEAKER, Corpus
from metaser_jax.data.embeddings import embeddings_for, name_below, rows_of
from metaser_jax.datasets.labelled_files import labelled_files
from metaser_jax.datasets.recordings import Left, Listing, bad_recordings, by_reason
from metaser_jax.errors import RecordingError
from metaser_jax.messages import MIN_FILES_FOR_BAR, progress_bar, say
from metaser_jax.specs import ModelSpec
from metaser_jax.specs.commands import AdaptConfig, EvaluateConfig

# Of what learning does not hear, so much is as loud as speech: within 20 dB of the loudest, in the mean level.
_CUT_SECONDS, _CUT_DB = 0.3, 20 * 128**0.5
# Of the pairs of clips with the same speaker, so many have the same emotion, and there are as many at least.
_SAME_EMOTION, _PAIRS = 0.6, 3
# A property tells so large a share of the labels more than guessing does; and no more than one of a hundred shufflings
# of the labels has as much mutual information with it.
_GAIN, _CHANCE, _SHUFFLINGS = 0.1, 0.01, 1000
# Every clip of one emotion is louder than every clip of another by so many dB; by more where people are.
_LOUDER_DB, _LOUDER_BY_EMOTION_DB, _MIN_CLIPS = 6.0, 20.0, 3
_LOUD_EMOTIONS = ("angry", "happy", "excited", "fear", "frustrated", "surprise")
_QUIET_EMOTIONS = ("sad", "boredom", "calm")


# What was found, why it matters and what to do.
_TEXTS = {
    "unknown speakers": "It is not known who speaks in {of}. Put each speaker's clips into a folder of his or her own, "
    "inside the emotions' folders, fill the CSV's column speaker, or give --speaker_pattern.{worth} And the same voice "
    "may be learned and scored, so that the score is better than for voices that the model has not heard.",
    # Mean of five corpora whose voices say all of their emotions: experiments/README.md, Normalisation.
    "worth": " Speaker labels are the most valuable thing you can add: pitch and loudness are then judged relative to "
    "each speaker's own voice. With five clips of each emotion, macro F1 was .64 without the speakers' names and .73 "
    "with them.",
    "two labels": "CONTRADICTION: {} labelled as more than one emotion: {}. At least one of the labels is wrong, and "
    "both are learned. Listen to them and remove the wrong copies.",
    "copies": "{} given more than once: {}. Copies teach nothing, and each counts once more in the score, whose "
    "interval is then too narrow. Keep one of each.",
    "missing emotion": "No clip of {} ({}): how this language sounds there cannot be learned, and the score says "
    "nothing about it. Record as many as of the others.",
    "rare emotion": "Fewer than half as many clips of {} as of another emotion ({}): what is rare is predicted too "
    "seldom. Record more of it, or give fewer of the others.",
    "one speaker": "All {} are of one speaker, {}: how well the model does with other voices cannot be known; probably "
    "worse. Add clips of other people.",
    "telling speakers": "{} of the {} speakers with several clips say one emotion only: the voice tells the emotion, "
    "and a model that knows these voices and nothing of emotions may score as well. Record each speaker in every "
    "emotion; until then do not trust the score for new speakers.",
    "telling recorders": "{} goes with the emotion ({}): the model can learn the recorder in place of the emotion, and "
    "the score cannot tell the two apart. Record all emotions in the same way.",
    "telling loudness": "Every clip of {} is louder than every clip of {}, by {:.0f} dB or more: perhaps the "
    "microphone's level or distance and not the emotion, and the model can learn that. Record all emotions in the same "
    "way, in turns.",
    "cut": "{} in which somebody still speaks after {:.2f} s: {}. Only what is before is learned and scored. Cut them "
    "so that the part with the emotion comes first.",
}


def read_labelled(config: AdaptConfig | EvaluateConfig, settings: ModelSpec) -> tuple[Listing, list[Clip], list[Left]]:
    """Read the labelled clips of config.support, and say what is left out.

    Args: settings: of the network that is to hear them; the emotions that clips may be of are its.

    Returns:
      The listing with the recordings that could be read, these, and all files that were left out.

    Raises:
      InputError: there are none, or some that cannot be used, unless config.skip_bad.
    """
    listed = labelled_files(config.support, settings.emotions, config, config.skip_bad)
    for note in listed.notes:
        say(f"note: {note}")
    for line in by_reason(listed.left):
        say(f"left out: {line}")
    clips, bad = read_clips("--support", [(one.source, one.file) for one in listed.recordings], config, settings)
    read = listed._replace(recordings=tuple(listed.recordings[i] for i in clips))
    return read, list(clips.values()), [*listed.left, *bad]


def read_clips(
    flag: str, files: Sequence[tuple[Any, str]], config: AdaptConfig | EvaluateConfig, settings: ModelSpec
) -> tuple[dict[int, Clip], list[Left]]:
    """Return the clips that can be used, by number, and the others, which are told; files: each, and its name.

    Raises an InputError for those unless config.skip_bad.
    """
    clips, bad = {}, []
    vectors = embeddings_for(config.embeddings, settings, config.embeddings_name)
    if vectors is not None:
        place = getattr(config, flag.removeprefix("--"))
        rows = rows_of(vectors, [name_below(str(source), [place], vectors) for source, _ in files])
    results = read_all([source for source, _ in files], config.workers, features=settings.features)
    shown = len(files) >= MIN_FILES_FOR_BAR
    for i, one in enumerate(progress_bar(results, shown=shown, total=len(files), unit="recording")):
        if isinstance(one, RecordingError):
            bad.append(Left(files[i][1], one.listed))
        else:
            clips[i] = one if vectors is None else one._replace(vectors=rows[i])
    if (bad and not config.skip_bad) or not clips:
        raise bad_recordings(flag, bad, len(files))
    for line in by_reason(bad):
        say(f"left out: {line}")
    return clips, bad


def warnings_of(clips: Sequence[Clip], corpus: Corpus, *, whole: bool = False) -> list[str]:
    """Return warnings about labelled clips, the gravest first; none where nothing is wrong.

    Args:
      clips: [n], the recordings.
      corpus: [n], their labels, speakers and names.
      whole: whether learning hears all of a clip's voice, and not only its first 2.79 s.
    """
    return [
        *_find_unknown_speakers(corpus, whole),
        *_find_copies(clips, corpus),
        *_find_telling_labels(corpus),
        *_find_telling_recorders(clips, corpus),
        *_find_telling_loudness(clips, corpus),
        *notes_of_all(clips, corpus.file),
        *([] if whole else _find_cut(clips, corpus)),
    ]


def _find_unknown_speakers(corpus: Corpus, voice: bool) -> Iterator[str]:
    if unknown := int((corpus.speaker == UNKNOWN_SPEAKER).sum()):
        of = "any clip" if unknown == len(corpus) else f"{unknown:,} of {count(len(corpus))}"
        yield _TEXTS["unknown speakers"].format(of=of, worth=_TEXTS["worth"] if voice else "")


def _find_copies(clips: Sequence[Clip], corpus: Corpus) -> Iterator[str]:
    alike: dict[bytes, list[int]] = {}
    for i, clip in enumerate(clips):
        if clip.quality.loudness_db >= SILENCE_DBFS:  # silence is all alike
            alike.setdefault(hashlib.sha256(clip.frames.tobytes()).digest(), []).append(i)
    found: dict[str, list[str]] = {"two labels": [], "copies": []}
    for group in (group for group in alike.values() if len(group) > 1):
        if len(set(corpus.label[group])) > 1:
            names = [f"{corpus.file[i]} ({corpus.emotions[corpus.label[i]]})" for i in group]
            found["two labels"].append(" = ".join(names))
        else:
            found["copies"].append(" = ".join(corpus.file[group]))
    for text, groups in found.items():
        if groups:
            yield _TEXTS[text].format(count(len(groups), "recording"), named(groups))


def _find_telling_labels(corpus: Corpus) -> Iterator[str]:
    number = {emotion: int((corpus.label == e).sum()) for e, emotion in enumerate(corpus.emotions)}
    counts = ", ".join(f"{emotion} {n}" for emotion, n in number.items())
    if missing := [emotion for emotion, n in number.items() if n == 0]:
        yield _TEXTS["missing emotion"].format(" and none of ".join(missing), counts)
    if few := [emotion for emotion, n in number.items() if 0 < 2 * n < max(number.values())]:
        yield _TEXTS["rare emotion"].format(" and of ".join(few), counts)
    names = np.unique(corpus.speaker)
    if UNKNOWN_SPEAKER in names:
        return
    if len(names) == 1:
        yield _TEXTS["one speaker"].format(count(len(corpus)), names[0])
    elif says := one_emotion_speakers(corpus.label, corpus.speaker, len(corpus.emotions)):
        yield _TEXTS["telling speakers"].format(*says)


def one_emotion_speakers(labels: np.ndarray, speakers: np.ndarray, n_emotions: int) -> tuple[int, int] | None:
    """Return how many speakers say one emotion, of how many with several clips; None if voices do not tell it.

    Only speakers of several clips let it be known. It does where speakers say, on average, less than half of the
    emotions (as inputs.resolve counts), and clips of the same speaker mostly share one: a few clips of many speakers
    are few emotions of each by themselves.

    Args: labels: [n] int. speakers: [n] str.
    """
    of = {name: np.bincount(labels[speakers == name]) for name in np.unique(speakers)}
    says = np.mean([np.count_nonzero(of[name]) for name in speakers])
    same = sum(int((number * (number - 1) // 2).sum()) for number in of.values())
    pairs = sum(int(number.sum() * (number.sum() - 1) // 2) for number in of.values())
    if says >= n_emotions / 2 or pairs < _PAIRS or same < _SAME_EMOTION * pairs:
        return None
    repeated = [number for number in of.values() if number.sum() > 1]
    return sum(np.count_nonzero(number) == 1 for number in repeated), len(repeated)


def _find_telling_recorders(clips: Sequence[Clip], corpus: Corpus) -> Iterator[str]:
    for what, unit, values in (
        ("The sample rate", "{:,} Hz", np.array([clip.sample_rate for clip in clips])),
        ("The number of channels", "{}", np.array([clip.quality.channels for clip in clips])),
    ):
        if tells(values, corpus.label):
            each = []
            for value in np.unique(values).tolist():
                counts = corpus.take(values == value).counts()
                each.append(f"{unit.format(value)}: {', '.join(f'{n} {emotion}' for emotion, n in counts.items())}")
            yield _TEXTS["telling recorders"].format(what, "; ".join(each))


def tells(values: np.ndarray, labels: np.ndarray) -> bool:
    """Return whether a property [n] tells labels [n] int: better than guessing, and than of shuffled labels."""
    code, width = np.unique(values, return_inverse=True)[1], int(labels.max()) + 1

    def count_each(labels: np.ndarray) -> np.ndarray:  # [value, class]
        return np.bincount(code * width + labels, minlength=(int(code.max()) + 1) * width).reshape(-1, width)

    def information(table: np.ndarray) -> float:
        """Return the mutual information of rows and columns, up to what shuffling does not change."""
        return float(np.sum(table * np.log(np.maximum(table, 1))))

    table = count_each(labels)
    if len(table) < 2 or table.max(axis=1).sum() - table.sum(axis=0).max() < _GAIN * len(labels):
        return False
    rng, least = np.random.default_rng(0), information(table) - 1e-9
    as_good = sum(information(count_each(rng.permutation(labels))) >= least for _ in range(_SHUFFLINGS))
    return as_good < _CHANCE * _SHUFFLINGS


def _find_telling_loudness(clips: Sequence[Clip], corpus: Corpus) -> Iterator[str]:
    loudness = np.array([clip.quality.loudness_db for clip in clips])
    of = {e: loudness[(corpus.label == e) & np.isfinite(loudness)] for e in np.unique(corpus.label)}
    of = {corpus.emotions[e]: own for e, own in of.items() if len(own) >= _MIN_CLIPS}
    for loud, quiet in itertools.permutations(of, 2):
        gap = float(of[loud].min() - of[quiet].max())
        natural = loud in _LOUD_EMOTIONS or quiet in _QUIET_EMOTIONS
        if gap >= (_LOUDER_BY_EMOTION_DB if natural else _LOUDER_DB):
            yield _TEXTS["telling loudness"].format(loud, quiet, gap)


def _find_cut(clips: Sequence[Clip], corpus: Corpus) -> Iterator[str]:
    def speaks_on(clip: Clip) -> bool:
        late = clip.frames[MAX_FRAMES:, 0]
        return HOP_SECONDS * int((late > clip.frames[:, 0].max() - _CUT_DB).sum()) >= _CUT_SECONDS

    cut = corpus.file[[speaks_on(clip) for clip in clips]]
    if len(cut):
        yield _TEXTS["cut"].format(count(len(cut)), MAX_FRAMES * HOP_SECONDS, named(cut))
