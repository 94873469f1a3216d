"""Which files of a folder are a corpus's recordings, and what is known of each; nothing is left out without a word."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from metaser_jax.errors import InputError

AUDIO_SUFFIXES = (".flac", ".wav")
OTHER_AUDIO_SUFFIXES = (".aac", ".aif", ".aiff", ".m4a", ".mp3", ".oga", ".ogg", ".opus", ".wma")
MAX_LISTED = 20


class Parsed(NamedTuple):
    """What a corpus says of one recording.

    Attributes:
      speaker: unique within the corpus.
      emotion: the corpus's own name of it.
      label: ours, one of labels.EMOTIONS.
    """

    speaker: str
    emotion: str
    label: str


class Excluded(NamedTuple):
    """A recording that by the corpus's documentation is not part of what we read, e.g. a song. Listed, not an error."""

    reason: str


class Unknown(NamedTuple):
    """A recording of which speaker or emotion cannot be told: an error, unless --skip_bad."""

    reason: str


class Recording(NamedTuple):
    """One recording to read; `file` is its posix path below the corpus's folder, `key` is unique in the corpus."""

    path: Path
    file: str
    key: str
    parsed: Parsed


class Left(NamedTuple):
    """A file that is left out, and why."""

    file: str
    reason: str


class Listing(NamedTuple):
    """All audio files of a corpus, each in one of the three, sorted by file."""

    recordings: tuple[Recording, ...]
    excluded: tuple[Left, ...]
    unknown: tuple[Left, ...]


def corpus_folder(manual_dir: str | os.PathLike[str], name: str, layout: str) -> Path:
    """The folder `name` (in any case) of manual_dir.

    Raises:
      InputError: it is missing; the message says what is there and what was expected.
    """
    manual_dir = Path(manual_dir)
    expected = f"Expected layout: {manual_dir / layout}"
    if not manual_dir.is_dir():
        what = "is a file" if manual_dir.exists() else "does not exist"
        raise InputError(f"--manual_dir: {manual_dir} {what}. {expected}")
    folders = {child.name: child for child in sorted(manual_dir.iterdir()) if child.is_dir()}
    by_lower_case = {folder.lower(): child for folder, child in folders.items()} | folders
    if name in by_lower_case:
        return by_lower_case[name]
    hint = ""
    if manual_dir.name.lower() == name:
        hint = f" If {manual_dir} is the corpus itself, pass the folder above it: --manual_dir={manual_dir.parent}."
    raise InputError(
        f"{name}: --manual_dir={manual_dir} has no folder {name!r}; it has {_names(folders) or 'no folders'}. "
        f"{expected}{hint}"
    )


def audio_files(folder: Path) -> list[Path]:
    """All audio files anywhere below `folder`, readable or not; hidden files and macOS's ._ copies are none.

    Raises:
      InputError: a folder cannot be read.
    """
    return [path for path in _files(folder) if path.suffix.lower() in AUDIO_SUFFIXES + OTHER_AUDIO_SUFFIXES]


def listing(folder: Path, pairs: Iterable[tuple[Path, Parsed | Excluded | Unknown]]) -> Listing:
    """Sorts what a corpus says of its files.

    Args:
      folder: the corpus's folder.
      pairs: every audio file and what is known of it.

    Raises:
      InputError: the same recording is there twice, in two formats or in two folders.
    """
    recordings, excluded, unknown = [], [], []
    for path, said in pairs:
        file = path.relative_to(folder).as_posix()
        match said:
            case Parsed():
                recordings.append(Recording(path, file, f"{said.speaker}/{path.stem}", said))
            case Excluded(reason):
                excluded.append(Left(file, reason))
            case Unknown(reason):
                unknown.append(Left(file, reason))
    recordings.sort(key=lambda recording: recording.file)
    _check_unique(folder, recordings)
    return Listing(tuple(recordings), tuple(sorted(excluded)), tuple(sorted(unknown)))


def no_recordings(folder: Path, layout: str, excluded: Sequence[Left]) -> InputError:
    """The error for a folder without any recording of the corpus."""
    suffixes = Counter(path.suffix.lower() or path.name for path in _files(folder))
    found = ", ".join(f"{n} {suffix}" for suffix, n in suffixes.most_common(5)) or "no files"
    reasons = sorted({left.reason for left in excluded})
    not_part = f" (not part of this corpus: {'; '.join(reasons)})" if reasons else ""
    return InputError(
        f"{folder} has no .wav or .flac file of this corpus; found {found}{not_part}. "
        f"Expected layout: {folder.parent / layout} (archives must be unpacked)"
    )


def too_many(folder: Path, n_found: int, n_published: int, meaning: str) -> InputError:
    """The error for a folder with more recordings than its corpus has."""
    return InputError(f"{folder} has {n_found} recordings, the corpus has {n_published}. {meaning}")


def bad_recordings(name: str, bad: Sequence[Left], n_files: int) -> InputError:
    """The one error for all recordings of a corpus that cannot be used."""
    lines = [f"{name}: {len(bad)} of {n_files} recordings cannot be used:"]
    lines += _shortened([f"  {file}: {reason}" for file, reason in bad])
    lines.append("Replace or remove them, or leave them out with --skip_bad (they are then counted and listed).")
    return InputError("\n".join(lines))


def _files(folder: Path) -> Iterator[Path]:
    """Files that are not hidden, below `folder`; links to folders are followed, each folder is entered once."""

    def stop(error: OSError) -> None:
        raise InputError(f"{error.filename} cannot be read ({error.strerror}).") from error

    entered = set()
    for parent, folders, names in os.walk(folder, followlinks=True, onerror=stop):
        real = os.path.realpath(parent)
        if real in entered:
            folders.clear()
            continue
        entered.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent, name) for name in sorted(names) if not name.startswith("."))


def _check_unique(folder: Path, recordings: Sequence[Recording]) -> None:
    first: dict[str, str] = {}
    twice = []
    for recording in recordings:
        other = first.setdefault(recording.key, recording.file)
        if other != recording.file:
            twice.append(f"  {other} and {recording.file}")
    if twice:
        lines = [f"{folder}: the same speaker and file name twice, {len(twice)} times:", *_shortened(twice)]
        raise InputError("\n".join([*lines, "Keep one of each and move the other out of the folder."]))


def _shortened(lines: Sequence[str]) -> list[str]:
    more = [f"  ... and {len(lines) - MAX_LISTED} more"] if len(lines) > MAX_LISTED else []
    return [*lines[:MAX_LISTED], *more]


def _names(folders: Iterable[str]) -> str:
    names = [f"{name}/" for name in folders]
    return ", ".join(names[:MAX_LISTED]) + (", ..." if len(names) > MAX_LISTED else "")
