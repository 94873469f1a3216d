"""The files of a model: in a folder, or in a zip archive of one, as the page of `metaser serve` gives it."""

import io
import zipfile
from pathlib import Path, PurePosixPath

from metaser_jax import untrusted
from metaser_jax.errors import InputError
from metaser_jax.recogniser.mistaken import MODEL, what_is_there


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
        elif not (place / MODEL).exists():
            raise InputError(what_is_there(place))

    def read(self, name: str, max_bytes: int) -> bytes:
        """Return the content.

        Raises:
          OSError, or ValueError: it is larger, no regular file, or the archive is damaged.
        """
        if not self._archive:
            return untrusted.read_bytes(self._place / name, max_bytes)
        member = self._member(name)
        if member.file_size > max_bytes:
            raise ValueError(f"{name} has {member.file_size:,} bytes, expected at most {max_bytes:,} in an archive")
        try:
            with self._archive.open(member) as file:
                return file.read(member.file_size)  # with a number, so that what is beyond stays packed
        except untrusted.BAD_ARCHIVE as error:
            raise ValueError(f"{name} cannot be unpacked ({error})") from error

    def _member(self, name: str) -> zipfile.ZipInfo:
        if name not in self._members:
            raise FileNotFoundError(2, "No such file in the archive", name)
        return self._members[name]


def _opened(path: Path) -> tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]:
    """Return an archive, which is open, and the files of the folder in it that has MODEL."""
    try:
        # In memory: whoever reads a model need not close it, and model archives are small.
        archive = zipfile.ZipFile(io.BytesIO(untrusted.read_bytes(path)))
        infos = [info for info in archive.infolist() if not info.is_dir()]
    except untrusted.BAD_ARCHIVE as error:
        raise InputError(f"{path} cannot be read as a zip archive of a model ({error}). Download it again.") from error
    folders = sorted({str(PurePosixPath(i.filename).parent) for i in infos if PurePosixPath(i.filename).name == MODEL})
    if len(folders) != 1:
        what = f"has {len(folders)} models ({', '.join(folders[:5])})" if folders else f"has no {MODEL}"
        raise InputError(f"{path} {what}, expected a zip archive of one model folder, as metaser serve gives it.")
    here = [info for info in infos if str(PurePosixPath(info.filename).parent) == folders[0]]
    return archive, {PurePosixPath(info.filename).name: info for info in here}
