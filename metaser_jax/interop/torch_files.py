"""Files of torch.save, without PyTorch: what they hold, and the numbers of their tensors.

There are two formats. Since PyTorch 1.6 a file is a zip archive of one folder: data.pkl, the pickle; data/KEY, the
bytes of each storage; byteorder. Before, and still on request, it is a row of pickles (a magic number, the version, the
system, what was saved, the storages' keys), followed by each storage's number of elements and its bytes.

A file is read once, and every size in it is compared with the bytes that are there before anything is made of it.
"""

import hashlib
import io
import math
import os
import stat
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from metaser_jax.errors import InputError
from metaser_jax.interop import torch_pickle
from metaser_jax.interop.torch_pickle import PickleError, Storage, Tensor, shown

MAX_BYTES = 2**27
"""Of a file. The authors' network takes 0.9 MB, and with Adam's state three times that."""

_MAX_MEMBERS = 10_000
_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_VERSION = 1001
_FLOATS = {"float64": "f8", "float32": "f4", "float16": "f2", "bfloat16": "u2"}
ADVICE = "In PyTorch, save the weights alone, torch.save(model.state_dict(), 'weights.pt'), and give that file."


class TorchFile(NamedTuple):
    """A file of torch.save.

    Attributes:
      path: of the file. sha256: hexadecimal.
      value: what was saved: dictionaries, lists, tuples, text, numbers, and descriptions of tensors.
    """

    path: Path
    sha256: str
    value: Any
    storages: Mapping[str, memoryview]
    order: str

    def array(self, tensor: Tensor) -> np.ndarray:
        """Return the numbers of a tensor of `value`, float64, float32 or float16 (bfloat16 as float32).

        Raises:
          ValueError: numbers that are no floats, or lie outside of the tensor's storage.
        """
        return _array(tensor, self.storages[tensor.storage.key], self.order)


def read_torch_file(path: str | os.PathLike[str]) -> TorchFile:
    """Read a file of torch.save; run no code from it.

    Raises:
      InputError: it cannot be read, is of another format, damaged, larger than MAX_BYTES, or holds more than tensors,
        containers, text and numbers: a whole module, for one.
    """
    path = Path(path)
    data = _read(path)
    other = _other_format(path, data)
    if other:
        raise InputError(f"{path} is {other}, expected a file of torch.save. {ADVICE}")
    try:
        value, storages, order = (_zip if data.startswith(b"PK") else _legacy)(data)
    except PickleError as error:
        raise InputError(
            f"{path}: {error}. Nothing of it was executed; expected tensors in dictionaries, and nothing else. {ADVICE}"
        ) from error
    return TorchFile(path, hashlib.sha256(data).hexdigest(), value, storages, order)


def _read(path: Path) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # reading a pipe may never end
            raise InputError(f"{path} is no regular file, expected a file of torch.save.")
        if status.st_size > MAX_BYTES:
            raise InputError(
                f"{path} has {status.st_size:,} bytes, expected at most {MAX_BYTES:,}: the authors' network takes less "
                f"than a million. {ADVICE}"
            )
        with path.open("rb") as file:
            return file.read(status.st_size)
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from error


def _other_format(path: Path, data: bytes) -> str | None:
    """Return what else it is, by its first bytes."""
    header = int.from_bytes(data[:8], "little")
    known = {
        "empty": not data,
        "HDF5 (.h5, as of Keras)": data.startswith(b"\x89HDF\r\n\x1a\n"),
        "a tar archive, as of PyTorch before 0.1.10": data[257:262] == b"ustar",
        "a gzip archive": data.startswith(b"\x1f\x8b"),
        "NumPy's .npy": data.startswith(b"\x93NUMPY"),
        "a pointer of Git LFS, and not the file itself (git lfs pull)": data.startswith(b"version https://git-lfs"),
        "a page of HTML, and not the file itself": data[:256].lstrip().lower().startswith((b"<!doctype", b"<html")),
        "safetensors": data[8:9] == b"{" and 2 <= header <= len(data) - 8,
    }
    for name, is_it in known.items():
        if is_it:
            return name
    return None


def _zip(data: bytes) -> tuple[Any, dict[str, memoryview], str]:
    # Each member takes such a header; zipfile would make an object of every one.
    if data.count(b"PK\x01\x02") > _MAX_MEMBERS:
        raise PickleError(f"it is a zip archive of more than {_MAX_MEMBERS:,} members")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = _members(archive, len(data))
            loaded = torch_pickle.load(_member(archive, infos, "data.pkl", torch_pickle.MAX_BYTES))
            order = _member(archive, infos, "byteorder", 16) if "byteorder" in infos else b"little"
            if order not in (b"little", b"big"):
                raise PickleError(f"its byteorder is {order!r}, expected little or big")
            storages = {}
            for key, storage in loaded.storages.items():
                content = _member(archive, infos, f"data/{key}", storage.size)
                _check_size(storage, len(content))
                storages[key] = memoryview(content)
    except PickleError:
        raise
    # RuntimeError is of encryption and of methods that zipfile has not, the rest of damage.
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, ValueError, OverflowError, struct.error) as error:
        raise PickleError(f"it is a damaged zip archive ({error})") from error
    return loaded.value, storages, {b"little": "<", b"big": ">"}[order]


def _members(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """Return path below the one folder that all are in -> member."""
    names = [info.orig_filename for info in archive.infolist()]
    if any(name.endswith(".npy") for name in names):
        raise PickleError("it is NumPy's .npz")
    folders = {name.partition("/")[0] for name in names}
    if len(folders) != 1 or any(part in ("", ".", "..") for name in names for part in name.split("/")):
        raise PickleError("it is a zip archive, but not one folder of files")
    infos = {info.orig_filename.partition("/")[2]: info for info in archive.infolist()}
    if "constants.pkl" in infos or any(name.startswith("code/") for name in infos):
        raise PickleError("it is a program of TorchScript, from which torch.jit.load makes a model")
    if len(infos) != len(names):
        raise PickleError("it is a zip archive that has a member twice")
    if "data.pkl" not in infos:
        raise PickleError("it is a zip archive without data.pkl")
    for name, info in infos.items():
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise PickleError(f"its member {shown(name)} is compressed, which torch.save does not do")
    total = sum(info.file_size for info in infos.values())
    if total > size:  # they overlap
        raise PickleError(f"its members have {total:,} bytes, and the file {size:,}")
    return infos


def _member(archive: zipfile.ZipFile, infos: Mapping[str, zipfile.ZipInfo], name: str, most: int) -> bytes:
    if name not in infos:
        raise PickleError(f"its member {shown(name)} is missing")
    if infos[name].file_size > most:
        raise PickleError(f"its member {shown(name)} has {infos[name].file_size:,} bytes, expected at most {most:,}")
    return archive.read(infos[name])


def _legacy(data: bytes) -> tuple[Any, dict[str, memoryview], str]:
    try:
        magic = torch_pickle.load(data)
    except PickleError as error:
        raise PickleError(f"it begins with no magic number of torch.save ({error})") from error
    if type(magic.value) is not int or magic.value != _MAGIC:
        raise PickleError("it begins with no magic number of torch.save")
    version = torch_pickle.load(data, magic.end)
    if type(version.value) is not int or version.value != _LEGACY_VERSION:
        raise PickleError(f"its format is not that of version {_LEGACY_VERSION}")
    system = torch_pickle.load(data, version.end)
    loaded = torch_pickle.load(data, system.end)
    keys = torch_pickle.load(data, loaded.end)
    if type(keys.value) is not list or any(type(key) is not str for key in keys.value):
        raise PickleError("its storages have no list of keys")
    if len(set(keys.value)) != len(keys.value) or set(keys.value) != loaded.storages.keys():
        raise PickleError("its list of storages' keys is not that of its tensors")
    at, storages = keys.end, {}
    for key in keys.value:
        storage = loaded.storages[key]
        _check_size(storage, int.from_bytes(data[at : at + 8], "little") * torch_pickle.ITEM_BYTES[storage.dtype])
        at += 8
        if at + storage.size > len(data):
            raise PickleError(f"it ends too early, in its storage {shown(key)}")
        storages[key] = memoryview(data)[at : at + storage.size]
        at += storage.size
    if at != len(data):
        raise PickleError(f"{len(data) - at:,} bytes follow its last storage")
    # NOTE: these are written with the lowest byte first on every machine.
    return loaded.value, storages, "<"


def _check_size(storage: Storage, n_bytes: int) -> None:
    if n_bytes != storage.size:
        raise PickleError(
            f"its storage {shown(storage.key)} has {n_bytes:,} bytes, expected {storage.numel} {storage.dtype}"
        )


def _array(tensor: Tensor, data: memoryview, order: str) -> np.ndarray:
    storage, shape, stride = tensor.storage, tensor.shape, tensor.stride
    if storage.dtype not in _FLOATS:
        raise ValueError(f"holds {storage.dtype}, expected floats")
    if len(shape) > 8 or len(stride) != len(shape) or min((tensor.offset, *shape, *stride), default=0) < 0:
        raise ValueError("has a negative size, stride or offset, or too many axes")
    n = math.prod(shape)
    if not n:
        raise ValueError("is empty")
    last = tensor.offset + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
    # With a stride of 0 a few numbers could fill the memory.
    if n > storage.numel or last >= storage.numel:
        raise ValueError(f"needs more than the {storage.numel:,} numbers that are stored for it")
    flat = np.frombuffer(data, order + _FLOATS[storage.dtype])
    steps = [step * flat.itemsize if size > 1 else 0 for size, step in zip(shape, stride, strict=True)]
    view = np.lib.stride_tricks.as_strided(flat[tensor.offset :], shape, steps, writeable=False)
    if storage.dtype == "bfloat16":  # the upper half of a float32
        return (view.astype(np.uint32) << 16).view(np.float32)
    return view.astype(view.dtype.newbyteorder("="))
