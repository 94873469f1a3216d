"""Files of torch.save that are hostile, damaged, or something else: an InputError each, in bounded memory."""

import io
import os
import pickle
import re
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch_writer as writer

from metaser_jax import InputError, load_torch_checkpoint
from metaser_jax.recogniser import torch_files
from metaser_jax.recogniser.torch_files import read_torch_file

FILES = Path(__file__).parent / "torch_files"
WEIGHTS = writer.network()


def refused(folder: Path, data: bytes) -> str:
    """The error's text."""
    path = folder / "file.pt"
    path.write_bytes(data)
    with pytest.raises(InputError) as raised:
        load_torch_checkpoint(path)
    message = str(raised.value)
    assert message.startswith(str(path))
    assert len(message) < 1500
    return message


def with_value(value: bytes) -> bytes:
    """A file in which this is one of the values."""
    return writer.zip_file(writer.members(writer.ordered({"lstm_1.bias_ih_l0": value}), {}))


SYSTEM = writer.named("os", "system")
COMMAND = writer.text("touch executed")
ORDERED = writer.named("collections", "OrderedDict")
FLOATS = writer.named("torch", "FloatStorage")
REBUILD = writer.named("torch._utils", "_rebuild_tensor_v2")
PARAMETER = writer.named("torch._utils", "_rebuild_parameter")
EMPTY = writer.storage("empty", "FloatStorage", 0)
OF_CLASS = writer.row(writer.text("storage"), ORDERED, writer.text("0"), writer.text("cpu"), b"K\x01") + b"Q"
# What must not be executed, and what of it the error names.
HOSTILE = [
    (writer.call(SYSTEM, COMMAND), "'os.system'"),
    (writer.call(writer.named("builtins", "eval"), writer.text("open('executed', 'w')")), "'builtins.eval'"),
    (writer.call(writer.named("__builtin__", "eval"), COMMAND), "'__builtin__.eval'"),  # Python 2
    (writer.named("collections", "OrderedDict.__init__.__globals__"), "OrderedDict.__init__.__globals__'"),
    (writer.text("os") + writer.text("system") + b"\x93" + COMMAND + b"\x85R", "'os.system'"),
    (writer.text("o\udc80s\n") + writer.text("x" * 10**6) + b"\x93", r"'o\\udc80s\\n.xxx"),
    (b"K\x01K\x02\x93", ""),  # numbers as names
    *((code, "opcode") for code in (b"(" + COMMAND + b"ios\nsystem\n", b"(" + ORDERED + b"o", ORDERED + b")\x81")),
    *((code, "opcode") for code in (ORDERED + b")}\x92", b"\x82\x01", b"\x84\x01\0\0\0", b"I1\n", b"Pmodule\n", b"0")),
    *((code + b"\xff" * 7 + b"\x7f", "opcode") for code in (b"\x96", b"\x8d", b"\x8b", b"\xff")),  # huge
    *((code + b"\xff" * 8 + b"\xff", "") for code in (b"\x95", b"X", b"T")),
    *((value + b"}b", "state") for value in (FLOATS, writer.plain("x", np.ones(1)), ORDERED)),
    (writer.call(COMMAND, COMMAND), ""),
    (writer.call(ORDERED, b"](" + b"K\x01K\x02\x86" + b"e"), ""),
    (writer.call(REBUILD, COMMAND, b"K\x00", b")", b")"), "tensor"),
    (writer.call(PARAMETER, COMMAND), "parameter"),
    (writer.row(writer.text("module"), writer.text("x")) + b"Q", "module"),
    *((value, "no storage") for value in (writer.row(writer.text("file"), writer.text("/x")) + b"Q", b"]Q", OF_CLASS)),
    (writer.storage("a", "FloatStorage", 1) + writer.storage("a", "DoubleStorage", 1), "'a'"),
    (b"](" + COMMAND + b"K\x01u", "items"),
    *((value, "") for value in (b"}K\x01a", b"}(K\x01u", b"h\x05", b"tt", b"X\x01\0\0\0\xff")),
    *((b"}" + key + b"K\x01s", "key") for key in (b"](K\x01e", b"G" + bytes(8), writer.number(2**61 - 1))),
]


@pytest.mark.parametrize(("value", "message"), HOSTILE)
def test_hostile_pickles_are_refused_and_not_executed(value, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for data in (with_value(value), writer.legacy_file(value, {})):
        said = refused(tmp_path, data)
        assert re.search(message, said), said
        assert "Nothing of it was executed" in said
    assert not Path("executed").exists()


class Runs:
    """Its pickle runs a command where it is read by pickle."""

    def __reduce__(self):
        return os.mkdir, ("executed",)


def test_what_python_itself_pickles(tmp_path, monkeypatch):
    """Objects that run a command, in every protocol and place."""
    monkeypatch.chdir(tmp_path)
    head = writer.pickled(writer.number(0x1950A86A20F9469CFC6C)) + writer.pickled(writer.number(1001))
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        data = pickle.dumps({"a": [Runs()]}, protocol)
        members = [writer.members(b"N", {}) | {f"archive/{name}": data} for name in ("data.pkl", "byteorder")]
        for harmful in (data, head + data, head + writer.pickled(b"}") + data, *map(writer.zip_file, members)):
            refused(tmp_path, harmful)
    assert not Path("executed").exists()
    pickle.loads(data)
    assert Path("executed").exists()


LAUGHS = b")" + b"q\x00h\x00\x86" * 1000
BOMBS = [
    # A tuple of the one before, twice: 2 ** 1000 values when printed, compared or hashed.
    LAUGHS,
    b"}" + LAUGHS + b"K\x01s",
    b")" + b"\x85" * 60_000,
    b"(" * 60_000,
    b"N" * 350_000,
    writer.text("x" * 2**23),
    b"Nr\xff\xff\xff\x7f",
    b"c" + b"x" * 10**6,
    writer.tensor(writer.storage("0", "FloatStorage", 2**2000), (2**2000,) * 3, (0,) * 3),
    writer.tensor(EMPTY, (2**2000,) * 10_000, (0,) * 10_000),
    writer.tensor(EMPTY, (8, 2**40), (0, 0)),
]


@pytest.mark.parametrize("bomb", BOMBS, ids=len)
def test_bombs(bomb, tmp_path):
    value = writer.ordered({"lstm_1.bias_ih_l0": bomb})
    legacy = writer.legacy_file(value, {"empty": np.ones(0, "f4")} if EMPTY in value else {})
    for data in (writer.zip_file(writer.members(value, {"empty": b""})), legacy):
        tracemalloc.start()
        try:
            refused(tmp_path, data)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 80e6


@pytest.mark.parametrize(
    ("shape", "stride", "offset"),
    [
        *(((8,), (step,), 0) for step in (2, 2**62)),
        *(((8,), (1,), offset) for offset in (1, 2**70, -1)),
        *(((8,), (-1,), 7), ((8,), (0,), 8), ((8,), (), 0), ((8,), (1, 1), 0)),
        *(((-8,), (1,), 0), ((2**63,), (0,), 0), ((16,), (0,), 0)),
    ],
)
def test_tensors_that_lead_out_of_their_storage(shape, stride, offset, tmp_path):
    def read(*view):
        tensor = writer.tensor(writer.storage("0", "FloatStorage", 8), *view)
        path = tmp_path / "file.pt"
        path.write_bytes(writer.zip_file(writer.members(tensor, {"0": np.arange(8, dtype=np.float32).tobytes()})))
        return read_torch_file(path)

    file = read((1, 2, 1), (2**90, 1, 2**70), 1)  # an axis of one may have any stride
    np.testing.assert_array_equal(file.array(file.value), [[[1], [2]]])
    file = read(shape, stride, offset)
    with pytest.raises(ValueError, match=r"8 numbers|negative"):
        file.array(file.value)


VALUE, STORAGES = writer.state_dict(WEIGHTS)
MEMBERS = writer.members(VALUE, {key: array.tobytes() for key, array in STORAGES.items()})


def test_zip_archives_that_are_none_of_pytorch(tmp_path):
    without = {name: data for name, data in MEMBERS.items() if name != "archive/data/3"}
    for content, message in (
        (without, "'data/3' is missing"),
        ({**MEMBERS, "archive/data/3": b"\0" * 12}, "12 bytes, expected 8 float32"),
        ({**MEMBERS, "archive/data/3": b"\0" * 99}, "99 bytes, expected 32"),
        ({**MEMBERS, "archive/byteorder": b"middle"}, "b'middle'"),
        ({**MEMBERS, "archive/byteorder": b"x" * 10**6}, "1,000,000 bytes"),
        ({**MEMBERS, "archive/data.pkl": b"\0" * (2**21 + 1)}, "2,097,152"),
        ({"data.pkl": writer.pickled(VALUE)}, "'data.pkl' is missing"),
        ({**MEMBERS, "archive/constants.pkl": b""}, "TorchScript"),
        ({**MEMBERS, "archive/code/network.py": b""}, "TorchScript"),
        ({f"archive/{i}": b"" for i in range(10_001)}, "more than 10,000 members"),
    ):
        assert message in refused(tmp_path, writer.zip_file(content))


def test_members_that_are_not_what_they_say(tmp_path):
    bomb = writer.zip_file({**MEMBERS, "archive/data/3": b"\0" * 10**7}, zipfile.ZIP_DEFLATED)
    assert "compressed" in refused(tmp_path, bomb)
    data = writer.zip_file(MEMBERS)
    assert "Bad CRC" in refused(tmp_path, data.replace(STORAGES["0"].tobytes()[:16], b"\0" * 16))
    encrypted = bytearray(data)
    encrypted[data.index(b"PK\1\2") + 8] |= 1
    assert "encrypted" in refused(tmp_path, bytes(encrypted))
    # The last member with the length of the whole file: it begins before the others end.
    central, long = data.rindex(b"PK\1\2"), bytearray(data)
    long[central + 20 : central + 28] = struct.pack("<II", len(data), len(data))
    assert "its members have" in refused(tmp_path, bytes(long))
    file = io.BytesIO(data)
    with zipfile.ZipFile(file, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("archive/data/3", b"\0" * 32)
    assert "twice" in refused(tmp_path, file.getvalue())


def test_legacy_files_that_are_damaged(tmp_path):
    good = writer.legacy_file(VALUE, STORAGES)
    magic = writer.pickled(writer.number(0x1950A86A20F9469CFC6C))
    twice = good.replace(writer.text("1") + writer.text("2") + writer.text("3"), writer.text("1") * 3)
    for data, message in (
        (good + b"\0" * 7, "7 bytes follow"),
        (good[:-1], "storage '11'"),
        (writer.legacy_file(VALUE, dict(list(STORAGES.items())[:2])), "keys"),
        (writer.legacy_file(VALUE, {**STORAGES, "3": np.ones(9, "f4")}), "'3' has 36 bytes"),
        (writer.pickled(b"K\x01"), "magic number"),
        (writer.pickled(b"}"), "magic number"),
        (magic + writer.pickled(b"K\x01"), "version"),
        (twice, "keys"),
    ):
        assert message in refused(tmp_path, data)


@pytest.mark.parametrize("name", ["zip.pt", "legacy.pt"])
def test_damaged_files(name, tmp_path):
    """They end too early; or bytes are changed: an InputError, or weights where no checksum knows better."""
    whole, path, errors = (FILES / name).read_bytes(), tmp_path / "file.pt", 0
    for end in range(0, len(whole), 97):
        refused(tmp_path, whole[:end])
    rng = np.random.default_rng(0)
    for _ in range(100):
        data = np.frombuffer(whole, np.uint8).copy()
        at = rng.integers(len(data), size=rng.integers(1, 9))
        data[at] = rng.integers(256, size=len(at))
        path.write_bytes(data.tobytes())
        try:
            load_torch_checkpoint(path)
        except InputError:
            errors += 1
    assert errors > 10


def test_random_opcodes(tmp_path):
    """Of those that are read, so that they come further than random bytes do."""
    rng = np.random.default_rng(0)
    opcodes = [b"(", b"t", b"}", b"]", b")", b"N", b"a", b"e", b"s", b"u", b"R", b"b", b"Q", b"q\0", b"h\0", b"\x86"]
    values = [*opcodes, b"K\1", COMMAND, writer.ordered({}), writer.plain("0", np.ones(2)), b"\x94", b"\x85", b"\x93"]
    for _ in range(200):
        refused(tmp_path, with_value(b"".join(values[i] for i in rng.integers(len(values), size=20))))


def test_other_formats_are_named(tmp_path):
    array = io.BytesIO()
    np.savez(array, a=np.ones(2))
    header = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    for data, name in (
        (b"", "is empty"),
        (b"\x89HDF\r\n\x1a\n" + b"\0" * 99, "HDF5"),
        (b"\0" * 257 + b"ustar" + b"\0" * 250, "tar archive"),
        (b"\x1f\x8b" + b"\0" * 99, "gzip"),
        (array.getvalue(), "NumPy's .npz"),
        (b"\x93NUMPY" + b"\0" * 99, "NumPy's .npy"),
        (struct.pack("<Q", len(header)) + header + b"\0" * 4, "safetensors"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS"),
        (b"\n<!DOCTYPE html><html>", "HTML"),
        ((FILES / "module.pt").read_bytes(), "'__main__.Network'"),
    ):
        said = refused(tmp_path, data)
        assert name in said
        assert "torch.save(model.state_dict()" in said


def test_what_is_no_file_or_too_large(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file.pt").write_bytes(writer.saved(WEIGHTS))
    for path, message in (
        (tmp_path, "cannot be read: Is a directory"),
        (tmp_path / "pipe", "no regular file"),
        (tmp_path / "absent.pt", "cannot be read: No such file"),
        ("a\0b", "cannot be read"),
    ):
        with pytest.raises(InputError, match=message):
            load_torch_checkpoint(path)
    load_torch_checkpoint(tmp_path / "file.pt")
    os.truncate(tmp_path / "file.pt", torch_files.MAX_BYTES + 1)
    with pytest.raises(InputError, match="134,217,729"):
        load_torch_checkpoint(tmp_path / "file.pt")
