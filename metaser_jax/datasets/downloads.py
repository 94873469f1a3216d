"""Downloads through TFDS's manager: cached below data_dir/downloads, verified, and over within seconds if they fail."""

import contextlib
import hashlib
import shutil
import threading
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow_datasets as tfds
from tensorflow_datasets.core.download import downloader

from metaser_jax.errors import InputError

CONNECT_SECONDS = 5
READ_SECONDS = 20
_RETRIES = 1


class Download(NamedTuple):
    """A file to download.

    Attributes:
      url: of the file.
      size: in bytes, where it is published.
      md5: hexadecimal, where it is published. A sha256 stands in the builder's checksums.tsv, which TFDS verifies.
    """

    url: str
    size: int | None = None
    md5: str | None = None


def fetch(
    name: str, dl_manager: tfds.download.DownloadManager, downloads: Sequence[Download], instructions: str
) -> list[Path]:
    """Return the downloaded files, from an earlier run if they are there.

    Args:
      name: the corpus's name.
      dl_manager: of the builder.
      downloads: what to fetch.
      instructions: for the message, how to get the files by hand.

    Raises:
      InputError: one cannot be fetched, or is not what was published; it names the URL, the reason and the manual way.
    """
    paths = []
    for download in downloads:
        unfinished = _unfinished(dl_manager)
        try:
            with _impatient():
                path = Path(dl_manager.download(download.url))
            _verify(path, download)
        except BaseException as error:
            for folder in _unfinished(dl_manager) - unfinished:
                shutil.rmtree(folder, ignore_errors=True)
            if not isinstance(error, Exception):  # Ctrl-C
                raise
            # Whatever requests, urllib3, TFDS and the file system raise.
            raise InputError(
                f"{name}: the download of {download.url} failed: {_reason(error)}\nTo go on without it, give "
                f"--manual_dir=MANUAL_DIR.\n{instructions}"
            ) from error
        paths.append(path)
    return paths


def _unfinished(dl_manager: tfds.download.DownloadManager) -> set[Path]:
    """Return the folders that TFDS downloads into, and leaves behind when that fails."""
    return set(Path(dl_manager.download_dir).glob("*/*.tmp.*"))


@contextlib.contextmanager
def _impatient() -> Iterator[None]:
    """Limit TFDS's downloader, which has no time-outs, retries for minutes, and goes on when interrupted."""
    kept = downloader.MAX_RETRIES, downloader._open_url
    over = threading.Event()

    @contextlib.contextmanager
    def open_url(url: str, **kwargs: Any) -> Iterator[tuple[Any, Iterable[bytes]]]:
        with kept[1](url, timeout=(CONNECT_SECONDS, READ_SECONDS), **kwargs) as (response, blocks):
            yield response, _until(over, blocks)

    downloader.MAX_RETRIES, downloader._open_url = _RETRIES, open_url
    try:
        yield
    finally:
        over.set()
        downloader.MAX_RETRIES, downloader._open_url = kept


def _until(over: threading.Event, blocks: Iterable[bytes]) -> Iterator[bytes]:
    for block in blocks:
        if over.is_set():  # TFDS downloads in a thread, which the program would wait for
            raise ConnectionAbortedError("interrupted")
        yield block


def _verify(path: Path, download: Download) -> None:
    """Raise ValueError, and remove the file lest it be taken for a good one, unless it is the published one."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(40)
        file.seek(0)
        md5 = hashlib.file_digest(file, "md5").hexdigest() if download.md5 else None
    wrong = None
    if download.size not in (None, size):
        wrong = f"it has {size:,} bytes, expected {download.size:,}"
    elif md5 != download.md5:
        wrong = f"its md5 is {md5}, expected {download.md5}"
    elif not zipfile.is_zipfile(path):
        wrong = f"it is no zip archive, it begins with {start!r}"
    if wrong:
        path.unlink()
        path.with_name(f"{path.name}.INFO").unlink(missing_ok=True)
        raise ValueError(f"the file is not the published one: {wrong}.")


def _reason(error: Exception) -> str:
    """Return what went wrong; requests wraps urllib3's errors, and these wrap each other."""
    if isinstance(error, tfds.download.DownloadError) or type(error) is ValueError:
        return str(error)
    if "wrong checksum" in str(error):
        return "the file is not the published one: " + " ".join(str(error).splitlines()[1:3]).replace("* ", "")
    inner = error.args[0] if error.args and isinstance(error.args[0], Exception) else error
    return f"{type(error).__name__}: {getattr(inner, 'reason', None) or inner}"
