"""Files of a model: in a folder, in a zip archive of one, or in a start of the package by its name.

Nothing here imports jax: what model.json says is known before anything is computed.
"""

import io
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from metaser_jax import untrusted
from metaser_jax.errors import InputError
from metaser_jax.extras import version

MODEL = "model.json"
"""A folder is a model folder by this file."""

FORMAT = "metaser_model"
FORMAT_VERSION = 2
STARTS = Path(__file__).parents[1] / "starts"
AGAIN = "Copy or download it again from where it came, or adapt again (metaser adapt)."
# What makes a folder of the user's one that a start could be taken for: a model, or a run of training.
_OWN = (MODEL, "config.json")
_MAX_JSON = 2**24

ModelFolder = Path | zipfile.Path


def start_names() -> tuple[str, ...]:
    """Return what the starts that come with the package are called."""
    return tuple(sorted(path.parent.name for path in STARTS.glob(f"*/{MODEL}")))


def locate(folder: str | os.PathLike[str]) -> Path:
    """Return the place of a folder that a user named: of a start's name, the start inside the package.

    Raises:
      InputError: a model or a run of that name is in the current directory, too.
    """
    name = os.fspath(folder)
    if name not in start_names():
        return Path(name)
    if any((Path(name) / file).is_file() for file in _OWN):
        raise InputError(
            f"{name} is a start that comes with metaser_jax, and a folder here. Give .{os.sep}{name} for the folder, "
            f"or {STARTS / name} for the start."
        )
    return STARTS / name


def open_model(folder: str | os.PathLike[str]) -> tuple[ModelFolder, dict[str, Any]]:
    """Return a model's folder, or that in a zip archive, and the content of model.json.

    Raises:
      InputError: it is no model, is damaged, or of a newer version.
    """
    place = locate(folder)
    try:
        if place.suffix == ".zip" and place.is_file():
            opened = _open_archive(place)
        elif (place / MODEL).exists():
            opened = place
        else:
            raise InputError(_what_is_there(place))
        facts = untrusted.parse_json(read_file(opened, MODEL, _MAX_JSON))
        if not isinstance(facts, dict):
            raise ValueError(f"a JSON {type(facts).__name__}, expected an object")
    except OSError as error:
        raise InputError(f"{error.filename or place} cannot be read: {error.strerror}.") from error
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{folder} is damaged: {MODEL} is not as it was written ({error}). {AGAIN}") from error
    got, number, made_by = facts.get("format"), facts.get("format_version"), facts.get("metaser_jax")
    if got != FORMAT:
        raise InputError(
            f"{folder} is a model of something else: {MODEL} has format {got!r}, expected {FORMAT!r}. Give a folder "
            "that metaser adapt wrote."
        )
    if type(number) is not int or number < 1:
        raise InputError(f"{folder} is damaged: {MODEL} has format_version {number!r}, expected a number. {AGAIN}")
    if number > FORMAT_VERSION:
        raise InputError(
            f"{folder} is a model of format version {number}, written by metaser_jax {made_by}; this is metaser_jax "
            f"{version()}, which reads version {FORMAT_VERSION}. Install metaser_jax {made_by} or newer."
        )
    return opened, facts


def read_file(folder: ModelFolder, name: str, max_bytes: int) -> bytes:
    """Return the content of one file.

    Raises:
      OSError, or ValueError: it is larger, no regular file, or the archive is damaged.
    """
    if isinstance(folder, Path):
        return untrusted.read_bytes(folder / name, max_bytes)
    member = folder / name
    if not member.exists():
        raise FileNotFoundError(2, "No such file in the archive", name)
    try:
        with member.open("rb") as file:
            data = file.read(max_bytes + 1)  # with a number, so that what is beyond stays packed
    except untrusted.BAD_ARCHIVE as error:
        raise ValueError(f"{name} cannot be unpacked ({error})") from error
    if len(data) > max_bytes:
        raise ValueError(f"{name} is larger than {max_bytes:,} bytes")
    return data


def hears_voice(folder: str | os.PathLike[str]) -> bool:
    """Return whether a model is given what is heard of the voice, by model.json alone, before the rest is read.

    Raises InputError as open_model.
    """
    settings = open_model(folder)[1].get("settings")
    return isinstance(settings, Mapping) and settings.get("features") == "voice"


def _open_archive(path: Path) -> zipfile.Path:
    """Return the folder in an archive that has MODEL; in memory, so that nobody need close it."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(untrusted.read_bytes(path)))
        files = map(PurePosixPath, archive.namelist())
    except untrusted.BAD_ARCHIVE as error:
        raise InputError(f"{path} cannot be read as a zip archive of a model ({error}). Download it again.") from error
    folders = sorted({str(file.parent) for file in files if file.name == MODEL})
    if len(folders) != 1:
        what = f"has {len(folders)} models ({', '.join(folders[:5])})" if folders else f"has no {MODEL}"
        raise InputError(f"{path} {what}, expected a zip archive of one model folder, as metaser serve gives it.")
    return zipfile.Path(archive, "" if folders[0] == "." else f"{folders[0]}/")


def _what_is_there(folder: Path) -> str:
    """Return a message for the user, of a place that is no model."""
    expected = "expected a model folder, which metaser adapt writes"
    if folder.suffix in (".pt", ".pth") and folder.is_file():
        return f"{folder} is a checkpoint of PyTorch, {expected}. metaser import-torch makes one of it."
    if not folder.is_dir():
        return f"{folder} is {'a file' if folder.exists() else 'not there'}, {expected}."
    if (folder / "config.json").is_file():
        return (
            f"{folder} is a training run (it has config.json), {expected}. metaser adapt --init={folder} "
            "--support=CLIPS --out=MODEL makes one of it."
        )
    inside = sorted(path.parent for path in folder.glob(f"*/{MODEL}"))
    if inside:
        return f"{folder} is no model folder; {', '.join(map(str, inside))} is. Give that."
    here = sorted(path.name for path in folder.iterdir())
    return f"{folder} is no model folder: {MODEL} is missing (there: {', '.join(here[:5]) or 'nothing'}), {expected}."
