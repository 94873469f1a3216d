"""The files of a model: in a folder, or in a zip archive of one, as the page of `metaser serve` gives it."""

import io
import lzma
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from metaser_jax.audio.bounded_files import MAX_BYTES
from metaser_jax.errors import InputError
from metaser_jax.recogniser.mistaken import MODEL, what_is_there

# What zipfile raises for an archive that is damaged, encrypted, or packed in a way that Python has not.
_DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError),
    *(RuntimeError, NotImplementedError, LookupError, OSError),
)


class ModelFiles:
    """Files by their names. Nothing is unpacked on disk, and no more into memory than was asked for."""

    def __init__(self, place: Path):
        """Look what is there.

        Raises:
          InputError: neither a folder with MODEL, nor an archive with one such folder.
        """
        self._place = place
        self._archive: zipfile.ZipFile | None = None
        self._members: dict[str, zipfile.ZipInfo] = {}
        if place.suffix == ".zip" and place.is_file():
            self._archive, self._members = _opened(place)
        elif not (place / MODEL).is_file():
            raise InputError(what_is_there(place))

    def size(self, name: str) -> int:
        """Return bytes, as the archive says. Raises OSError."""
        return self._member(name).file_size if self._archive else (self._place / name).stat().st_size

    def read(self, name: str) -> bytes:
        """Return the content, of `size`.

        Raises:
          OSError, or ValueError: of an archive that is damaged, or of more than MAX_BYTES in it.
        """
        if not self._archive:
            return (self._place / name).read_bytes()
        member = self._member(name)
        if member.file_size > MAX_BYTES:
            raise ValueError(f"{name} has {member.file_size:,} bytes, expected at most {MAX_BYTES:,} in an archive")
        try:
            with self._archive.open(member) as file:
                return file.read(member.file_size)  # with a number, so that what is beyond stays packed
        except _DAMAGED as error:
            raise ValueError(f"{name} cannot be unpacked ({error})") from error

    def _member(self, name: str) -> zipfile.ZipInfo:
        if name not in self._members:
            raise FileNotFoundError(2, "No such file in the archive", name)
        return self._members[name]


def _opened(path: Path) -> tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]:
    """Return an archive, which is open, and the files of the folder in it that has MODEL."""
    try:
        # In memory: whoever reads a model need not close it, and model archives are small.
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"{path.stat().st_size:,} bytes, expected at most {MAX_BYTES:,}")
        archive = zipfile.ZipFile(io.BytesIO(path.read_bytes()))
        infos = [info for info in archive.infolist() if not info.is_dir()]
    except (*_DAMAGED, ValueError) as error:
        raise InputError(f"{path} cannot be read as a zip archive of a model ({error}). Download it again.") from error
    folders = sorted({str(PurePosixPath(i.filename).parent) for i in infos if PurePosixPath(i.filename).name == MODEL})
    if len(folders) != 1:
        what = f"has {len(folders)} models ({', '.join(folders[:5])})" if folders else f"has no {MODEL}"
        raise InputError(f"{path} {what}, expected a zip archive of one model folder, as metaser serve gives it.")
    here = [info for info in infos if str(PurePosixPath(info.filename).parent) == folders[0]]
    return archive, {PurePosixPath(info.filename).name: info for info in here}
