"""What a folder of one's own says of its recordings, by its folders' names or a table. See README.md beside this file.

The builder prepares a corpus by these rules; labelled_files.py reads clips by them, without TFDS.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import NamedTuple

from metaser_jax.data.corpus import UNKNOWN_SPEAKER
from metaser_jax.datasets import recordings
from metaser_jax.datasets.files import CorpusFile
from metaser_jax.datasets.folder import proposals, table, voices
from metaser_jax.datasets.folder.table import Row, Table
from metaser_jax.datasets.names import without_copy_marks
from metaser_jax.datasets.recordings import (
    Excluded,
    Left,
    Listing,
    Parsed,
    Unknown,
    by_suffix,
    not_read,
    without_copies,
)
from metaser_jax.emotions import EMOTIONS
from metaser_jax.errors import InputError
from metaser_jax.specs.labelling import Labelling, compiled, plain

_EXPECTED = f"expected one of: {', '.join(EMOTIONS)}, or a usual other name such as anger or happiness"

Said = Parsed | Excluded | Unknown
Pairs = Sequence[tuple[CorpusFile, Said]]


class Found(NamedTuple):
    """Hold what is said of a folder's recordings.

    Attributes:
      pairs: every audio file, and what is known of it.
      copies: recordings left out because they are byte-identical to one of the same name.
      notes: sentences for the user.
      language: if a table says it.
    """

    pairs: Pairs
    copies: tuple[Left, ...]
    notes: tuple[str, ...]
    language: str | None


class Rules(NamedTuple):
    """How a folder is understood.

    Attributes:
      place: the folder's name, which archives of it repeat.
      how: what its owner says of it.
      formats: suffixes of the recordings that are read. other_audio: of those that are named as not read.
    """

    place: str
    how: Labelling
    formats: tuple[str, ...]
    other_audio: tuple[str, ...]

    def said(self, found: Sequence[CorpusFile], listed: Table | None = None) -> Found:
        """Return what a table says of the recordings, or else their folders.

        Args: found: all files. listed: the table, if it is known already.

        Raises:
          InputError: two tables; one that cannot be read; no recording says its emotion; who speaks must be asked.
        """
        listed = listed or table.find(found, self.place, self.how)
        if listed is not None:
            pairs, copies = list(self._by_table(listed, found)), ()
        else:
            pairs, copies = self._by_folders(found)
        self._check_any(pairs, found, listed)
        notes = [*voices.notes([(PurePath(one.file), said) for one, said in pairs if isinstance(said, Parsed)])]
        if listed is None:
            notes += [f"{way}." for way in proposals.of_tables(found)]
        return Found(pairs, copies, tuple(notes), listed.language if listed else None)

    def parse(self, path: PurePath) -> Said:
        """Return what a path says by itself; its folders but the emotion's are taken for the speaker."""
        said = self._emotion(path)
        if not isinstance(said, Parsed):
            return said
        if self.how.speaker_pattern is not None:
            speaker = self._by_pattern(path)
            return said._replace(speaker=speaker) if speaker else self._no_speaker()
        if self.how.speakers in ("one", "unknown"):
            return said._replace(speaker=UNKNOWN_SPEAKER if self.how.speakers == "unknown" else "one")
        return said._replace(speaker=said.speaker or UNKNOWN_SPEAKER)

    def _by_table(self, listed: Table, found: Sequence[CorpusFile]) -> Iterator[tuple[CorpusFile, Said]]:
        """Yield every recording that a table lists or that is in the folder, and what the table says of it."""
        audio = [one for one in found if one.relative.suffix.lower() in self.other_audio + self.formats]
        source_of = table.sources(listed, found, audio)
        for row, source in zip(listed.rows, source_of, strict=True):
            if source is None:
                yield CorpusFile(row.file, Path(row.file), None, 0), Unknown(table.missing(row, listed, audio))
            elif source.relative.suffix.lower() not in self.formats:
                yield source, not_read(source, self.formats)
            else:
                yield source, self._listed(row)
        taken = {id(source) for source in source_of}
        for one in audio:
            if id(one) not in taken:
                yield one, Excluded(f"{listed.name} does not list it")

    def _by_folders(self, found: Sequence[CorpusFile]) -> tuple[Pairs, tuple[Left, ...]]:
        pairs = list(by_suffix(found, self.formats, self.parse, self.other_audio))
        pairs, copies = without_copies(
            pairs, lambda one, said: (plain(without_copy_marks(one.relative.stem)), said.label)
        )
        if self.how.speaker_pattern is None and self.how.speakers == "auto":
            at = [i for i, (_, said) in enumerate(pairs) if isinstance(said, Parsed)]
            named = [(pairs[i][0].relative, self._folders(pairs[i][0].relative)) for i in at]
            for i, speaker in zip(at, voices.of_folders(self.place, named), strict=True):
                pairs[i] = (pairs[i][0], pairs[i][1]._replace(speaker=speaker))
        return pairs, copies

    def _emotion(self, path: PurePath) -> Parsed | Unknown:
        """Return the emotion, with the folders that are not part of it as speaker."""
        pattern = compiled("emotion_pattern", self.how.emotion_pattern, "")
        folders = _below(path, self.place)
        if pattern is None:
            words = [folder for folder in folders if self.how.emotion(folder)]
            if len(words) != 1:
                found = "several emotions" if words else "no known emotion"
                return Unknown(f"{found} in the folders {'/'.join(folders)!r}, {_EXPECTED}", not words)
        else:
            match = pattern.search(path.as_posix())
            words = [_group(match, "emotion")] if match else []
            if not words or self.how.emotion(words[0]) is None:
                said = f"finds {words[0]!r}, {_EXPECTED}" if words else "finds no emotion in the path"
                return Unknown(f"--emotion_pattern={pattern.pattern!r} {said}. --map says what other words mean", True)
        return Parsed("/".join(self._folders(path)), words[0], self.how.emotion(words[0]) or "")

    def _folders(self, path: PurePath) -> tuple[str, ...]:
        """Return a path's folders that do not name its emotion."""
        pattern = compiled("emotion_pattern", self.how.emotion_pattern, "")
        folders = _below(path, self.place)
        if pattern is None:
            return tuple(folder for folder in folders if not self.how.emotion(folder))
        match = pattern.search(path.as_posix())
        group = match and _group(match, "emotion")
        return tuple(folder for folder in folders if not group or group not in folder)

    def _listed(self, row: Row) -> Said:
        label = self.how.emotion(row.emotion)
        if label is None:
            return Unknown(f"unknown emotion {row.emotion!r}, {_EXPECTED}. --map says what other words mean", True)
        if row.speaker:
            return Parsed(row.speaker, row.emotion, label)
        if self.how.speaker_pattern is None:
            return Parsed("one" if self.how.speakers == "one" else UNKNOWN_SPEAKER, row.emotion, label)
        speaker = self._by_pattern(PurePath(row.file))
        return Parsed(speaker, row.emotion, label) if speaker else self._no_speaker()

    def _by_pattern(self, path: PurePath) -> str | None:
        pattern = compiled("speaker_pattern", self.how.speaker_pattern, "")
        match = pattern and pattern.search(path.as_posix())
        return _group(match, "speaker") if match else None

    def _no_speaker(self) -> Unknown:
        return Unknown(f"--speaker_pattern={self.how.speaker_pattern!r} finds no speaker in the path")

    def _check_any(self, pairs: Pairs, found: Sequence[CorpusFile], listed: Table | None) -> None:
        """Raise an InputError that proposes flags, where not one recording says its emotion."""
        failed = [one for one, said in pairs if isinstance(said, Unknown) and said.no_emotion]
        others = [said for _, said in pairs if isinstance(said, Parsed | Unknown)]
        if failed and len(failed) == len(others):
            raise InputError(proposals.message(self, failed, found, listed))


def _below(path: PurePath, place: str) -> tuple[str, ...]:
    """Return the folders of a path, without those at its start that an archive or a copy of the folder repeats."""
    folders = path.parts[:-1]
    while folders and plain(folders[0]) == plain(place):
        folders = folders[1:]
    return folders


def _group(match: re.Match[str], name: str) -> str:
    """Return the group of that name, or the first, or all; "" where the group took no part."""
    return (match[name] if name in match.groupdict() else match[min(1, len(match.groups()))]) or ""


def key(path: PurePath, parsed: Parsed) -> str:
    """Return what no two recordings have in common.

    Angry/1.wav and sad/1.wav are two recordings, angry/1.mp3 is the first.
    """
    return path.with_suffix("").as_posix()


def listed(place: str, found: Found) -> Listing:
    """Return the listing of what is said of a folder. Raises InputError as recordings.listing."""
    listing = recordings.listing(place, found.pairs, key)
    copies = tuple(sorted({*listing.copies, *found.copies}))
    return listing._replace(copies=copies, notes=found.notes, language=found.language)
