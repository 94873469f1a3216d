"""Vectors of recordings that somebody gives, of an encoder of their own: FILE.npz or FILE.parquet -> Corpus.vectors.

Both have `file`, paths as prepared corpora and folders have them, or CORPUS/path where several corpora have the same
ones, and `vector`, [n, d] of at most 4,096 numbers each. In an .npz `file` may be called `path`: numpy.savez takes
no array of the name `file`. Nothing is unpickled.
"""

import dataclasses
import os
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from metaser_jax import untrusted
from metaser_jax.data.corpus import Corpus
from metaser_jax.errors import InputError
from metaser_jax.specs.network import MOST_NUMBERS, FrontEnd

MOST_BYTES = 2**31
# Named in a message.
_FEW = 3


class Embeddings(NamedTuple):
    """Vectors. Attributes: path: of their file; rows: file -> its row; vector: [n, d] float32."""

    path: str
    rows: dict[str, int]
    vector: np.ndarray


def read_embeddings(path: str | os.PathLike[str]) -> Embeddings:
    """Read vectors.

    Raises:
      InputError: it is not there, too large, damaged or has other columns; a file twice; vectors of different lengths,
        of none or more than 4,096 numbers, or not finite.
    """
    path = os.fspath(path)
    read = {".npz": _read_npz, ".parquet": _read_parquet}.get(Path(path).suffix)
    if read is None:
        raise InputError(f"--embeddings: got {path}, expected FILE.npz or FILE.parquet.")
    try:
        if os.path.getsize(path) > MOST_BYTES:
            raise ValueError(f"it is larger than {MOST_BYTES:,} bytes")
        file, vector = read(path)
    except untrusted.BAD_ARCHIVE as error:
        said = getattr(error, "strerror", None) or error
        raise InputError(f"--embeddings={path} cannot be used: {said}. Expected `file`, text, and `vector`.") from error
    if vector.ndim != 2 or len(vector) != len(file) or not 1 <= vector.shape[1] <= MOST_NUMBERS:
        got, most = f"vector of shape {list(vector.shape)} for {len(file)} files", f"[n, d], d at most {MOST_NUMBERS:,}"
        raise InputError(f"--embeddings={path}: got {got}, expected {most}.")
    if bad := [one for one, numbers in zip(file, vector, strict=True) if not np.isfinite(numbers).all()]:
        raise InputError(f"--embeddings={path}: {_named(bad)} has numbers that are not finite, expected none.")
    rows = {one: row for row, one in enumerate(file)}
    if len(rows) < len(file):
        twice = [one for row, one in enumerate(file) if rows[one] != row]
        raise InputError(f"--embeddings={path}: {_named(twice)} is there more than once, expected each file once.")
    return Embeddings(path, rows, vector)


def _read_npz(path: str) -> tuple[list[str], np.ndarray]:
    with zipfile.ZipFile(path) as archive:
        if sum(info.file_size for info in archive.infolist()) > MOST_BYTES:
            raise ValueError(f"unpacked it is larger than {MOST_BYTES:,} bytes")
    with np.load(path, allow_pickle=False) as stored:
        # numpy.savez itself takes no array of the name "file".
        file, vector = (np.asarray(stored[name]) for name in ("path" if "path" in stored else "file", "vector"))
    if file.dtype.kind != "U" or file.ndim != 1 or vector.dtype.kind != "f":
        raise ValueError(f"file is {file.dtype}{list(file.shape)} and vector {vector.dtype}")
    return file.tolist(), vector.astype(np.float32)


def _read_parquet(path: str) -> tuple[list[str], np.ndarray]:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise InputError(f"--embeddings={path} needs pyarrow: pip install pyarrow, or give an .npz.") from error
    try:
        table = pyarrow.parquet.read_table(path, columns=["file", "vector"])
        if table.nbytes > MOST_BYTES:
            raise ValueError(f"unpacked it is larger than {MOST_BYTES:,} bytes")
        file, vectors = (table.column(name).to_pylist() for name in ("file", "vector"))
    except pyarrow.ArrowException as error:
        raise ValueError(str(error).splitlines()[0]) from error
    if not all(isinstance(one, str) for one in file) or len({len(one or ()) for one in vectors}) != 1:
        raise ValueError("a file is no text, or vectors have different lengths")
    return file, np.array(vectors, np.float32)


def rows_of(embeddings: Embeddings, files: Sequence[str], corpus: str = "") -> np.ndarray:
    """Return the vectors of files, [n, 1, d] float32.

    Args: corpus: by whose name, before a slash, a file may be called.

    Raises:
      InputError: files without a vector.
    """
    named = [f"{corpus}/{one}" if f"{corpus}/{one}" in embeddings.rows else one for one in files]
    if missing := [one for one in named if one not in embeddings.rows]:
        got = f"--embeddings={embeddings.path}: {len(missing)} of {len(files)} files are missing: {_named(missing)}"
        raise InputError(f"{got}. Expected a row for each, called so.")
    return embeddings.vector[[embeddings.rows[one] for one in named]][:, None]


def name_below(name: str, folders: Sequence[str], embeddings: Embeddings) -> str:
    """Return what a recording is called in a file of vectors: its path below one of the folders, or as it was typed."""
    below = [
        os.path.relpath(name, one).replace(os.sep, "/") for one in folders if name.startswith(os.path.join(one, ""))
    ]
    return next((one for one in below if one in embeddings.rows), name)


def _named(files: Sequence[str]) -> str:
    return ", ".join(map(repr, files[:_FEW])) + (f" and {len(files) - _FEW} more" if len(files) > _FEW else "")


def with_embeddings(
    load: Callable[[str, str], Corpus], path: str | None, how: FrontEnd
) -> Callable[[str, str], Corpus]:
    """Return what reads prepared corpora with the vectors of a file, where the front end hears some.

    Raises:
      InputError: see embeddings_for.
    """
    embeddings = embeddings_for(path, how)
    if embeddings is None:
        return load

    def filled(name: str, data_dir: str) -> Corpus:
        corpus = load(name, data_dir)
        vectors = rows_of(embeddings, corpus.file.tolist(), name)
        return dataclasses.replace(corpus, vectors=vectors, vectors_of=how.embeddings_name)

    return filled


def embeddings_for(path: str | None, how: FrontEnd, name: str | None = None) -> Embeddings | None:
    """Return the vectors of a file for a front end that hears some; None for another.

    Args: name: of what made them, if it was said: --embeddings_name.

    Raises:
      InputError: the front end hears no such vectors, or there is no file; vectors of another length or name; of
        read_embeddings.
    """
    if how.features != "embeddings":
        if path is not None:
            raise InputError(f"--embeddings={path}: got --features={how.features}, expected embeddings. Leave it out.")
        return None
    made_by = how.embeddings_name or "an encoder without name"
    if path is None:
        raise InputError(f"--embeddings: got none, expected {made_by}'s vectors, {how.embedding_dim} numbers each.")
    if name is not None and name != how.embeddings_name:
        raise InputError(
            f"--embeddings_name: got {name!r}, expected {how.embeddings_name!r}, as the model has learned."
        )
    found = read_embeddings(path)
    if found.vector.shape[1] != how.embedding_dim:
        got = f"--embeddings={path}: got vectors of {found.vector.shape[1]} numbers"
        raise InputError(f"{got}, expected {how.embedding_dim} of {made_by} (--embedding_dim).")
    return found
