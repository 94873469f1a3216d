"""The CSV in which people list their recordings: path, emotion, and if known speaker and language."""

import csv
import io
import posixpath
from collections import Counter
from typing import NamedTuple

from metaser_jax.datasets.files import CorpusFile
from metaser_jax.errors import InputError

_REQUIRED = ("path", "emotion")
_OPTIONAL = ("speaker", "language")


class Row(NamedTuple):
    """One recording.

    Attributes:
      file: its posix path, from the corpus's folder.
      emotion, speaker: as written; the speaker may be empty.
      on_disk: the file, where the CSV is not in an archive and the file is there.
    """

    file: str
    emotion: str
    speaker: str
    on_disk: CorpusFile | None


class Table(NamedTuple):
    """All rows, the name of the CSV, and the language if it has such a column."""

    rows: tuple[Row, ...]
    name: str
    language: str | None


def read_table(source: CorpusFile) -> Table:
    """Read a CSV with a header, separated by commas, semicolons or tabs; paths are relative to its folder.

    Raises:
      InputError: it is not readable as such, lacks a column or a value, lists a path twice, or has several languages.
    """
    try:
        text = source.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{source} cannot be read as text ({error}). Save it as CSV in UTF-8.") from error
    header = next(iter(text.splitlines()), "")
    delimiter = max(",;\t", key=header.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, restval="", skipinitialspace=True)
    try:
        return _table(source, reader, header)
    except csv.Error as error:
        raise InputError(f"{source}, line {reader.line_num}: {error}. Save it as CSV again.") from error


def _table(source: CorpusFile, reader: csv.DictReader, header: str) -> Table:
    columns = {name.strip().lower(): name for name in reader.fieldnames or () if name}
    missing = [name for name in _REQUIRED if name not in columns]
    if missing:
        raise InputError(
            f"{source} has no column {' and no column '.join(missing)}; its first line is {header.strip()!r}. Expected "
            f"a header with {', '.join(_REQUIRED)}, and if known {', '.join(_OPTIONAL)}."
        )
    rows, languages = [], set()
    for line in reader:
        path, emotion, speaker, language = (
            (line[columns[name]] or "").strip() if name in columns else "" for name in (*_REQUIRED, *_OPTIONAL)
        )
        if not path and not emotion:
            continue  # an empty line at the end, as spreadsheets leave it
        if not path or not emotion:
            raise InputError(f"{source}, line {reader.line_num}: no {'emotion' if path else 'path'}. Fill it in.")
        file = posixpath.normpath(posixpath.join(source.relative.parent.as_posix(), path.replace("\\", "/")))
        rows.append(Row(file, emotion, speaker, _on_disk(file, source)))
        languages.add(language)
    twice = [file for file, n in Counter(row.file for row in rows).items() if n > 1]
    if twice:
        raise InputError(f"{source} lists {len(twice)} recordings more than once, e.g. {twice[0]}. Keep one line each.")
    if len(languages) > 1:
        raise InputError(
            f"{source} has {len(languages)} languages ({', '.join(sorted(repr(one) for one in languages))}), expected "
            "one: a corpus is one language. Make a CSV of each."
        )
    return Table(tuple(rows), source.relative.name, (languages or {""}).pop() or None)


def _on_disk(file: str, source: CorpusFile) -> CorpusFile | None:
    """Return a recording that need not lie in the corpus's folder; `source` is the CSV."""
    if source.member is not None:
        return None
    root = source.path.parents[len(source.relative.parts) - 1]
    path = root / file
    try:
        return CorpusFile(file, path, None, path.stat().st_size) if path.is_file() else None
    except OSError:  # a name that the system does not allow
        return None
