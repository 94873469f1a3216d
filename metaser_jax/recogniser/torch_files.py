"""Files of torch.save, without PyTorch: what they hold, and the numbers of their tensors.

There are two formats. Since PyTorch 1.6 a file is a zip archive of one folder: data.pkl, the pickle; data/KEY, the
bytes of each storage; byteorder. Before, and still on request, it is a row of pickles (a magic number, the version, the
system, what was saved, the storages' keys), followed by each storage's number of elements and its bytes.

A pickle names what is to be called. Here it can name only the functions below, by which PyTorch makes tensors, and has
only the opcodes that tensors in dictionaries need, as PyTorch's own reader for weights_only=True; nothing is imported.
A file is read once, and every size in it is compared with the bytes that are there before anything is made of it.
"""

import dataclasses
import hashlib
import io
import math
import os
import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from metaser_jax import untrusted
from metaser_jax.errors import InputError

MAX_BYTES = 2**27
"""Bytes of a file."""

MAX_PICKLE_BYTES = 2**21
"""Bytes of one pickle. A state_dict's has a few kilobytes."""

ADVICE = "In PyTorch, save the weights alone, torch.save(model.state_dict(), 'weights.pt'), and give that file."
_MAX_MEMBERS = 10_000
_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_VERSION = 1001
_FLOATS = {"float64": "f8", "float32": "f4", "float16": "f2", "bfloat16": "u2"}
_DTYPES = {
    **{"DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16", "BFloat16Storage": "bfloat16"},
    **{"LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8"},
    **{"ByteStorage": "uint8", "BoolStorage": "bool"},
}
_ITEM_BYTES = {name: np.dtype(_FLOATS.get(name, name)).itemsize for name in _DTYPES.values()}


@dataclasses.dataclass(frozen=True, eq=False)
class Storage:
    """Numbers in the file. Attributes: key, their name there; dtype, as NumPy calls it; numel, how many."""

    key: str
    dtype: str
    numel: int

    @property
    def size(self) -> int:
        """In bytes."""
        return self.numel * _ITEM_BYTES[self.dtype]


@dataclasses.dataclass(frozen=True, eq=False)
class Tensor:
    """A view of a storage, as the pickle says it: numbers may lead anywhere. In elements, as PyTorch counts."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


class TorchFile(NamedTuple):
    """A file of torch.save.

    Attributes:
      path: of the file. sha256: hexadecimal.
      value: what was saved: dictionaries, lists, tuples, text, numbers, and Tensors.
      storages: bytes by key. order: of the bytes in a number, "<" or ">".
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
        flat = np.frombuffer(self.storages[storage.key], self.order + _FLOATS[storage.dtype])
        steps = [step * flat.itemsize if size > 1 else 0 for size, step in zip(shape, stride, strict=True)]
        view = np.lib.stride_tricks.as_strided(flat[tensor.offset :], shape, steps, writeable=False)
        if storage.dtype == "bfloat16":  # the upper half of a float32
            return (view.astype(np.uint32) << 16).view(np.float32)
        return view.astype(view.dtype.newbyteorder("="))


def read_torch_file(path: str | os.PathLike[str]) -> TorchFile:
    """Read a file of torch.save; run no code from it.

    Raises:
      InputError: it cannot be read, is of another format, damaged, larger than MAX_BYTES, or holds more than tensors,
        containers, text and numbers: a whole module, for one.
    """
    path = Path(path)
    try:
        data = untrusted.read_bytes(path, MAX_BYTES)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    if other := _other_format(data):
        raise InputError(f"{path} is {other}, expected a file of torch.save. {ADVICE}")
    try:
        value, storages, order = (_read_zip if data.startswith(b"PK") else _read_legacy)(data)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path}: {error}. Nothing of it was executed; expected tensors in dictionaries, and nothing else. {ADVICE}"
        ) from error
    return TorchFile(path, hashlib.sha256(data).hexdigest(), value, storages, order)


def quoted(text: str) -> str:
    """Return text from the file, for a message: quoted, and not longer than a line."""
    return repr(text if len(text) <= 80 else text[:77] + "...")


def _other_format(data: bytes) -> str | None:
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
    return next((name for name, is_it in known.items() if is_it), None)


def _read_zip(data: bytes) -> tuple[Any, dict[str, memoryview], str]:
    # Each member takes such a header; zipfile would make an object of every one.
    if data.count(b"PK\x01\x02") > _MAX_MEMBERS:
        raise pickle.UnpicklingError(f"it is a zip archive of more than {_MAX_MEMBERS:,} members")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = _members(archive, len(data))

            def read(name: str, most: int) -> bytes:
                if name not in infos:
                    raise pickle.UnpicklingError(f"its member {quoted(name)} is missing")
                size = infos[name].file_size
                if size > most:
                    raise pickle.UnpicklingError(f"its member {quoted(name)} has {size:,} bytes, expected {most:,}")
                return archive.read(infos[name])

            value, storages, _ = _unpickle(read("data.pkl", MAX_PICKLE_BYTES))
            order = read("byteorder", 16) if "byteorder" in infos else b"little"
            if order not in (b"little", b"big"):
                raise pickle.UnpicklingError(f"its byteorder is {order!r}, expected little or big")
            contents = {}
            for key, storage in storages.items():
                contents[key] = memoryview(read(f"data/{key}", storage.size))
                _check_size(storage, len(contents[key]))
    except pickle.UnpicklingError:
        raise
    except Exception as error:  # whatever zipfile raises of damage, encryption and methods that it has not
        raise pickle.UnpicklingError(f"it is a damaged zip archive ({error})") from error
    return value, contents, {b"little": "<", b"big": ">"}[order]


def _members(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """Return path below the folder that all are in -> member."""
    names = [info.orig_filename for info in archive.infolist()]
    infos = {info.orig_filename.partition("/")[2]: info for info in archive.infolist()}
    total = sum(info.file_size for info in infos.values())
    packed = any(i.compress_type != zipfile.ZIP_STORED or i.file_size != i.compress_size for i in infos.values())
    wrong = {
        "it is NumPy's .npz": any(name.endswith(".npy") for name in names),
        "it is a program of TorchScript, from which torch.jit.load makes a model": "constants.pkl" in infos
        or any(name.startswith("code/") for name in infos),
        "it is a zip archive that has a member twice": len(infos) != len(names),
        "it is a zip archive with compressed members, which torch.save does not make": packed,
        f"its members have {total:,} bytes, and the file {size:,}": total > size,  # they overlap
    }
    if what := next((what for what, is_it in wrong.items() if is_it), None):
        raise pickle.UnpicklingError(what)
    return infos


def _read_legacy(data: bytes) -> tuple[Any, dict[str, memoryview], str]:
    end = 0
    for what, expected in (("magic number", _MAGIC), ("format version", _LEGACY_VERSION)):
        got, _, end = _unpickle(data, end)
        if type(got) is not int or got != expected:
            raise pickle.UnpicklingError(f"it begins with no {what} of torch.save")
    _, _, end = _unpickle(data, end)  # the system
    value, storages, end = _unpickle(data, end)
    keys, _, at = _unpickle(data, end)
    texts = type(keys) is list and all(type(key) is str for key in keys)
    if not texts or len(set(keys)) != len(keys) or set(keys) != storages.keys():
        raise pickle.UnpicklingError("its list of storages' keys is not that of its tensors")
    contents = {}
    for key in keys:
        storage = storages[key]
        _check_size(storage, int.from_bytes(data[at : at + 8], "little") * _ITEM_BYTES[storage.dtype])
        at += 8
        if at + storage.size > len(data):
            raise pickle.UnpicklingError(f"it ends too early, in its storage {quoted(key)}")
        contents[key] = memoryview(data)[at : at + storage.size]
        at += storage.size
    if at != len(data):
        raise pickle.UnpicklingError(f"{len(data) - at:,} bytes follow its last storage")
    # NOTE: these are written with the lowest byte first on every machine.
    return value, contents, "<"


def _check_size(storage: Storage, n_bytes: int) -> None:
    if n_bytes != storage.size:
        expected = f"{storage.numel} {storage.dtype}"
        raise pickle.UnpicklingError(f"its storage {quoted(storage.key)} has {n_bytes:,} bytes, expected {expected}")


def _unpickle(data: bytes, start: int = 0) -> tuple[Any, dict[str, Storage], int]:
    """Read the pickle at `start`.

    Returns:
      What was pickled, all storages that it names, and where in the data it ends.

    Raises:
      pickle.UnpicklingError: it is damaged, too large, or has more than tensors, containers, text and numbers.
    """
    file = io.BytesIO(data[start : start + MAX_PICKLE_BYTES])
    unpickler = _Unpickler(file)
    try:
        value = unpickler.load()
    except pickle.UnpicklingError:
        raise
    except Exception as error:  # no stack, no memo, no text ...
        raise pickle.UnpicklingError(f"its pickle is damaged ({type(error).__name__})") from error
    return value, unpickler.storages, start + file.tell()


def _tensor(storage: Any, offset: Any, shape: Any, stride: Any, *others: Any) -> Tensor:
    numbers = (offset, *shape, *stride)
    if type(storage) is not Storage or any(type(number) is not int for number in numbers):
        raise pickle.UnpicklingError("its pickle has a tensor of something else than a storage and numbers")
    return Tensor(storage, offset, shape, stride)


def _parameter(tensor: Any, *others: Any) -> Tensor:
    if type(tensor) is not Tensor:
        raise pickle.UnpicklingError("its pickle has a parameter that is no tensor")
    return tensor


_NAMED = {
    **{f"torch.{name}": dtype for name, dtype in _DTYPES.items()},
    # Without items, which are set afterwards: a list of them could be given again and again, and fill the memory.
    "collections.OrderedDict": lambda: {},
    **dict.fromkeys(("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2"), _tensor),
    **{f"torch._utils._rebuild_parameter{kind}": _parameter for kind in ("", "_with_state")},
}
"""Names that a pickle can have: dtypes of storages, and what may be called."""

_OPCODES = (
    *("PROTO", "FRAME", "STOP", "MARK", "GLOBAL", "STACK_GLOBAL", "REDUCE", "BINPERSID", "APPEND", "APPENDS"),
    *("NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "MEMOIZE"),
    *("BINUNICODE", "SHORT_BINUNICODE", "BINSTRING", "SHORT_BINSTRING", "EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE"),
    *("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET"),
)


class _Methods(dict):
    """Opcode -> method, of those that may be used."""

    def __missing__(self, code: int) -> None:
        raise pickle.UnpicklingError(f"its pickle has the opcode {bytes([code])!r}, which tensors do not need")


class _Unpickler(pickle._Unpickler):  # pyright: ignore[reportAttributeAccessIssue]
    """Python's unpickler written in Python, with fewer opcodes, and names of _NAMED alone.

    That written in C makes room for a memo of any number, and cannot be kept from calling what is on its stack.
    Attributes: storages, those that were named, by key.
    """

    stack: list[Any]
    pop_mark: Callable[[], list[Any]]

    def __init__(self, file: io.BytesIO):
        super().__init__(file, encoding="latin-1")
        self.storages: dict[str, Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Return what is called so; nothing is imported."""
        if f"{module}.{name}" not in _NAMED:
            raise pickle.UnpicklingError(f"its pickle names {quoted(f'{module}.{name}')}, which is no part of tensors")
        return _NAMED[f"{module}.{name}"]

    def persistent_load(self, pid: Any) -> Storage:
        """Return the storage that the pickle refers to."""
        match pid:
            case ("storage", str(dtype), str(key), str(), int(numel), *view) if (
                dtype in _ITEM_BYTES and numel >= 0 and view in ([], [None])
            ):
                storage = self.storages.setdefault(key, Storage(key, dtype, numel))
                if (storage.dtype, storage.numel) != (dtype, numel):
                    raise pickle.UnpicklingError(f"its pickle says two different things of the storage {quoted(key)}")
                return storage
            case ("module", *_):
                raise pickle.UnpicklingError("it is a whole pickled module")
        raise pickle.UnpicklingError("its pickle refers to something in the file that is no storage of a tensor")

    def load_setitem(self) -> None:
        """Set one item of a dictionary."""
        self._set_items([self.stack.pop(-2), self.stack.pop()])

    def load_setitems(self) -> None:
        """Set the items of a dictionary since the mark."""
        self._set_items(self.pop_mark())

    def load_build(self) -> None:
        """Drop the attributes of an OrderedDict, which are the versions of PyTorch's modules."""
        state = self.stack.pop()
        if type(self.stack[-1]) is not dict or type(state) is not dict:
            raise pickle.UnpicklingError("its pickle sets the state of something else than a dictionary")

    def _set_items(self, items: list[Any]) -> None:
        keys, values = items[::2], items[1::2]
        if type(self.stack[-1]) is not dict:
            raise pickle.UnpicklingError("its pickle sets items of something else than a dictionary")
        # Keys that take long to hash, or of which many can have the same hash, could keep Python busy for hours.
        if not all(type(key) is str or (type(key) is int and abs(key) < 2**60) for key in keys):
            raise pickle.UnpicklingError("its pickle has a dictionary with a key that is no text")
        self.stack[-1].update(zip(keys, values, strict=True))

    dispatch: ClassVar = _Methods(
        {getattr(pickle, name)[0]: pickle._Unpickler.dispatch[getattr(pickle, name)[0]] for name in _OPCODES}  # pyright: ignore[reportAttributeAccessIssue]
        | {pickle.SETITEM[0]: load_setitem, pickle.SETITEMS[0]: load_setitems, pickle.BUILD[0]: load_build}
    )
