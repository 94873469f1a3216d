"""Tables in which people list their recordings: path, emotion, and if known speaker and language."""

import csv
import difflib
import io
import posixpath
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from metaser_jax.datasets.files import CorpusFile, existing, named, one_form
from metaser_jax.errors import InputError
from metaser_jax.specs.labelling import COLUMNS, Labelling, plain

SUFFIXES = (".csv", ".tsv")
_REQUIRED = ("path", "emotion")


class Row(NamedTuple):
    """One recording.

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

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.source.relative.name


def find(found: Sequence[CorpusFile], place: str, how: Labelling) -> Table | None:
    """Return the table that lists the recordings, if any: labels.csv, or one of the folder's name (.tsv as well).

    With --columns, the only table that is there.

    Raises:
      InputError: there are several, or it cannot be read.
    """
    tables = [one for suffix in SUFFIXES for name in ("labels", place) for one in named(found, name + suffix)]
    if not tables and how.columns:
        tables = [one for one in found if one.relative.suffix.lower() in SUFFIXES]
        if not tables:
            raise InputError(f"--columns is for a table, and {place} has no .csv or .tsv. Leave the flag out.")
    if len(tables) > 1:
        hint = " Keep one, or call it labels.csv." if how.columns else " Keep one."
        raise InputError(f"{place}: {' and '.join(map(str, tables))} both list recordings.{hint}")
    return read_table(tables[0], how) if tables else None


def read_table(source: CorpusFile, how: Labelling) -> Table:
    """Read a table with a header, separated by commas, semicolons or tabs; paths are relative to its folder.

    Raises:
      InputError: it is not readable as such, lacks a column or a value, lists a path twice, or has several languages.
    """
    reader, header = _reader(source)
    try:
        return _table(source, reader, header, how)
    except csv.Error as error:
        raise InputError(f"{source}, line {reader.line_num}: {error}. Save it as CSV again.") from error


def columns(source: CorpusFile) -> list[str]:
    """Return the names of a table's columns; none, where it cannot be read."""
    try:
        return [name for name in _reader(source)[0].fieldnames or () if name]
    except (InputError, csv.Error):
        return []


def sources(table: Table, found: Sequence[CorpusFile], audio: Sequence[CorpusFile]) -> list[CorpusFile | None]:
    """Return the file of each row: of its path; or, of a name alone, the only one below the folder that is called so.

    Args: found: all files of the folder. audio: the recordings among them.
    """
    by_file = {one.file: one for one in found}
    by_name: dict[str, list[CorpusFile]] = {}
    for one in audio:
        for name in {one.relative.name, one.relative.stem}:
            by_name.setdefault(name, []).append(one)
    source_of = []
    for row in table.rows:
        called = by_name.get(posixpath.basename(row.file), [])
        only = called[0] if len(called) == 1 else None
        source_of.append(by_file.get(row.file) or _elsewhere(row.file, table.source) or only)
    return source_of


def missing(row: Row, table: Table, audio: Sequence[CorpusFile]) -> str:
    """Return what is said of a row without a file."""
    close = difflib.get_close_matches(row.file, [one.file for one in audio], n=1, cutoff=0.8)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"there is no such file; {table.name} lists it{hint}"


def _reader(source: CorpusFile) -> tuple[csv.DictReader, str]:
    try:
        text = source.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{source} cannot be read as text ({error}). Save it as CSV in UTF-8.") from error
    header = next(iter(text.splitlines()), "")
    delimiter = max(",;\t", key=header.count)
    lines = io.StringIO(text, newline="")
    return csv.DictReader(lines, delimiter=delimiter, restval="", skipinitialspace=True), header


def _table(source: CorpusFile, reader: csv.DictReader, header: str, how: Labelling) -> Table:
    there = {plain(name): name for name in reader.fieldnames or () if name}
    columns = {name: there[how.column(name)] for name in COLUMNS if how.column(name) in there}
    wanted = [name for name in COLUMNS if name in _REQUIRED or how.column(name) != name]
    missing = [how.column(name) for name in wanted if name not in columns]
    if missing:
        raise InputError(
            f"{source} has no column {' and no column '.join(missing)}; its first line is {header.strip()!r}. Expected "
            f"a header with {', '.join(_REQUIRED)}, and if known speaker, language; or say which columns these are, "
            "e.g. --columns=path=file,emotion=label."
        )
    rows, languages = [], set()
    for line in reader:
        path, emotion, speaker, language = (
            one_form((line[columns[name]] or "").strip()) if name in columns else "" for name in COLUMNS
        )
        if not path and not emotion:
            continue  # an empty line at the end, as spreadsheets leave it
        if not path or not emotion:
            raise InputError(f"{source}, line {reader.line_num}: no {'emotion' if path else 'path'}. Fill it in.")
        file = posixpath.normpath(posixpath.join(source.relative.parent.as_posix(), path.replace("\\", "/")))
        rows.append(Row(file, emotion, speaker))
        languages.add(language)
    twice = [file for file, n in Counter(row.file for row in rows).items() if n > 1]
    if twice:
        raise InputError(f"{source} lists {len(twice)} recordings more than once, e.g. {twice[0]}. Keep one line each.")
    if len(languages) > 1:
        raise InputError(
            f"{source} has {len(languages)} languages ({', '.join(sorted(repr(one) for one in languages))}), expected "
            "one: a corpus is one language. Make a CSV of each."
        )
    return Table(tuple(rows), source, (languages or {""}).pop() or None)


def _elsewhere(file: str, table: CorpusFile) -> CorpusFile | None:
    """Return a recording that need not lie in the corpus's folder."""
    if table.member is not None:
        return None
    try:
        path = existing(table.path.parents[len(table.relative.parts) - 1] / file)
        return CorpusFile(file, path, None, path.stat().st_size) if path.is_file() else None
    except OSError:  # a name that the system does not allow
        return None
