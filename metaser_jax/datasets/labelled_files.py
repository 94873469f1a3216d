"""Labelled clips of one's own: in a folder by its folders' names, or listed in a table.

The rules are in folder/README.md. The corpora folder/NAME are prepared by them, and clips to adapt to or to evaluate on
are read by them; TFDS is not needed.
"""

import csv
import difflib
import io
import os
import posixpath
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import NamedTuple

from metaser_jax.audio.containers import RECORDINGS, SUFFIXES
from metaser_jax.audio.formats import is_installed
from metaser_jax.data.corpus import UNKNOWN_SPEAKER
from metaser_jax.datasets import recordings
from metaser_jax.datasets.files import CorpusFile, existing, files_below, files_in, named, one_form
from metaser_jax.datasets.folder import questions
from metaser_jax.datasets.recordings import Excluded, Left, Listing, Pairs, Parsed, Said, Unknown
from metaser_jax.emotions import EMOTIONS
from metaser_jax.errors import InputError
from metaser_jax.specs.labelling import COLUMNS, Labelling, compiled, plain

TABLES = (".csv", ".tsv")
_LAYOUT = "angry/clip1.wav, happy/clip2.wav ..., or labels.csv with the columns path, emotion, and if known speaker"
_EXPECTED = f"expected one of: {', '.join(EMOTIONS)}, or a usual other name such as anger or happiness"


def labelled_files(
    place: str | os.PathLike[str], emotions: tuple[str, ...], how: Labelling | None = None, skip_bad: bool = False
) -> Listing:
    """Return the clips of a folder, of a zip archive of it, or of a CSV, without opening them.

    Args:
      place: the folder, with a folder per emotion or a labels.csv; or the CSV itself.
      emotions: those that are wanted, some of emotions.EMOTIONS; clips of others are excluded.
      how: what their owner says of them.
      skip_bad: leave out clips of which speaker or emotion cannot be told, instead of raising an error.

    Raises:
      InputError: there is nothing there, or no clip of these emotions; a clip is there twice; a CSV is not readable; a
        clip's speaker or emotion cannot be told.
    """
    place, how = existing(Path(place)), how or Labelling()
    name, suffix, table = place.resolve().name, place.suffix.lower(), None
    if place.is_dir():
        found = files_below(place)
    elif place.exists() and suffix == ".zip":
        found, name = files_in([place]), place.stem
    elif place.exists() and suffix in (*TABLES, ".txt"):
        found = [CorpusFile(name, place.absolute(), None, place.stat().st_size)]
        name, table = place.stem, read_table(found[0], how)
    else:
        what = "is a file" if place.exists() else "does not exist"
        raise InputError(f"{place} {what}, expected a folder or a CSV of labelled clips: {_LAYOUT}")
    listing = Rules(name, how).listing(str(place), found, table)
    recordings.require(listing, str(place), str(place), _LAYOUT, found, skip_bad)
    others = [one for one in listing.recordings if one.parsed.label not in emotions]
    clips = tuple(one for one in listing.recordings if one.parsed.label in emotions)
    if not clips:
        labels = ", ".join(sorted({one.parsed.label for one in others}))
        raise InputError(f"{place} has {len(others)} clips, of {labels}; expected some of {', '.join(emotions)}.")
    left = [Left(str(one.source), f"{one.parsed.label} is none of {', '.join(emotions)}") for one in others]
    return listing._replace(recordings=clips, excluded=tuple(sorted([*listing.excluded, *left])))


class Row(NamedTuple):
    """Recording of a table.

    Attributes:
      file: its posix path, from the corpus's folder.
      emotion, speaker: as written; the speaker may be empty.
    """

    file: str
    emotion: str
    speaker: str


class Table(NamedTuple):
    """All rows, the file that they are in, and the language if it has such a column."""

    rows: tuple[Row, ...]
    source: CorpusFile
    language: str | None


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
        table = table or self._table(found)
        pairs, copies = (list(self._by_table(table, found)), ()) if table else self._by_folders(found)
        failed = [one for one, said in pairs if isinstance(said, Unknown) and said.no_emotion]
        columns = [] if table else _column_flags(found)
        if failed and len(failed) == sum(not isinstance(said, Excluded) for _, said in pairs):
            if table:
                words = Counter(row.emotion for row in table.rows)
                raise questions.emotions_of_table(f"{self.place}: {table.source}", self.how, failed, words)
            raise questions.emotions_of_folder(
                self.place, self.how, failed, columns, lambda how: Rules(self.place, how).parse
            )
        notes = questions.notes([(PurePath(one.file), said) for one, said in pairs if isinstance(said, Parsed)])
        listed = recordings.listing(where, pairs, key)
        return listed._replace(
            copies=tuple(sorted([*listed.copies, *copies])),
            notes=(*notes, *(f"{flag}." for flag in columns)),
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

    def _table(self, found: Sequence[CorpusFile]) -> Table | None:
        """Return the table that lists the recordings, if any: labels.csv, or one of the folder's name (.tsv as well).

        With --columns, the only table that is there. Raises InputError: there are several, or it cannot be read.
        """
        tables = [one for suffix in TABLES for name in ("labels", self.place) for one in named(found, name + suffix)]
        if not tables and self.how.columns:
            tables = [one for one in found if one.relative.suffix.lower() in TABLES]
            if not tables:
                raise InputError(f"--columns is for a table, and {self.place} has no .csv or .tsv. Leave the flag out.")
        if len(tables) > 1:
            both = " and ".join(map(str, tables))
            raise InputError(f"{self.place}: {both} both list recordings. Keep one, or call it labels.csv.")
        return read_table(tables[0], self.how) if tables else None

    def _by_table(self, table: Table, found: Sequence[CorpusFile]) -> Iterator[tuple[CorpusFile, Said]]:
        """Yield every recording that a table lists or that is in the folder, and what the table says of it."""
        audio = [one for one in found if one.relative.suffix.lower() in RECORDINGS]
        taken, formats, name = set(), suffixes(), table.source.relative.name
        for row, source in zip(table.rows, _sources(table, found, audio), strict=True):
            taken.add(id(source))
            label = self.how.emotion(row.emotion)
            if source is None:
                close = difflib.get_close_matches(row.file, [one.file for one in audio], n=1, cutoff=0.8)
                hint = f"; did you mean {close[0]}?" if close else ""
                missing = Unknown(f"there is no such file; {name} lists it{hint}")
                yield CorpusFile(row.file, Path(row.file), None, 0), missing
            elif source.relative.suffix.lower() not in formats:
                yield source, recordings.not_read(source, formats)
            elif label is None:
                unknown = f"unknown emotion {row.emotion!r}, {_EXPECTED}. --map says what other words mean"
                yield source, Unknown(unknown, True)
            elif row.speaker:
                yield source, Parsed(row.speaker, row.emotion, label)
            else:
                yield source, self._spoken(PurePath(row.file), row.emotion, label, "")
        for one in audio:
            if id(one) not in taken:
                yield one, Excluded(f"{name} does not list it")

    def _by_folders(self, found: Sequence[CorpusFile]) -> tuple[Pairs, tuple[Left, ...]]:
        pairs, copies = recordings.without_copies(
            list(recordings.by_suffix(found, suffixes(), self.parse)),
            lambda one, said: (plain(recordings.without_copy_marks(one.relative.stem)), said.label),
        )
        if self.how.speaker_pattern is None and self.how.speakers == "auto":
            at = [i for i, (_, said) in enumerate(pairs) if isinstance(said, Parsed)]
            paths = [pairs[i][0].relative for i in at]
            speakers = questions.speakers(self.place, [(path, tuple(self._folders(path)[1])) for path in paths])
            for i, speaker in zip(at, speakers, strict=True):
                pairs[i] = (pairs[i][0], pairs[i][1]._replace(speaker=speaker))
        return pairs, copies


def read_table(source: CorpusFile, how: Labelling) -> Table:
    """Read a table with a header, separated by commas, semicolons or tabs; paths are relative to its folder.

    Raises:
      InputError: it is not readable as such, lacks a column or a value, lists a path twice, or has several languages.
    """
    reader = _reader(source)
    try:
        header = [name for name in reader.fieldnames or () if name]
        lines = [(reader.line_num, line) for line in reader]
    except csv.Error as error:
        raise InputError(f"{source}, line {reader.line_num}: {error}. Save it as CSV again.") from error
    there = {plain(name): name for name in header}
    columns = {name: there[how.column(name)] for name in COLUMNS if how.column(name) in there}
    wanted = [name for name in COLUMNS if name in ("path", "emotion") or how.column(name) != name]
    missing = [how.column(name) for name in wanted if name not in columns]
    if missing:
        raise InputError(
            f"{source} has no column {' and no column '.join(missing)}; it has {', '.join(header) or 'none'}. Say "
            "which columns these are, e.g. --columns=path=file,emotion=label."
        )
    rows, languages = {}, set()
    for number, line in lines:
        path, emotion, speaker, language = (
            one_form((line[columns[name]] or "").strip()) if name in columns else "" for name in COLUMNS
        )
        if not path and not emotion:
            continue  # an empty line at the end, as spreadsheets leave it
        if not path or not emotion:
            raise InputError(f"{source}, line {number}: no {'emotion' if path else 'path'}. Fill it in.")
        file = posixpath.normpath(posixpath.join(source.relative.parent.as_posix(), path.replace("\\", "/")))
        if file in rows:
            raise InputError(f"{source}, line {number}: {file} is listed more than once. Keep one line.")
        rows[file] = Row(file, emotion, speaker)
        languages.add(language)
    if len(languages) > 1:
        listed = ", ".join(map(repr, sorted(languages)))
        raise InputError(f"{source} has {len(languages)} languages ({listed}), expected one. Make a CSV of each.")
    return Table(tuple(rows.values()), source, (languages or {""}).pop() or None)


def _reader(source: CorpusFile) -> csv.DictReader:
    text = source.read_text()
    header = next(iter(text.splitlines()), "")
    delimiter = max(",;\t", key=header.count)
    return csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, restval="", skipinitialspace=True)


def _column_flags(found: Sequence[CorpusFile]) -> list[str]:
    """Return --columns for each table that is there and is not read."""
    flags = []
    for one in found:
        if one.relative.suffix.lower() in TABLES:
            try:
                columns = [name for name in _reader(one).fieldnames or () if name]
            except (InputError, csv.Error):
                continue
            if columns:
                listed = f"if {one} lists the recordings; its columns: {', '.join(columns[: questions.LISTED])}"
                flags.append(f"--columns=path=COLUMN,emotion=COLUMN   {listed}")
    return flags


def _sources(table: Table, found: Sequence[CorpusFile], audio: Sequence[CorpusFile]) -> list[CorpusFile | None]:
    """Return the file of each row: of its path; or, of a name alone, the only one below the folder that is called so.

    Args: found: all files of the folder. audio: the recordings among them.
    """
    by_file = {one.file: one for one in found}
    named = [(name, one) for one in audio for name in {one.relative.name, one.relative.stem}]
    times, by_name = Counter(name for name, _ in named), dict(named)
    only = {name: one for name, one in by_name.items() if times[name] == 1}
    return [
        by_file.get(row.file) or _elsewhere(row.file, table.source) or only.get(posixpath.basename(row.file))
        for row in table.rows
    ]


def _elsewhere(file: str, table: CorpusFile) -> CorpusFile | None:
    """Return a recording that need not lie in the corpus's folder."""
    if table.member is not None:
        return None
    try:
        path = existing(table.path.parents[len(table.relative.parts) - 1] / file)
        return CorpusFile(file, path, None, path.stat().st_size) if path.is_file() else None
    except OSError:  # a name that the system does not allow
        return None


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
