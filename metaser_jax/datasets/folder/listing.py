"""What a folder of one's own says of its recordings, by its folders' names or a CSV. See README.md beside this file.

The builder prepares a corpus by these rules; labelled.py reads clips by them, without TFDS.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import NamedTuple

from metaser_jax.data.corpus import UNKNOWN_SPEAKER
from metaser_jax.datasets.files import CorpusFile, named
from metaser_jax.datasets.folder.table import Row, Table, read_table
from metaser_jax.datasets.recordings import Excluded, Parsed, Unknown, not_read
from metaser_jax.emotions import EMOTIONS, emotion_named
from metaser_jax.errors import InputError

_EXPECTED = f"expected one of: {', '.join(EMOTIONS)}, or a usual other name such as anger or happiness"

Said = Parsed | Excluded | Unknown


class Rules(NamedTuple):
    """How a folder is understood.

    Attributes:
      place: the folder's name, which archives of it repeat.
      speaker_pattern: what finds the speaker in a path, if folders and the CSV do not say it.
      formats: suffixes of the recordings that are read. other_audio: of those that are named as not read.
    """

    place: str
    speaker_pattern: re.Pattern[str] | None
    formats: tuple[str, ...]
    other_audio: tuple[str, ...]

    def table(self, found: Sequence[CorpusFile]) -> Table | None:
        """Return the CSV that lists the recordings, if any. Raises InputError: there are two, or it cannot be read."""
        lists = [one for name in ("labels.csv", f"{self.place}.csv") for one in named(found, name)]
        if len(lists) > 1:
            raise InputError(f"{self.place}: {' and '.join(map(str, lists))} both list recordings. Keep one.")
        return read_table(lists[0]) if lists else None

    def said_by_table(self, table: Table, found: Sequence[CorpusFile]) -> Iterator[tuple[CorpusFile, Said]]:
        """Return every recording that a CSV lists or that is in the folder, and what the CSV says of it."""
        source_of_file = {one.file: one for one in found}
        for row in table.rows:
            source = source_of_file.pop(row.file, None) or row.on_disk
            if source is None:
                missing = CorpusFile(row.file, Path(row.file), None, 0)
                yield missing, Unknown(f"there is no such file; {table.name} lists it")
            elif source.relative.suffix.lower() not in self.formats:
                yield source, not_read(source, self.formats)
            else:
                yield source, self._listed(row)
        for one in source_of_file.values():
            if one.relative.suffix.lower() in self.other_audio + self.formats:
                yield one, Excluded(f"{table.name} does not list it")

    def said_by_folders(self, path: PurePath) -> Said:
        """Return what the folders of a file say: one is an emotion, the others, or the pattern, are the speaker."""
        folders = path.parts[:-1]
        if folders and folders[0].lower() == self.place.lower():
            folders = folders[1:]  # in an archive of the folder
        emotions = [folder for folder in folders if emotion_named(folder)]
        if len(emotions) != 1:
            found = "several emotions" if emotions else "no known emotion"
            return Unknown(f"{found} in the folders {'/'.join(folders)!r}, {_EXPECTED}")
        speaker = self._speaker(path, "/".join(folder for folder in folders if folder not in emotions))
        return Parsed(speaker, emotions[0], emotion_named(emotions[0])) if speaker else self._no_speaker()

    def _listed(self, row: Row) -> Said:
        label = emotion_named(row.emotion)
        if label is None:
            return Unknown(f"unknown emotion {row.emotion!r}, {_EXPECTED}")
        speaker = row.speaker or self._speaker(PurePath(row.file), "")
        return Parsed(speaker, row.emotion, label) if speaker else self._no_speaker()

    def _speaker(self, path: PurePath, by_folder: str) -> str | None:
        if self.speaker_pattern is None:
            return by_folder or UNKNOWN_SPEAKER
        match = self.speaker_pattern.search(path.as_posix())
        if match is None:
            return None
        return match["speaker"] if "speaker" in match.groupdict() else match[min(1, len(match.groups()))]

    def _no_speaker(self) -> Unknown:
        return Unknown(f"--speaker_pattern={self.speaker_pattern.pattern!r} finds no speaker in the path")


def compiled(pattern: str | None) -> re.Pattern[str] | None:
    """Return --speaker_pattern. Raises InputError: it is no regular expression, or empty."""
    try:
        if pattern == "":
            raise re.error("it is empty")
        return None if pattern is None else re.compile(pattern)
    except re.error as error:
        raise InputError(
            f"--speaker_pattern: got {pattern!r}, which is no regular expression ({error}). "
            r"Expected e.g. '(?P<speaker>spk\d+)_', searched for in each path below the folder."
        ) from error


def key(path: PurePath, parsed: Parsed) -> str:
    """Return what no two recordings have in common.

    Angry/1.wav and sad/1.wav are two recordings, angry/1.mp3 is the first.
    """
    return path.with_suffix("").as_posix()
