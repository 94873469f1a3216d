"""Recordings that a person names: labelled clips in a folder or a CSV, and files and folders to predict.

The rules of labelled clips are those of the corpora folder/NAME (datasets/folder/README.md); TFDS is not needed.
"""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from metaser_jax.audio.containers import RECORDINGS, SUFFIXES
from metaser_jax.datasets import recordings
from metaser_jax.datasets.files import CorpusFile, existing, files_below, files_in, members
from metaser_jax.datasets.folder.listing import Rules
from metaser_jax.datasets.folder.tables import Table, read_table
from metaser_jax.datasets.recordings import Left, Listing
from metaser_jax.errors import InputError
from metaser_jax.specs.labelling import Labelling

_LAYOUT = "angry/clip1.wav, happy/clip2.wav ..., or labels.csv with the columns path, emotion, and if known speaker"
_TABLES = (".csv", ".tsv", ".txt")


def labelled_files(
    place: str | os.PathLike[str],
    emotions: tuple[str, ...],
    how: Labelling | None = None,
    skip_bad: bool = False,
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
    found, name, table = _found(place, how)
    listing = Rules(name, how).listing(str(place), found, table)
    if listing.unknown and not skip_bad:
        raise recordings.bad_recordings(str(place), listing.unknown, len(listing.recordings) + len(listing.unknown))
    if not listing.recordings:
        raise recordings.no_recordings(str(place), _LAYOUT, found, listing.left, "labelled clip", "left out")
    others = [one for one in listing.recordings if one.parsed.label not in emotions]
    clips = tuple(one for one in listing.recordings if one.parsed.label in emotions)
    if not clips:
        labels = ", ".join(sorted({one.parsed.label for one in others}))
        raise InputError(
            f"{place} has {len(others)} clips, of {labels}; expected some of {', '.join(emotions)}. Layout: {_LAYOUT}"
        )
    left = [Left(str(one.source), f"{one.parsed.label} is none of {', '.join(emotions)}") for one in others]
    return listing._replace(recordings=clips, excluded=tuple(sorted([*listing.excluded, *left])))


def _found(place: Path, how: Labelling) -> tuple[list[CorpusFile], str, Table | None]:
    """Return all files of a place, its name, and the CSV if it is one."""
    name, suffix = place.resolve().name, place.suffix.lower()
    if place.is_dir():
        return files_below(place), name, None
    if place.exists() and suffix == ".zip":
        return files_in([place]), place.stem, None
    if place.exists() and suffix in _TABLES:
        one = CorpusFile(name, place.absolute(), None, place.stat().st_size)
        return [one], place.stem, read_table(one, how)
    what = "is a file" if place.exists() else "does not exist"
    raise InputError(f"{place} {what}, expected a folder or a CSV of labelled clips: {_LAYOUT}")


def audio_files(arguments: Sequence[str | os.PathLike[str]]) -> list[CorpusFile]:
    """Return the recordings that files and folders name, each once, in their order; within a folder sorted.

    A file is taken whatever it is called, also if it is not there: reading it says so. Folders are searched for what is
    called as audio, zip archives like folders; one that cannot be read or has no audio is taken for a file.

    Raises:
      InputError: no argument, a folder without audio, or one that cannot be read.
    """
    if not arguments:
        raise InputError("No recording was named, expected files or folders.")
    found: dict[tuple[str, str | None], CorpusFile] = {}
    for argument in map(os.fspath, arguments):
        for one in _below(argument):
            found.setdefault((os.path.realpath(one.path), one.member), one)
    return list(found.values())


def _below(argument: str) -> list[CorpusFile]:
    path = existing(Path(argument))
    found = []
    if path.is_dir():
        found = files_below(path, strict=False)
    elif path.suffix.lower() == ".zip":
        with contextlib.suppress(InputError):
            found = members(path)
    # An archive that cannot be read is not passed over.
    audio = [one for one in found if one.relative.suffix.lower() in (*RECORDINGS, ".zip")]
    if path.is_dir() and not audio:
        raise InputError(f"{argument} has no recording, expected {', '.join(SUFFIXES)} files in it.")
    named = [one._replace(name=_name(argument, path, one)) for one in audio]
    return named or [CorpusFile(argument, path, None, 0, argument)]


def _name(argument: str, folder: Path, one: CorpusFile) -> str:
    if one.member is None:
        return os.path.join(argument, one.file)
    archive = argument if one.path == folder else os.path.join(argument, os.path.relpath(one.path, folder))
    return f"{archive}: {one.member}"
