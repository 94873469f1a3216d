"""Reading untrusted files in bounded memory and time, and text without control characters."""

import errno
import json
import lzma
import os
import re
import stat
import struct
import zipfile
import zlib
from typing import Any

# No recording or label file is as large; what says so is damaged, or meant to fill the memory.
MAX_BYTES = 2**28
# What zipfile raises for an archive that is damaged, encrypted, or packed in a way that Python has not.
BAD_ARCHIVE = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError),
    *(RuntimeError, ValueError, LookupError, OSError),
)
# Of a whole number in JSON: more fit in no float64 and in no int64.
_MOST_DIGITS = 19
# Control characters but for tab and line feed, and halves of surrogate pairs.
_NOT_PLAIN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def read_bytes(path: str | os.PathLike[str], max_bytes: int = MAX_BYTES) -> bytes:
    """Return the content of a regular file.

    Raises:
      OSError: it is not there, is no regular file or larger; strerror says what is wrong.
    """
    # A pipe is not waited for, neither here nor between the look at it and the reading of it.
    with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb") as file:
        status = os.fstat(file.fileno())
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "no regular file", os.fspath(path))
        if status.st_size > max_bytes:
            raise too_large(status.st_size, max_bytes, os.fspath(path))
        # No more than that: of a larger number a buffer of that size would be made first.
        return file.read(status.st_size)


def too_large(size: int, max_bytes: int, path: str) -> OSError:
    """Return the error for a file of `size` bytes."""
    return OSError(errno.EFBIG, f"{size:,} bytes, expected at most {max_bytes:,}", path)


def plain(text: str) -> str:
    r"""Return a text without what a terminal obeys or UTF-8 lacks: ESC becomes \x1b. Lines and tabs stay."""
    return _NOT_PLAIN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def parse_json(text: str | bytes) -> Any:
    """Return what JSON says, its texts `plain`.

    Raises:
      ValueError: it is no JSON in UTF-8, is nested too deeply, or has a whole number of more than 64 bits.
    """
    try:
        return _plain(json.loads(text if isinstance(text, str) else text.decode("utf-8"), parse_int=_whole))
    except RecursionError as error:
        raise ValueError("brackets in brackets, without end") from error


def _whole(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"a whole number of {len(digits)} digits, expected at most {_MOST_DIGITS}")
    return int(digits)


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {plain(name): _plain(item) for name, item in value.items()}
    return value
