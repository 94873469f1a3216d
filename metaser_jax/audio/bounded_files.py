"""A file's bytes, in bounded memory and time: no pipe that never ends, nothing that would fill the memory."""

import errno
import os
import stat

# No recording or label file is as large; what says so is damaged, or meant to fill the memory.
MAX_BYTES = 2**28


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
        data = file.read(status.st_size)
    return data


def too_large(size: int, max_bytes: int, path: str) -> OSError:
    """Return the error for a file of `size` bytes."""
    return OSError(errno.EFBIG, f"{size:,} bytes, expected at most {max_bytes:,}", path)
