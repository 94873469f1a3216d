"""A pickle as torch.save writes it -> descriptions of its tensors; nothing of it is imported or called.

Python's own Unpickler calls what a pickle names, and asks only for permission. Here is instead an interpreter of the
few opcodes that tensors in dictionaries need, as PyTorch's for weights_only=True is; what it makes are the classes
below, dictionaries, lists, tuples, text and numbers. There is no opcode for anything else, so nothing else can happen.
"""

import dataclasses
import pickle
import struct
from typing import Any, NoReturn

MAX_BYTES, MAX_OPCODES = 2**23, 300_000
"""Of one pickle. A state_dict's has a few kilobytes, and 40 opcodes per tensor."""

ITEM_BYTES = {
    **{"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2},
    **{"int64": 8, "int32": 4, "int16": 2, "int8": 1, "uint8": 1, "bool": 1},
}


class PickleError(ValueError):
    """A pickle that is damaged, or is not of tensors alone."""


@dataclasses.dataclass(frozen=True, eq=False)
class Storage:
    """Numbers in the file. Attributes: key, their name there; dtype, of ITEM_BYTES; numel, how many."""

    key: str
    dtype: str
    numel: int

    @property
    def size(self) -> int:
        """In bytes."""
        return self.numel * ITEM_BYTES[self.dtype]


@dataclasses.dataclass(frozen=True, eq=False)
class Tensor:
    """A view of a storage, as the pickle says it: numbers may lead anywhere. In elements, as PyTorch counts."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class _Global:
    """What a pickle names, "module name"."""

    name: str


@dataclasses.dataclass(frozen=True)
class Loaded:
    """Attributes: value, what was pickled; storages, all that it names; end, where in the data the pickle ends."""

    value: Any
    storages: dict[str, Storage]
    end: int


def load(data: bytes, start: int = 0) -> Loaded:
    """Read the pickle at `start`.

    Raises:
      PickleError: it is damaged, too large, or has more than tensors, containers, text and numbers.
    """
    machine = _Machine(data, start)
    try:
        value = machine.run()
    except (IndexError, KeyError, UnicodeDecodeError, struct.error) as error:
        raise PickleError(f"its pickle is damaged at byte {machine.at:,}") from error
    return Loaded(value, machine.storages, machine.at)


_DTYPES = {
    **{"DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16", "BFloat16Storage": "bfloat16"},
    **{"LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8"},
    **{"ByteStorage": "uint8", "BoolStorage": "bool"},
}
_DTYPE_OF = {f"torch {name}": dtype for name, dtype in _DTYPES.items()}
_NUMBERS = {pickle.BININT: "<i", pickle.BININT1: "<B", pickle.BININT2: "<H", pickle.BINFLOAT: ">d"}
# Length of the length, and how the text is written; the last two are Python 2's.
_TEXTS = {
    pickle.BINUNICODE: ("<I", "utf-8"),
    pickle.SHORT_BINUNICODE: ("<B", "utf-8"),
    pickle.BINSTRING: ("<i", "latin-1"),
    pickle.SHORT_BINSTRING: ("<B", "latin-1"),
}
_CONSTANTS = {pickle.NONE: None, pickle.NEWTRUE: True, pickle.NEWFALSE: False, pickle.EMPTY_TUPLE: ()}
_TUPLES = {pickle.TUPLE1: 1, pickle.TUPLE2: 2, pickle.TUPLE3: 3}
_PUTS = {pickle.BINPUT: "<B", pickle.LONG_BINPUT: "<I"}
_GETS = {pickle.BINGET: "<B", pickle.LONG_BINGET: "<I"}


class _Machine:
    """The stack machine. Values are shared, never copied, compared or printed, so that nesting costs nothing."""

    def __init__(self, data: bytes, start: int):
        self.storages: dict[str, Storage] = {}
        self.at = start
        self._data = data
        self._end = min(len(data), start + MAX_BYTES)
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []  # what was the stack before each mark
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        for _ in range(MAX_OPCODES):
            code = self._take(1)
            if code == pickle.STOP:
                return self._stack.pop()
            self._step(code)
        raise PickleError(f"its pickle has more than {MAX_OPCODES:,} opcodes")

    def _step(self, code: bytes) -> None:
        stack = self._stack
        if code in _CONSTANTS:
            stack.append(_CONSTANTS[code])
        elif code in _NUMBERS:
            stack.append(self._number(_NUMBERS[code]))
        elif code in _TEXTS:
            form, encoding = _TEXTS[code]
            errors = "surrogatepass" if encoding == "utf-8" else "strict"
            stack.append(self._take(self._number(form)).decode(encoding, errors))
        elif code in _TUPLES:
            n = _TUPLES[code]
            if len(stack) < n:
                raise IndexError
            stack[-n:] = [tuple(stack[-n:])]
        elif code in _PUTS:
            self._memo[self._number(_PUTS[code])] = stack[-1]
        elif code in _GETS:
            stack.append(self._memo[self._number(_GETS[code])])
        else:
            self._other(code)

    def _other(self, code: bytes) -> None:
        match code:
            case pickle.PROTO:
                self._take(1)
            case pickle.FRAME:
                self._take(8)
            case pickle.MEMOIZE:
                self._memo[len(self._memo)] = self._stack[-1]
            case pickle.LONG1:
                self._stack.append(int.from_bytes(self._take(self._number("<B")), "little", signed=True))
            case pickle.MARK:
                self._below.append(self._stack)
                self._stack = []
            case pickle.TUPLE:
                items = self._to_mark()
                self._stack.append(tuple(items))
            case pickle.EMPTY_DICT:
                self._stack.append({})
            case pickle.EMPTY_LIST:
                self._stack.append([])
            case pickle.APPEND:
                self._extend([self._stack.pop()])
            case pickle.APPENDS:
                self._extend(self._to_mark())
            case pickle.SETITEM:
                value = self._stack.pop()
                self._update([self._stack.pop(), value])
            case pickle.SETITEMS:
                self._update(self._to_mark())
            case pickle.GLOBAL | pickle.INST:
                self._stack.append(_named(self._line(), self._line()))
                if code == pickle.INST:
                    _refuse_opcode(code)
            case pickle.STACK_GLOBAL:
                name = self._stack.pop()
                self._stack.append(_named(self._stack.pop(), name))
            case pickle.REDUCE:
                arguments = self._stack.pop()
                self._stack.append(_reduce(self._stack.pop(), arguments))
            case pickle.BUILD:
                # An OrderedDict's attributes, which are the versions of PyTorch's modules.
                state = self._stack.pop()
                if type(self._stack[-1]) is not dict or type(state) is not dict:
                    raise PickleError(f"its pickle sets the state of a {_kind(self._stack[-1])}")
            case pickle.BINPERSID:
                self._stack.append(self._storage(self._stack.pop()))
            case _:
                _refuse_opcode(code)

    def _take(self, n: int) -> bytes:
        if n < 0 or self.at + n > self._end:
            if self._end < len(self._data):
                raise PickleError(f"its pickle is longer than {MAX_BYTES:,} bytes")
            raise PickleError(f"its pickle ends too early, at byte {self.at:,}")
        self.at += n
        return self._data[self.at - n : self.at]

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _line(self) -> str:
        end = self._data.find(b"\n", self.at, self._end)
        return self._take((self._end if end < 0 else end) + 1 - self.at)[:-1].decode()

    def _to_mark(self) -> list[Any]:
        items, self._stack = self._stack, self._below.pop()
        return items

    def _extend(self, items: list[Any]) -> None:
        if type(self._stack[-1]) is not list:
            raise PickleError(f"its pickle appends to a {_kind(self._stack[-1])}")
        self._stack[-1].extend(items)

    def _update(self, items: list[Any]) -> None:
        if type(self._stack[-1]) is not dict:
            raise PickleError(f"its pickle sets items of a {_kind(self._stack[-1])}")
        _put(self._stack[-1], items[::2], items[1::2])

    def _storage(self, identity: Any) -> Storage:
        match identity:
            case ("storage", _Global(name), str(key), str(), int(numel), *view) if (
                type(identity) is tuple and name in _DTYPE_OF and numel >= 0 and view in ([], [None])
            ):
                storage = self.storages.setdefault(key, Storage(key, _DTYPE_OF[name], numel))
                if (storage.dtype, storage.numel) != (_DTYPE_OF[name], numel):
                    raise PickleError(f"its pickle says of the storage {shown(key)} that it is two different things")
                return storage
            case ("module", *_):
                raise PickleError("it is a whole pickled module")
        raise PickleError("its pickle refers to something in the file that is no storage of a tensor")


def shown(text: str) -> str:
    """Return text from the file, for a message: quoted, and not longer than a line."""
    return repr(text if len(text) <= 80 else text[:77] + "...")


def _named(module: Any, name: Any) -> _Global:
    if not (type(module) is str and type(name) is str):
        raise PickleError("its pickle names a class by something that is no text")
    if f"{module} {name}" not in _MAKERS | _DTYPE_OF:
        raise PickleError(f"its pickle names {shown(f'{module}.{name}')}, which is no part of tensors")
    return _Global(f"{module} {name}")


def _refuse_opcode(code: bytes) -> NoReturn:
    import pickletools

    known = pickletools.code2op.get(code.decode("latin-1"))
    what = f"the opcode {known.name}, which tensors do not need" if known else f"{code!r}, which is no opcode"
    raise PickleError(f"its pickle has {what}")


def _reduce(function: Any, arguments: Any) -> Any:
    if type(function) is not _Global or function.name not in _MAKERS or type(arguments) is not tuple:
        raise PickleError(f"its pickle calls a {_kind(function)}")
    made = _MAKERS[function.name](arguments)
    if made is None:
        raise PickleError(f"its pickle calls {function.name.replace(' ', '.')} with arguments that it does not take")
    return made


def _ordered_dict(arguments: tuple) -> dict | None:
    # Its items are set afterwards: a list of them could be given again and again, and each time fill the memory.
    return {} if arguments == () else None


def _tensor(arguments: tuple) -> Tensor | None:
    match arguments:
        case (Storage() as storage, int(offset), tuple(shape), tuple(stride), *_):
            if all(type(number) is int for number in (offset, *shape, *stride)):
                return Tensor(storage, offset, shape, stride)
    return None


def _parameter(arguments: tuple) -> Tensor | None:
    match arguments:
        case (Tensor() as tensor, *_):
            return tensor
    return None


_MAKERS = {
    "collections OrderedDict": _ordered_dict,
    "torch._utils _rebuild_tensor": _tensor,
    "torch._utils _rebuild_tensor_v2": _tensor,
    "torch._utils _rebuild_parameter": _parameter,
    "torch._utils _rebuild_parameter_with_state": _parameter,
}


def _put(into: dict, keys: list[Any], values: list[Any]) -> dict:
    if len(keys) != len(values):
        raise PickleError("its pickle has a key without a value")
    for key in keys:
        # Keys that take long to hash, or of which many can have the same hash, could keep Python busy for hours.
        if not (type(key) is str or (type(key) is int and abs(key) < 2**60)):
            raise PickleError(f"its pickle has a dictionary with a {_kind(key)} as a key, expected text")
    into.update(zip(keys, values, strict=True))
    return into


def _kind(value: Any) -> str:
    return value.name.replace(" ", ".") if type(value) is _Global else type(value).__name__
