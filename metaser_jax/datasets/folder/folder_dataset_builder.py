"""A corpus of one's own: a folder with a folder per emotion, or a CSV. See README.md beside this file."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from metaser_jax.corpus import UNKNOWN_SPEAKER
from metaser_jax.datasets import recordings
from metaser_jax.datasets.base import CorpusBuilder, Said
from metaser_jax.datasets.files import CorpusFile, files_below, named
from metaser_jax.datasets.folder.table import Row, Table, read_table
from metaser_jax.datasets.options import Options
from metaser_jax.datasets.recordings import Excluded, Listing, Parsed, Unknown
from metaser_jax.errors import InputError
from metaser_jax.labels import EMOTIONS, emotion_named

UNKNOWN_LANGUAGE = "unknown language"
_EXPECTED = f"expected one of: {', '.join(EMOTIONS)}, or a usual other name such as anger or happiness"


class Builder(CorpusBuilder):
    """folder/NAME: manual_dir/NAME/EMOTION/*.wav, manual_dir/NAME/labels.csv or manual_dir/NAME.csv."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "MFCC [120, 20] of a folder of recordings."}
    LICENSE = "That of the recordings."
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Put recordings into MANUAL_DIR/NAME/angry/, MANUAL_DIR/NAME/happy/ ..., or list them in MANUAL_DIR/NAME/labels.csv
    or MANUAL_DIR/NAME.csv, with the columns path, emotion, and if known speaker and language.
    """

    LAYOUT = "angry/clip1.wav"
    STEM_MEANS = "a folder per emotion, e.g. angry/clip1"
    EMOTION_OF_CODE: ClassVar = {emotion: (emotion, emotion) for emotion in EMOTIONS}
    FORMATS = (".wav", ".flac", ".mp3", ".ogg")
    LABELLED_BY_USER = True

    def __init__(self, *, config: str | tfds.core.BuilderConfig, options: Options | None = None, **kwargs: Any):
        """Args: config: NAME; others: CorpusBuilder's."""
        if isinstance(config, str):
            config = tfds.core.BuilderConfig(name=config, description=f"The recordings of {config}.")
        super().__init__(config=config, options=options, **kwargs)
        pattern = self.options.speaker_pattern
        try:
            self._speaker_pattern = None if pattern is None else re.compile(pattern)
            if pattern == "":
                raise re.error("it is empty")
        except re.error as error:
            raise InputError(
                f"--speaker_pattern: got {pattern!r}, which is no regular expression ({error}). "
                r"Expected e.g. '(?P<speaker>spk\d+)_', searched for in each path below the folder."
            ) from error

    @property
    def language(self) -> str:
        return self.options.language or UNKNOWN_LANGUAGE

    @property
    def place(self) -> str:
        return self.builder_config.name

    def key(self, path: PurePath, parsed: Parsed) -> str:
        return path.with_suffix("").as_posix()  # angry/1.wav and sad/1.wav are two recordings

    def listing(self, manual_dir: Path) -> Listing:
        wanted = f"{self.place}.csv".lower()
        tables = [path for path in manual_dir.glob("*") if path.name.lower() == wanted and path.is_file()]
        if not tables:
            return super().listing(manual_dir)
        # Its paths are seen from manual_dir, so the files of the folder are, too.
        found = [CorpusFile(path.name, path, None, path.stat().st_size) for path in sorted(tables)]
        folder = manual_dir / self.place
        if folder.is_dir():
            found += [one._replace(file=f"{self.place}/{one.file}") for one in files_below(folder)]
        return self._listing(found, " and ".join(map(str, tables)))

    def _listing(self, everything: Sequence[CorpusFile], place: str) -> Listing:
        table = self._table(everything)
        found = super()._listing(everything, place)
        if table is None or table.language is None:
            return found
        if self.options.language not in (None, table.language):
            raise InputError(
                f"--language={self.options.language!r}, but {place} says {table.language!r}. Leave the flag out, or "
                "correct the column language."
            )
        return found._replace(language=table.language)

    def _table(self, found: Sequence[CorpusFile]) -> Table | None:
        """The CSV that lists the recordings, if there is one."""
        lists = [one for name in ("labels.csv", f"{self.place}.csv") for one in named(found, name)]
        if len(lists) > 1:
            raise InputError(f"{self.corpus_name}: {' and '.join(map(str, lists))} both list recordings. Keep one.")
        return read_table(lists[0]) if lists else None

    def find(self, found: Sequence[CorpusFile]) -> Iterator[tuple[CorpusFile, Said]]:
        table = self._table(found)
        if table is None:
            yield from super().find(found)
            return
        source_of_file = {one.file: one for one in found}
        for row in table.rows:
            source = source_of_file.pop(row.file, None) or row.on_disk
            if source is None:
                missing = CorpusFile(row.file, Path(row.file), None, 0)
                yield missing, Unknown(f"there is no such file; {table.name} lists it")
            elif source.relative.suffix.lower() not in self.FORMATS:
                yield source, self.not_read(source)
            else:
                yield source, self._listed(row)
        for one in source_of_file.values():
            if one.relative.suffix.lower() in recordings.AUDIO_SUFFIXES:
                yield one, Excluded(f"{table.name} does not list it")

    def _listed(self, row: Row) -> Said:
        label = emotion_named(row.emotion)
        if label is None:
            return Unknown(f"unknown emotion {row.emotion!r}, {_EXPECTED}")
        speaker = row.speaker or self._speaker(PurePath(row.file), "")
        return Parsed(speaker, row.emotion, label) if speaker else self._no_speaker()

    def parse(self, path: PurePath, code_of_stem: Mapping[str, str] | None = None) -> Said:
        """What the folders of a file say: one is an emotion, the others, or --speaker_pattern, are the speaker."""
        folders = path.parts[:-1]
        if folders and folders[0].lower() == self.place.lower():
            folders = folders[1:]  # in an archive of the folder
        emotions = [folder for folder in folders if emotion_named(folder)]
        if len(emotions) != 1:
            found = "several emotions" if emotions else "no known emotion"
            return Unknown(f"{found} in the folders {'/'.join(folders)!r}, {_EXPECTED}")
        speaker = self._speaker(path, "/".join(folder for folder in folders if folder not in emotions))
        return Parsed(speaker, emotions[0], emotion_named(emotions[0])) if speaker else self._no_speaker()

    def _speaker(self, path: PurePath, by_folder: str) -> str | None:
        if self._speaker_pattern is None:
            return by_folder or UNKNOWN_SPEAKER
        match = self._speaker_pattern.search(path.as_posix())
        if match is None:
            return None
        return match["speaker"] if "speaker" in match.groupdict() else match[min(1, len(match.groups()))]

    def _no_speaker(self) -> Unknown:
        return Unknown(f"--speaker_pattern={self.options.speaker_pattern!r} finds no speaker in the path")
