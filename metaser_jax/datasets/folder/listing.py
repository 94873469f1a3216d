"""The recordings in a folder of one's own, by its folders' names or a table. See README.md beside this file.

The builder prepares a corpus by these rules; labelled_files.py reads clips by them, without TFDS.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import NamedTuple

from metaser_jax.audio.containers import RECORDINGS, SUFFIXES
from metaser_jax.audio.formats import is_installed
from metaser_jax.data.corpus import UNKNOWN_SPEAKER
from metaser_jax.datasets import recordings
from metaser_jax.datasets.files import CorpusFile
from metaser_jax.datasets.folder import proposals, tables, voices
from metaser_jax.datasets.folder.tables import Table
from metaser_jax.datasets.recordings import Excluded, Left, Listing, Pairs, Parsed, Said, Unknown
from metaser_jax.emotions import EMOTIONS
from metaser_jax.errors import InputError
from metaser_jax.specs.labelling import Labelling, compiled, plain

_EXPECTED = f"expected one of: {', '.join(EMOTIONS)}, or a usual other name such as anger or happiness"


class Rules(NamedTuple):
    """Rules by which a folder is read.

    Attributes:
      place: the folder's name, which archives of it repeat.
      how: what its owner says of it.
    """

    place: str
    how: Labelling

    def listing(self, where: str, found: Sequence[CorpusFile], table: Table | None = None) -> Listing:
        """Return the recordings, as a table says, or else their folders.

        Args: where: the folder, for messages. found: all files. table: that lists them, if it is known already.

        Raises:
          InputError: two tables; one that cannot be read; no recording says its emotion; who speaks must be asked; two
            recordings that differ are called the same.
        """
        table = table or tables.find(found, self.place, self.how)
        if table is not None:
            pairs, copies = list(self._by_table(table, found)), ()
        else:
            pairs, copies = self._by_folders(found)
        failed = [one for one, said in pairs if isinstance(said, Unknown) and said.no_emotion]
        if failed and len(failed) == sum(not isinstance(said, Excluded) for _, said in pairs):
            raise InputError(
                proposals.message(self.place, self.how, failed, found, table, lambda how: Rules(self.place, how).parse)
            )
        notes = voices.notes([(PurePath(one.file), said) for one, said in pairs if isinstance(said, Parsed)])
        if table is None:
            notes += [f"{way}." for way in proposals.of_tables(found)]
        listed = recordings.listing(where, pairs, key)
        return listed._replace(
            copies=tuple(sorted([*listed.copies, *copies])),
            notes=tuple(notes),
            language=table.language if table else None,
        )

    def parse(self, path: PurePath) -> Said:
        """Return what a path says by itself; its folders but the emotion's are taken for the speaker."""
        words, others = self._folders(path)
        pattern = self.how.emotion_pattern
        if pattern is None and len(words) != 1:
            found = "several emotions" if words else "no known emotion"
            return Unknown(f"{found} in the folders {'/'.join(_below(path, self.place))!r}, {_EXPECTED}", not words)
        label = self.how.emotion(words[0]) if words else None
        if label is None:
            finds = f"finds {words[0]!r}, {_EXPECTED}" if words else "finds no emotion in the path"
            return Unknown(f"--emotion_pattern={pattern!r} {finds}. --map says what other words mean", True)
        return self._spoken(path, words[0], label, "/".join(others))

    def _folders(self, path: PurePath) -> tuple[list[str], list[str]]:
        """Return the words for emotions in a path, and its folders that are none."""
        folders = _below(path, self.place)
        pattern = compiled("emotion_pattern", self.how.emotion_pattern, "")
        if pattern is None:
            words = [folder for folder in folders if self.how.emotion(folder)]
            return words, [folder for folder in folders if folder not in words]
        match = pattern.search(path.as_posix())
        word = _group(match, "emotion") if match else ""
        return [word] if match else [], [folder for folder in folders if not word or word not in folder]

    def _spoken(self, path: PurePath, emotion: str, label: str, speaker: str) -> Parsed | Unknown:
        """Return a recording with its speaker: as the options say, or else the given one."""
        pattern = compiled("speaker_pattern", self.how.speaker_pattern, "")
        if pattern is not None:
            match = pattern.search(path.as_posix())
            speaker = _group(match, "speaker") if match else ""
            if not speaker:
                return Unknown(f"--speaker_pattern={pattern.pattern!r} finds no speaker in the path")
        elif self.how.speakers in ("one", "unknown"):
            speaker = {"one": "one", "unknown": UNKNOWN_SPEAKER}[self.how.speakers]
        return Parsed(speaker or UNKNOWN_SPEAKER, emotion, label)

    def _by_table(self, table: Table, found: Sequence[CorpusFile]) -> Iterator[tuple[CorpusFile, Said]]:
        """Yield every recording that a table lists or that is in the folder, and what the table says of it."""
        audio = [one for one in found if one.relative.suffix.lower() in RECORDINGS]
        source_of, formats = tables.sources(table, found, audio), suffixes()
        for row, source in zip(table.rows, source_of, strict=True):
            label = self.how.emotion(row.emotion)
            if source is None:
                yield CorpusFile(row.file, Path(row.file), None, 0), Unknown(tables.missing(row, table, audio))
            elif source.relative.suffix.lower() not in formats:
                yield source, recordings.not_read(source, formats)
            elif label is None:
                unknown = f"unknown emotion {row.emotion!r}, {_EXPECTED}. --map says what other words mean"
                yield source, Unknown(unknown, True)
            elif row.speaker:
                yield source, Parsed(row.speaker, row.emotion, label)
            else:
                yield source, self._spoken(PurePath(row.file), row.emotion, label, "")
        taken = {id(source) for source in source_of}
        for one in audio:
            if id(one) not in taken:
                yield one, Excluded(f"{table.name} does not list it")

    def _by_folders(self, found: Sequence[CorpusFile]) -> tuple[Pairs, tuple[Left, ...]]:
        pairs, copies = recordings.without_copies(
            list(recordings.by_suffix(found, suffixes(), self.parse)),
            lambda one, said: (plain(recordings.without_copy_marks(one.relative.stem)), said.label),
        )
        if self.how.speaker_pattern is None and self.how.speakers == "auto":
            at = [i for i, (_, said) in enumerate(pairs) if isinstance(said, Parsed)]
            paths = [pairs[i][0].relative for i in at]
            speakers = voices.of_folders(self.place, [(path, tuple(self._folders(path)[1])) for path in paths])
            for i, speaker in zip(at, speakers, strict=True):
                pairs[i] = (pairs[i][0], pairs[i][1]._replace(speaker=speaker))
        return pairs, copies


def suffixes() -> tuple[str, ...]:
    """Return the suffixes of recordings that can be read here: with the extra `formats` all of them."""
    return RECORDINGS if is_installed() else SUFFIXES


def key(path: PurePath, parsed: Parsed) -> str:
    """Return what no two recordings have in common: angry/1.wav and sad/1.wav are two, angry/1.mp3 is the first."""
    return path.with_suffix("").as_posix()


def _below(path: PurePath, place: str) -> tuple[str, ...]:
    """Return the folders of a path, without those at its start that an archive or a copy of the folder repeats."""
    folders = path.parts[:-1]
    while folders and plain(folders[0]) == plain(place):
        folders = folders[1:]
    return folders


def _group(match: re.Match[str], name: str) -> str:
    """Return the group of that name, or the first, or all; "" where the group took no part."""
    return (match[name] if name in match.groupdict() else match[min(1, len(match.groups()))]) or ""
