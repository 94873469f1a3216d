"""Files of torch.save, byte by byte, so that they can be of any kind and wrong in every way."""

import io
import struct
import zipfile
from collections.abc import Mapping

import numpy as np

KINDS = {"f8": "DoubleStorage", "f4": "FloatStorage", "f2": "HalfStorage", "u2": "BFloat16Storage", "i8": "LongStorage"}


def text(value: str) -> bytes:
    encoded = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def number(value: int) -> bytes:
    encoded = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(encoded)]) + encoded


def row(*items: bytes) -> bytes:
    """A tuple."""
    return b"(" + b"".join(items) + b"t"


def named(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def call(function: bytes, *arguments: bytes) -> bytes:
    return function + row(*arguments) + b"R"


def ordered(items: Mapping[str, bytes]) -> bytes:
    """An OrderedDict."""
    pairs = b"".join(text(key) + value for key, value in items.items())
    return call(named("collections", "OrderedDict")) + b"(" + pairs + b"u"


def storage(key: str, kind: str, numel: int) -> bytes:
    return row(text("storage"), named("torch", kind), text(key), text("cpu"), number(numel)) + b"Q"


def tensor(of: bytes, shape: tuple[int, ...], stride: tuple[int, ...], offset: int = 0) -> bytes:
    numbers = row(*map(number, shape)), row(*map(number, stride))
    return call(named("torch._utils", "_rebuild_tensor_v2"), of, number(offset), *numbers, b"\x89", ordered({}))


def plain(key: str, array: np.ndarray) -> bytes:
    """A tensor that is all of its storage."""
    stride = tuple(step // array.itemsize for step in array.strides)
    return tensor(storage(key, KINDS[array.dtype.str[1:]], array.size), array.shape, stride)


def pickled(value: bytes) -> bytes:
    return b"\x80\x02" + value + b"."


def members(value: bytes, storages: Mapping[str, bytes], order: str = "little") -> dict[str, bytes]:
    """Of the zip format; value is not `pickled` yet."""
    data = {f"archive/data/{key}": content for key, content in storages.items()}
    return {"archive/data.pkl": pickled(value), "archive/byteorder": order.encode(), **data, "archive/version": b"3\n"}


def zip_file(content: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return file.getvalue()


def legacy_file(value: bytes, storages: Mapping[str, np.ndarray]) -> bytes:
    """The format before PyTorch 1.6; value is not `pickled` yet."""
    keys = b"](" + b"".join(map(text, storages)) + b"e"
    head = (number(0x1950A86A20F9469CFC6C), number(1001), b"}", value, keys)
    data = (struct.pack("<q", array.size) + array.tobytes() for array in storages.values())
    return b"".join(map(pickled, head)) + b"".join(data)


def network(hidden_dim: int = 2, n_classes: int = 4, inputs: int = 20, seed: int = 0) -> dict[str, np.ndarray]:
    """Random weights of the authors' network by their names, float32."""
    rng = np.random.default_rng(seed)
    shapes = {}
    for layer, width in (("lstm_1", inputs), ("lstm_2", hidden_dim)):
        for name, last in (("weight_ih", (width,)), ("weight_hh", (hidden_dim,)), ("bias_ih", ()), ("bias_hh", ())):
            shapes[f"{layer}.{name}_l0"] = (4 * hidden_dim, *last)
    for layer, outputs in (("hidden", hidden_dim), ("hidden2targ", n_classes)):
        shapes |= {f"{layer}.weight": (outputs, hidden_dim), f"{layer}.bias": (outputs,)}
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def mfcc() -> np.ndarray:
    """x [2, 120, 20] of the size of MFCC, zero-padded after 115 frames; the first a hundredth of that, not padded."""
    x = np.linspace(120, 5, 20) * np.random.default_rng(0).normal(size=(2, 120, 20)) - 300 * np.eye(20)[0]
    x[1, 115:] = 0
    x[0] /= 100
    return x.astype(np.float32)


def state_dict(weights: Mapping[str, np.ndarray]) -> tuple[bytes, dict[str, np.ndarray]]:
    """The pickle's value, and the storages."""
    value = ordered({name: plain(str(i), array) for i, (name, array) in enumerate(weights.items())})
    return value, {str(i): array for i, array in enumerate(weights.values())}


def saved(weights: Mapping[str, np.ndarray]) -> bytes:
    """A file of the zip format."""
    value, storages = state_dict(weights)
    return zip_file(members(value, {key: array.tobytes() for key, array in storages.items()}))
