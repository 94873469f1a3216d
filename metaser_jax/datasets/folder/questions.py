"""Questions about a folder of one's own: who speaks and where the emotions are, with the flags that answer them.

A folder that is no emotion may be a speaker, but as well a wrapper, a part of a split, an intensity, a sex or a
session. Taken for a speaker, it puts one person on both sides of a split by speaker, unnoticed; so it is asked.
"""

import dataclasses
import itertools
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import PurePath

import numpy as np

from metaser_jax.data.corpus import UNKNOWN_SPEAKER
from metaser_jax.datasets.files import CorpusFile
from metaser_jax.datasets.recordings import Parsed, Said
from metaser_jax.emotions import emotion_named
from metaser_jax.errors import InputError
from metaser_jax.specs.labelling import Labelling, plain

ParserOf = Callable[[Labelling], Callable[[PurePath], Said]]

LISTED = 15
_SPLITS = {"train", "training", "test", "testing", "valid", "validation", "val", "dev", "eval", "evaluation", "devel"}
_NAMES_TOO = {"dev", "val"}  # a part of a split beside others of them, and a person's name elsewhere
_SEXES = {"male", "female", "males", "females", "man", "woman", "men", "women", "boys", "girls"}
_INTENSITIES = {"normal", "strong", "weak", "low", "medium", "mid", "middle", "high", "loud", "soft", "mild", "intense"}
_SESSION = re.compile(r"(session|ses|sess|day|take|part|round|recording|rec|disc|disk|cd|set|batch|chapter)[ _-]?\d+")
_MOST_FIELDS = 2
# So many of what may be speakers say several emotions.
_SEVERAL = 0.8
_FIELD = "[^/_. -]+"
_GAP = "[_. -]+"


def speakers(place: str, named: Sequence[tuple[PurePath, tuple[str, ...]]]) -> list[str]:
    """Return the speaker of each recording: its folders that not all share; UNKNOWN_SPEAKER where it has none.

    Args: place: for messages. named: of each recording its path, and its folders that are no emotion.

    Raises:
      InputError: the folders may be something else than people; the message says how to decide.
    """
    if not any(folders for _, folders in named):
        return [UNKNOWN_SPEAKER] * len(named)
    shared = set.intersection(*(set(folders) for _, folders in named))
    inner = [tuple(folder for folder in folders if folder not in shared) for _, folders in named]
    if any(inner):
        why = _no_people(inner) or _crossed(inner)
    else:
        names = "/".join(dict.fromkeys(folder for folder in named[0][1] if folder in shared))
        why = f"all {len(named)} recordings are in {names!r}, which is one speaker, or only a folder around them"
    if not why:
        return ["/".join(folders) or UNKNOWN_SPEAKER for folders in inner]
    paths = [path for path, _ in named]
    patterns = {}
    for i in range(min(len(path.parts) - 1 for path in paths)):
        values = Counter(path.parts[i] for path in paths)
        if len(values) > 1 and all(path.parts[i] in folders for path, folders in named):
            patterns[f"^{f'(?:[^/]+/){{{i}}}' * (i > 0)}(?P<speaker>[^/]+)/"] = values
    patterns |= _fields(paths)
    lines = [
        f"{place}: who speaks is not clear: {why}. Say it by one of these:",
        *(f"  --speaker_pattern='{pattern}'   {_counted(values)}" for pattern, values in patterns.items()),
        f"  --speakers=folders   {_counted(Counter('/'.join(folders) for _, folders in named))}",
        "  --speakers=one   all recordings are of one person",
        "  --speakers=unknown   it is not known; a split by speaker is then not possible",
    ]
    raise InputError("\n".join(lines))


def notes(recordings: Sequence[tuple[PurePath, Parsed]]) -> list[str]:
    """Return who speaks, for people to check, and what in the file names may be a speaker where nobody is known."""
    names = Counter(parsed.speaker for _, parsed in recordings)
    unknown = names.pop(UNKNOWN_SPEAKER, 0)
    if names:
        also = f"; of {unknown} the speaker is not known" if unknown else ""
        return [f"{len(names)} speaker{'s' * (len(names) != 1)}: {_counted(names)}{also}."]
    found = _fields([path for path, _ in recordings], [parsed.label for _, parsed in recordings])
    each = "; or ".join(f"--speaker_pattern='{pattern}' finds {_counted(values)}" for pattern, values in found.items())
    start = "Who speaks is not known, and a split by speaker not possible. If the file names say it:"
    return [f"{start} {each}."] if each else []


def emotions_of_table(place: str, how: Labelling, failed: Sequence[CorpusFile], words: Counter[str]) -> InputError:
    """Return the error of a table of which no recording says a known emotion, with the --map that it needs."""
    said = f"{place} says no known emotion of its {len(failed)} recordings: {_some(failed)}."
    return _proposing(said, list(_of_words(words, how)))


def emotions_of_folder(
    place: str, how: Labelling, failed: Sequence[CorpusFile], ways: Sequence[str], parser: ParserOf
) -> InputError:
    """Return the error of a folder of which no recording says its emotion, with the flags that would read more.

    Args:
      place: the folder's name.
      how: what its owner says of it.
      failed: its recordings, 1 or more.
      ways: further flags that would.
      parser: what would be said of it -> what a path says then.
    """
    said = (
        f"{place}: none of its {len(failed)} recordings says an emotion: {_some(failed)}; expected a folder for each "
        "emotion, named angry, happy, neutral, sad or the like, or labels.csv with the columns path and emotion."
    )
    return _proposing(said, [*_of_pattern(how, failed, parser), *_of_folders(how, failed), *ways])


def _proposing(said: str, ways: Sequence[str]) -> InputError:
    if ways:
        return InputError("\n".join([said, "This would read them:", *(f"  {way}" for way in ways)]))
    return InputError(
        f"{said}\nIf the names say it in another way, give --emotion_pattern, a regular expression that finds the "
        "emotion's word in a path, and --map, what the words mean, e.g. --emotion_pattern='_([A-Z])_' "
        "--map=A=angry,H=happy."
    )


def _of_pattern(how: Labelling, failed: Sequence[CorpusFile], parser: ParserOf) -> Iterator[str]:
    """Yield --emotion_pattern, where paths have a word for exactly one emotion in them."""
    words_of = {one.relative: _words(one.relative) for one in failed}
    right = {path: {emotion_named(word) for word in words} for path, words in words_of.items()}
    right = {path: emotions.pop() for path, emotions in right.items() if len(emotions) == 1}
    words = "|".join(sorted({word for path in right for word in words_of[path]}))
    if not words or how.emotion_pattern is not None:
        return
    for pattern in (f"(?i)({words})", f"(?i)(?<![a-z])({words})(?![a-z])"):
        parse = parser(dataclasses.replace(how, emotion_pattern=pattern))
        said = {path: parse(path) for path in right}
        if all(isinstance(one, Parsed) and one.label == right[path] for path, one in said.items()):
            yield f"--emotion_pattern='{pattern}'   {_counted(Counter(right.values()))}, of {len(failed)}"
            return


def _of_folders(how: Labelling, failed: Sequence[CorpusFile]) -> Iterator[str]:
    """Yield --map for the folders, of the first level with some names that hold several recordings each."""
    unread = [one.relative for one in failed if not _words(one.relative)]
    depth = min((len(path.parts) - 1 for path in unread), default=0)
    for i in range(depth):
        names = Counter(path.parts[i] for path in unread)
        if 1 < len(names) <= LISTED and min(names.values()) > 1:
            yield from _of_words(names, how)
            return


def _of_words(words: Counter[str], how: Labelling) -> Iterator[str]:
    strange = {word: n for word, n in words.items() if how.emotion(word) is None}
    if strange:
        shown = ",".join(f"{word}=EMOTION" for word in list(strange)[:LISTED])
        yield f"--map={shown}   with one of angry, happy, neutral, sad ... for each ({_counted(Counter(strange))})"


def _words(path: PurePath) -> list[str]:
    """Return the words for emotions in a path, in lower case."""
    return [word.lower() for word in re.findall(r"[^\W\d_]+", path.as_posix()) if emotion_named(word)]


def _fields(paths: Sequence[PurePath], labels: Sequence[str] = ()) -> dict[str, Counter[str]]:
    """Return patterns for --speaker_pattern, and what they find: parts of the file names that may be speakers.

    A part may be one if it has some values, each in several recordings and, if labels are given, in several emotions.
    """
    number = min((len(re.findall(_FIELD, path.stem)) for path in paths), default=0)
    if number == 1:
        patterns = [r"(?:^|/)(?P<speaker>\d+)[^/]*$", r"(?:^|/)(?P<speaker>[A-Za-z]+\d*)[^/]*$"]
    else:
        before = ["", *(rf"(?:{_FIELD}{_GAP}){{{i}}}" for i in range(1, number))][:number]
        patterns = [rf"(?:^|/){skipped}(?P<speaker>{_FIELD})[^/]*$" for skipped in before]
    found = {}
    for pattern in patterns:
        matches = [re.search(pattern, path.as_posix()) for path in paths]
        values = [match["speaker"] for match in matches if match]
        if len(values) == len(paths) and _may_be_speakers(values, labels):
            found[pattern] = Counter(values)
    # Speakers are more than the emotions, sentences or repetitions that names count as well.
    return dict(sorted(found.items(), key=lambda one: -len(one[1]))[:_MOST_FIELDS])


def _may_be_speakers(values: Sequence[str], labels: Sequence[str]) -> bool:
    if not 2 <= len(set(values)) <= len(values) / 4:
        return False
    if len(set(labels)) < 2:
        return True
    pairs = set(zip(values, labels, strict=True))
    emotions = Counter(value for value, _ in pairs)
    # A running number of the files of each emotion occurs once in each.
    is_number = len(pairs) == len(values)
    return not is_number and float(np.mean([n > 1 for n in emotions.values()])) >= _SEVERAL


def _no_people(inner: Sequence[tuple[str, ...]]) -> str | None:
    """Return why folders are no people by their names, if they are not."""
    seen = {plain(folder) for folders in inner for folder in folders}
    splits, sexes = seen & _SPLITS, seen & _SEXES
    if len(splits) == 1 and splits <= _NAMES_TOO:
        splits = set()
    if not any(folders and all(plain(folder) in _SEXES for folder in folders) for folders in inner):
        sexes = set()
    for names, meaning in (
        (splits, "part of a split into train and test, and no speaker"),
        (seen & _INTENSITIES, "an intensity or a level, and no speaker"),
        ({folder for folder in seen if _SESSION.fullmatch(folder)}, "a session or a part, and no speaker"),
        (sexes, "a sex, of which there may be several speakers"),
    ):
        if names:
            return f"{_quoted(names)} {'is' if len(names) == 1 else 'are'} named as {meaning}"
    return None


def _crossed(inner: Sequence[tuple[str, ...]]) -> str | None:
    """Return why of two levels of folders one is no part of a speaker: the same folder lies in several others."""
    above: dict[str, set[str]] = {}
    for folders in inner:
        for outer, folder in itertools.pairwise(folders):
            above.setdefault(folder, set()).add(outer)
    for folder, outer in sorted(above.items()):
        if len(outer) > 1:
            return f"the folder {folder!r} is in {_quoted(outer)}, so one of the two is the speaker, or both together"
    return None


def _some(files: Sequence[CorpusFile]) -> str:
    return ", ".join(map(str, files[:3])) + (", ..." if len(files) > 3 else "")


def _counted(values: Counter) -> str:
    shown = ", ".join(f"{name or '(none)'} {n}" for name, n in sorted(values.items())[:LISTED])
    return shown + (f" and {len(values) - LISTED} more" if len(values) > LISTED else "")


def _quoted(names: Collection[str]) -> str:
    return " and ".join(repr(name) for name in sorted(names)[:LISTED])
