"""Arrays in a file, as numpy.savez writes them, and the safe reading of such files.

What is expected is known before anything is read: names, dtypes and shapes. Nothing is unpickled, and members must be
stored uncompressed, so that a file is never larger in memory than on disk.
"""

import io
import math
import zipfile
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

import numpy as np

from metaser_jax import untrusted

_SUFFIX = ".npy"
# Of an array in a file, besides its numbers: zip's headers and NumPy's.
_AROUND = 2**12
# Of a text, a file's path at most.
_MOST_CHARACTERS = 2**12
# However many clips the settings say.
_MAX_BYTES = 2**30


class Spec(NamedTuple):
    """A type of an array. Attributes: dtype, None for text of any length (<U...); shape."""

    dtype: np.dtype | None
    shape: tuple[int, ...]

    def __str__(self) -> str:
        name = "text" if self.dtype is None else self.dtype.name if self.dtype.isnative else self.dtype.str
        return f"{name}[{', '.join(map(str, self.shape))}]"


def check_names(got: Iterable[str], want: Iterable[str]) -> None:
    """Raise ValueError that names what lacks, or is too much."""
    got, want = set(got), set(want)
    for names, what in ((want - got, "lacks"), (got - want, "has, and should not have,")):
        if names:
            raise ValueError(f"it {what} {', '.join(sorted(names))}")


def check(arrays: Mapping[str, np.ndarray], want: Mapping[str, Spec], positive: Collection[str] = ()) -> None:
    """Raise ValueError unless these are the arrays that are wanted, all their numbers finite, and of some positive."""
    check_names(arrays, want)
    for name, array in arrays.items():
        dtype, shape = want[name]
        if array.shape != shape or (array.dtype.kind != "U" if dtype is None else array.dtype != dtype):
            raise ValueError(f"{name} is {Spec(array.dtype, array.shape)}, expected {want[name]}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{name} has numbers that are not finite")
        # What is divided by, in float32. A network's outputs are bounded, and may hide it.
        if name in positive and not (array.astype(np.float32) > 0).all():
            raise ValueError(f"{name} has numbers that are not positive")


def most_bytes(want: Mapping[str, Spec]) -> int:
    """Return what a file of these arrays takes at most."""
    text = np.dtype(("U", _MOST_CHARACTERS))
    needed = ((text if dtype is None else dtype).itemsize * math.prod(shape) for dtype, shape in want.values())
    return min(_MAX_BYTES, sum(needed) + _AROUND * len(want))


def npz_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return a file as numpy.savez makes it, but the same each time, never pickled, with any names ("file" is one)."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in sorted(arrays.items()):
            with archive.open(zipfile.ZipInfo(name + _SUFFIX), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    return file.getvalue()


def read_npz(data: bytes, want: Mapping[str, Spec], positive: Collection[str] = ()) -> dict[str, np.ndarray]:
    """Return the arrays of an npz file, if they are those that are wanted.

    Args:
      data: the file.
      want: name -> what it must be.
      positive: names of those whose numbers must be.

    Raises:
      ValueError: anything else; the message says what.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
        names = [info.filename.removesuffix(_SUFFIX) for info in infos]
        check_names(names, want)
        if len(names) != len(want):
            raise ValueError("it has two arrays of the same name")
        if any(info.compress_type != zipfile.ZIP_STORED for info in infos):
            raise ValueError("it is compressed, expected it as numpy.savez stores it")
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            arrays = {name: np.asarray(stored[name]) for name in want}
        for name, array in arrays.items():
            if array.dtype.kind == "U":  # a code point that is none is a ValueError
                texts = [untrusted.plain(text) for text in array.ravel().tolist()]
                arrays[name] = np.array(texts, str).reshape(array.shape)
    except ValueError:
        raise
    # What zipfile raises of damage; and NumPy parses headers as Python's: of brackets in brackets it has enough.
    except Exception as error:
        raise ValueError(f"it cannot be read ({type(error).__name__}: {error})") from error
    check(arrays, want, positive)
    return arrays
