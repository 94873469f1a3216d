"""Flags that would read a folder of which no recording says its emotion."""

import dataclasses
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePath

from metaser_jax.datasets.files import CorpusFile
from metaser_jax.datasets.folder import tables
from metaser_jax.datasets.folder.tables import Table
from metaser_jax.datasets.recordings import Parsed, Said
from metaser_jax.emotions import emotion_named
from metaser_jax.specs.labelling import Labelling

_SHOWN = 3
_MOST_WORDS = 15
_EXPECTED = (
    "expected a folder for each emotion, named angry, happy, neutral, sad or by a usual other name such as anger; or a "
    "table, labels.csv, with the columns path, emotion, and if known speaker"
)

ParserOf = Callable[[Labelling], Callable[[PurePath], Said]]


def message(
    place: str,
    how: Labelling,
    failed: Sequence[CorpusFile],
    found: Sequence[CorpusFile],
    table: Table | None,
    parser: ParserOf,
) -> str:
    """Return what was expected, three names, and the flags that would read more.

    Args:
      place: the folder's name.
      how: what its owner says of it.
      failed: its recordings, 1 or more.
      found: all its files.
      table: that lists them, if there is one.
      parser: what would be said of it -> what a path says then.
    """
    shown = ", ".join(map(str, failed[:_SHOWN])) + (", ..." if len(failed) > _SHOWN else "")
    if table is not None:
        lines = [f"{place}: of its {len(failed)} recordings {table.name} says no known emotion: {shown}."]
        ways = list(_of_words(Counter(row.emotion for row in table.rows), how))
    else:
        what = f"none of its {len(failed)} recordings says" if len(failed) > 1 else "its only recording does not say"
        lines = [f"{place}: {what} an emotion: {shown}; {_EXPECTED}."]
        ways = [*_of_pattern(how, failed, parser), *_of_folders(how, failed), *of_tables(found)]
    if ways:
        lines += ["This would read them:", *(f"  {way}" for way in ways)]
    else:
        lines.append(
            "If the names say it in another way, give --emotion_pattern, a regular expression that finds the emotion's "
            "word in a path, and --map, what the words mean, e.g. --emotion_pattern='_([A-Z])_' --map=A=angry,H=happy."
        )
    return "\n".join(lines)


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
        if 1 < len(names) <= _MOST_WORDS and min(names.values()) > 1:
            yield from _of_words(names, how)
            return


def _of_words(words: Counter[str], how: Labelling) -> Iterator[str]:
    strange = {word: n for word, n in words.items() if how.emotion(word) is None}
    if strange:
        shown = ",".join(f"{word}=EMOTION" for word in list(strange)[:_MOST_WORDS])
        yield f"--map={shown}   with one of angry, happy, neutral, sad ... for each ({_counted(Counter(strange))})"


def of_tables(found: Sequence[CorpusFile]) -> Iterator[str]:
    """Yield --columns for each table that is there and is not read."""
    for one in found:
        if one.relative.suffix.lower() in tables.SUFFIXES and (columns := tables.columns(one)):
            yield (
                f"--columns=path=COLUMN,emotion=COLUMN   if {one} lists the recordings; its columns: "
                f"{', '.join(columns[:_MOST_WORDS])}"
            )


def _words(path: PurePath) -> list[str]:
    """Return the words for emotions in a path, in lower case."""
    return [word.lower() for word in re.findall(r"[^\W\d_]+", path.as_posix()) if emotion_named(word)]


def _counted(values: Counter) -> str:
    return ", ".join(f"{name} {n}" for name, n in sorted(values.items())[:_MOST_WORDS])
