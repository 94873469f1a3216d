"""Files below a folder on disk, and inside zip archives there, which are read without unpacking.

Nothing is written, so an archive takes no further space and a run that is killed leaves nothing behind. A member has
the path that it would have if its archive were unpacked where it lies, so a corpus is the same either way.
"""

import contextlib
import errno
import functools
import os
import stat
import unicodedata
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePath, PurePosixPath
from typing import NamedTuple

from metaser_jax import untrusted
from metaser_jax.audio.containers import RECORDINGS, SUFFIXES
from metaser_jax.emotions import emotion_named
from metaser_jax.errors import InputError
from metaser_jax.untrusted import MAX_BYTES


class CorpusFile(NamedTuple):
    """A file.

    Attributes:
      file: posix path below the corpus's folder, in the one form in which names are compared.
      path: the file on disk, or the zip archive that has it.
      member: its name in the archive, if it is in one.
      size: in bytes.
      name: for messages, where a person has named the file or a folder above it.
    """

    file: str
    path: Path
    member: str | None
    size: int
    name: str | None = None

    @property
    def relative(self) -> PurePosixPath:
        """`file` as a path: its stem, suffix and folders."""
        return PurePosixPath(self.file)

    def __str__(self) -> str:
        return self.name or (f"{self.path.name}: {self.member}" if self.member else self.file)

    def read_bytes(self) -> bytes:
        """Return the content. Raises OSError, whose strerror says what is wrong."""
        if self.member is None:
            return untrusted.read_bytes(self.path, MAX_BYTES)
        if self.size > MAX_BYTES:
            raise untrusted.too_large(self.size, MAX_BYTES, str(self))
        try:
            with _archive(self.path).open(self.member) as file:
                return file.read(self.size + 1)  # with a number, so that what is packed beyond its size stays packed
        except untrusted.BAD_ARCHIVE as error:
            raise OSError(errno.EIO, f"cannot be read from {self.path}: {error}", self.member) from error

    def read_text(self, errors: str = "strict") -> str:
        """Return the content, UTF-8. Raises InputError: it cannot be read, or (strict) is something else."""
        try:
            return self.read_bytes().decode("utf-8-sig", errors)
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{self} cannot be read as text in UTF-8 ({error}).") from error


def files_below(folder: Path, archives: Sequence[Path] = (), strict: bool = True) -> list[CorpusFile]:
    """Return all files that are not hidden (macOS's ._ copies are), those of zip archives included, sorted by `file`.

    Links to folders are followed, each folder is entered once. A member of an archive that is on disk as well, unpacked
    beside the archive, is listed once.

    Args:
      folder: the corpus's folder.
      archives: further zip archives, read as if they lay in it.
      strict: whether an archive that cannot be read, or a name that is not UTF-8, is an error; otherwise it is listed
        as a file.

    Raises:
      InputError: a folder or an archive cannot be read; an archive has names that lead out of the folder; a name is
        not UTF-8 (strict).
    """
    on_disk = [_on_disk(path, path.relative_to(folder).as_posix()) for path in _walk(folder, strict)]
    size_of = {one.file: one.size for one in on_disk}
    found = [one for one in on_disk if one.relative.suffix.lower() != ".zip"]
    packed = [one for one in on_disk if one.relative.suffix.lower() == ".zip"]
    for archive in [*packed, *(_on_disk(path, path.name) for path in archives)]:
        beside = archive.relative.parent
        try:
            inside = members(archive.path, beside.as_posix())
        except InputError:
            if strict:
                raise
            found.append(archive)
            continue
        for member in inside:
            inner = PurePosixPath(member.member)
            # In place, in a folder of the archive's name, or without the folder that holds all.
            places = (inner, PurePosixPath(archive.relative.stem) / inner, PurePosixPath(*inner.parts[1:]))
            if all(size_of.get((beside / place).as_posix()) != member.size for place in places):
                found.append(member)
    return sorted(found, key=lambda one: (one.file, str(one)))


def files_in(archives: Iterable[Path]) -> list[CorpusFile]:
    """Return all files of zip archives, sorted by `file`. Raises InputError as files_below."""
    found = [member for path in archives for member in members(path)]
    return sorted(found, key=lambda one: (one.file, one.path.as_posix()))


def members(archive: Path, beside: str = "") -> list[CorpusFile]:
    """Return the files of one zip archive that are not hidden; `beside` is where it would be unpacked.

    Raises:
      InputError: it is no zip archive, or would write outside of the folder that it is unpacked into.
    """
    try:
        infos = _archive(archive).infolist()
    except untrusted.BAD_ARCHIVE as error:
        raise InputError(f"{archive} cannot be read as a zip archive ({error}). Fetch it again.") from error
    outside = [info.orig_filename for info in infos if _leads_out(info)]
    if outside:
        raise InputError(
            f"{archive}: {len(outside)} of its {len(infos)} members would be written outside of the folder, e.g. "
            f"{outside[0]!r}. Fetch it again from where the corpus is published."
        )
    found = []
    for info in infos:
        path = PurePosixPath(info.filename)
        if path.parts and not info.is_dir() and not any(part.startswith((".", "__MACOSX")) for part in path.parts):
            file = one_form((PurePosixPath(beside) / path).as_posix())
            found.append(CorpusFile(file, archive, info.filename, info.file_size))
    return found


def one_form(name: str) -> str:
    """Return a name as all are compared: composed (NFC), since macOS's disks and archives have José in two parts."""
    return unicodedata.normalize("NFC", name)


def existing(path: Path) -> Path:
    """Return the path under which a file is there, if its name has another form on disk; otherwise as it was given."""
    if os.path.lexists(path) or path.parent == path:
        return path
    parent = existing(path.parent)
    with contextlib.suppress(OSError):
        for name in os.listdir(parent):
            if one_form(name) == one_form(path.name):
                return parent / name
    return path


def named(files: Sequence[CorpusFile], file_name: str) -> list[CorpusFile]:
    """Return the files of that name, in any folder and in any case."""
    wanted = one_form(file_name).lower()
    return [one for one in files if one.relative.name.lower() == wanted]


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
    for argument in arguments:
        for one in _audio_below(os.fspath(argument)):
            found.setdefault((os.path.realpath(one.path), one.member), one)
    return list(found.values())


def _audio_below(argument: str) -> list[CorpusFile]:
    path = existing(Path(argument))
    inside = []
    if path.is_dir():
        inside = files_below(path, strict=False)
    elif path.suffix.lower() == ".zip":
        with contextlib.suppress(InputError):
            inside = members(path)
    found = []
    for one in inside:
        # An archive that cannot be read is not passed over.
        if one.relative.suffix.lower() in (*RECORDINGS, ".zip"):
            below = one.file if one.member is None else os.path.relpath(one.path, path)
            name = argument if one.path == path else os.path.join(argument, below)
            found.append(one._replace(name=name if one.member is None else f"{name}: {one.member}"))
    if path.is_dir() and not found:
        raise InputError(f"{argument} has no recording, expected {', '.join(SUFFIXES)} files in it.")
    return found or [CorpusFile(argument, path, None, 0, argument)]


def _leads_out(info: zipfile.ZipInfo) -> bool:
    # zipfile itself would drop these parts without a word. Windows takes backslashes and drives for folders, too.
    name = info.orig_filename.replace("\\", "/")
    link = stat.S_ISLNK(info.external_attr >> 16)
    return link or name.startswith("/") or name[1:2] == ":" or ".." in name.split("/")


# A worker process reads thousands of members; opening an archive reads its whole directory.
@functools.lru_cache(maxsize=4)
def _open_archive(path: Path, modified: int, size: int) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)


def _archive(path: Path) -> zipfile.ZipFile:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "no regular file", str(path))
    return _open_archive(path, status.st_mtime_ns, status.st_size)


def _on_disk(path: Path, file: str) -> CorpusFile:
    try:
        size = path.stat().st_size
    except OSError:  # a link to nothing; reading it says so
        size = 0
    return CorpusFile(one_form(file), path, None, size)


def _walk(folder: Path, strict: bool) -> Iterator[Path]:
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
        for name in sorted(name for name in names if not name.startswith(".")):
            path = os.path.join(parent, name)
            shown = path.encode(errors="surrogateescape").decode(errors="backslashreplace")
            if strict and shown != path:
                raise InputError(f"{shown}: the name is not UTF-8. Rename it.")
            yield Path(path)


def folders_between(name: str, folders: Sequence[str]) -> str:
    """Return the folders between a folder that was given and a recording, those of emotions left out: whose voice."""
    for folder in folders:
        if name.startswith(os.path.join(folder, "")):
            between = PurePath(os.path.relpath(name, folder)).parts[:-1]
            return "/".join(part for part in between if emotion_named(part) is None)
    return ""
