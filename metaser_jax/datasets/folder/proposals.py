"""Flags that would read a folder of which no recording says its emotion."""

import dataclasses
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING

from metaser_jax.datasets.files import CorpusFile
from metaser_jax.datasets.folder import table
from metaser_jax.datasets.folder.table import Table
from metaser_jax.datasets.recordings import Parsed
from metaser_jax.emotions import emotion_named
from metaser_jax.specs.labelling import Labelling

if TYPE_CHECKING:
    from metaser_jax.datasets.folder.listing import Rules

_SHOWN = 3
_MOST_WORDS = 15
_EXPECTED = (
    "expected a folder for each emotion, named angry, happy, neutral, sad or by a usual other name such as anger; or a "
    "table, labels.csv, with the columns path, emotion, and if known speaker"
)


def message(rules: "Rules", failed: Sequence[CorpusFile], found: Sequence[CorpusFile], listed: Table | None) -> str:
    """Return what was expected, three names, and the flags that would read more.

    Args: rules: that failed. failed: the recordings, 1 or more. found: all files. listed: the table, if there is one.
    """
    shown = ", ".join(map(str, failed[:_SHOWN])) + (", ..." if len(failed) > _SHOWN else "")
    if listed is not None:
        lines = [f"{rules.place}: of its {len(failed)} recordings {listed.name} says no known emotion: {shown}."]
        words = Counter(row.emotion for row in listed.rows)
        ways = list(_of_words(words, rules.how)) if words else []
    else:
        what = f"none of its {len(failed)} recordings says" if len(failed) > 1 else "its only recording does not say"
        lines = [f"{rules.place}: {what} an emotion: {shown}; {_EXPECTED}."]
        ways = [*_of_pattern(rules, failed), *_of_folders(rules, failed), *of_tables(found)]
    if ways:
        lines += ["This would read them:", *(f"  {way}" for way in ways)]
    else:
        lines.append(
            "If the names say it in another way, give --emotion_pattern, a regular expression that finds the emotion's "
            "word in a path, and --map, what the words mean, e.g. --emotion_pattern='_([A-Z])_' --map=A=angry,H=happy."
        )
    return "\n".join(lines)


def _of_pattern(rules: "Rules", failed: Sequence[CorpusFile]) -> Iterator[str]:
    """Yield --emotion_pattern, where paths have a word for exactly one emotion in them."""
    if rules.how.emotion_pattern is not None:
        return
    said = {one.file: _words(one.relative) for one in failed}
    certain = {file: words for file, words in said.items() if len({emotion_named(word) for word in words}) == 1}
    words = sorted({word for words in certain.values() for word in words})
    if not words:
        return
    for pattern in (f"(?i)({'|'.join(words)})", f"(?i)(?<![a-z])({'|'.join(words)})(?![a-z])"):
        how = dataclasses.replace(rules.how, emotion_pattern=pattern)
        read = [rules._replace(how=how).parse(PurePath(file)) for file in certain]
        right = [emotion_named(words[0]) for words in certain.values()]
        if all(isinstance(one, Parsed) and one.label == label for one, label in zip(read, right, strict=True)):
            yield f"--emotion_pattern='{pattern}'   {_counted(Counter(right))}, of {len(failed)}"
            return


def _of_folders(rules: "Rules", failed: Sequence[CorpusFile]) -> Iterator[str]:
    """Yield --map for the folders, of the first level with some names that hold several recordings each."""
    unread = [one.relative for one in failed if not _words(one.relative)]
    depth = min((len(path.parts) - 1 for path in unread), default=0)
    for i in range(depth):
        names = Counter(path.parts[i] for path in unread)
        if 1 < len(names) <= _MOST_WORDS and min(names.values()) > 1:
            yield from _of_words(names, rules.how)
            return


def _of_words(words: Counter[str], how: Labelling) -> Iterator[str]:
    strange = {word: n for word, n in words.items() if how.emotion(word) is None}
    if strange:
        shown = ",".join(f"{word}=EMOTION" for word in list(strange)[:_MOST_WORDS])
        yield f"--map={shown}   with one of angry, happy, neutral, sad ... for each ({_counted(Counter(strange))})"


def of_tables(found: Sequence[CorpusFile]) -> Iterator[str]:
    """Yield --columns for each table that is there and is not read."""
    for one in found:
        if one.relative.suffix.lower() in table.SUFFIXES and (columns := table.columns(one)):
            yield (
                f"--columns=path=COLUMN,emotion=COLUMN   if {one} lists the recordings; its columns: "
                f"{', '.join(columns[:_MOST_WORDS])}"
            )


def _words(path: PurePath) -> list[str]:
    """Return the words for emotions in a path, in lower case."""
    return [word.lower() for word in re.findall(r"[^\W\d_]+", path.as_posix()) if emotion_named(word)]


def _counted(values: Counter) -> str:
    return ", ".join(f"{name} {n}" for name, n in sorted(values.items())[:_MOST_WORDS])
