"""Files of torch.save that are hostile, damaged, or something else: an InputError each, in bounded memory."""

import io
import os
import pickle
import re
import struct
import tarfile
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


class Runs:
    """Its pickle runs a command where it is read by pickle."""

    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


SYSTEM = writer.named("os", "system")
COMMAND = writer.text("touch executed")
ORDERED = writer.named("collections", "OrderedDict")
FLOATS = writer.named("torch", "FloatStorage")
EMPTY = writer.storage("empty", "FloatStorage", 0)
# What must not be executed, and what of it the error names.
HOSTILE = {
    "REDUCE": (writer.call(SYSTEM, COMMAND), "'os.system'"),
    "posix": (writer.call(writer.named("posix", "system"), COMMAND), "'posix.system'"),
    "eval": (writer.call(writer.named("builtins", "eval"), writer.text("open('executed', 'w')")), "'builtins.eval'"),
    "Python 2": (writer.call(writer.named("__builtin__", "eval"), COMMAND), "'__builtin__.eval'"),
    "getattr": (writer.call(writer.named("builtins", "getattr"), SYSTEM, COMMAND), "'builtins.getattr'"),
    "dotted": (writer.named("collections", "OrderedDict.__init__.__globals__"), "OrderedDict.__init__.__globals__'"),
    "module dotted": (writer.named("torch._utils._rebuild_tensor_v2", "__globals__"), "'torch._utils._rebuild_"),
    "STACK_GLOBAL": (writer.text("os") + writer.text("system") + b"\x93" + COMMAND + b"\x85R", "'os.system'"),
    "odd names": (writer.text("o\udc80s\n") + writer.text("x" * 10**6) + b"\x93", r"'o\\udc80s\\n.xxx"),
    "numbers as names": (b"K\x01K\x02\x93", ""),
    "INST": (b"(" + COMMAND + b"ios\nsystem\n", "INST"),
    "OBJ": (b"(" + SYSTEM + COMMAND + b"o", "'os.system'"),
    "OBJ of a tensor": (b"(" + ORDERED + b"o", "OBJ"),
    "NEWOBJ": (writer.named("subprocess", "Popen") + COMMAND + b"\x85\x81", "'subprocess.Popen'"),
    "NEWOBJ of a tensor": (ORDERED + b")\x81", "NEWOBJ"),
    "NEWOBJ_EX": (ORDERED + b")}\x92", "NEWOBJ_EX"),
    "BUILD": (FLOATS + writer.row(b"}", b"}") + b"b", "state"),
    "BUILD with __setstate__": (writer.ordered({}) + writer.call(SYSTEM, COMMAND) + b"b", "'os.system'"),
    "BUILD of a tensor": (writer.plain("x", np.ones(1)) + b"}b", "state"),
    "BUILD of a function": (ORDERED + b"}b", "state"),
    "EXT1": (b"\x82\x01", "EXT1"),
    "EXT4": (b"\x84\x01\x00\x00\x00", "EXT4"),
    "text": (b"I1\n", "INT"),
    "PERSID": (b"Pmodule\n", "PERSID"),
    "BYTEARRAY8": (b"\x96" + b"\xff" * 7 + b"\x7f", "BYTEARRAY8"),
    "a call of text": (writer.call(COMMAND, COMMAND), ""),
    "a call of a storage": (writer.call(FLOATS, b"K\x01"), ""),
    "an OrderedDict of items": (writer.call(ORDERED, b"](" + b"K\x01K\x02\x86" + b"e"), ""),
    "a tensor of text": (
        writer.call(writer.named("torch._utils", "_rebuild_tensor_v2"), COMMAND, b"K\x00", b")", b")"),
        "tensor",
    ),
    "a parameter of text": (writer.call(writer.named("torch._utils", "_rebuild_parameter"), COMMAND), "parameter"),
    "a module by reference": (writer.row(writer.text("module"), writer.text("x")) + b"Q", "module"),
    "another reference": (writer.row(writer.text("file"), writer.text("/etc/passwd")) + b"Q", "no storage"),
    "a list as reference": (b"]Q", "no storage"),
    "a storage of a class": (
        writer.row(writer.text("storage"), writer.ordered({}), writer.text("0"), writer.text("cpu"), b"K\x01") + b"Q",
        "no storage",
    ),
    "two storages of a name": (writer.storage("a", "FloatStorage", 1) + writer.storage("a", "DoubleStorage", 1), "'a'"),
    "items of a list": (b"](" + COMMAND + b"K\x01u", "items"),
    "append to a dictionary": (b"}K\x01a", ""),
    "a key without a value": (b"}(K\x01u", ""),
    "a list as a key": (b"}](K\x01eK\x01s", "key"),
    "a float as a key": (b"}G" + struct.pack(">d", 1) + b"K\x01s", "key"),
    "numbers of one hash as keys": (b"}" + writer.number(2**61 - 1) + b"K\x01s", "key"),
    "nothing there": (b"h\x05", ""),
    "an empty stack": (b"0", "POP"),
    "no mark": (b"tt", ""),
    "no such opcode": (b"\xff", "255"),
    "no text": (b"X\x01\x00\x00\x00\xff", ""),
    "a huge text": (b"X\xff\xff\xff\xff", ""),
    "a huge text, 8 bytes": (b"\x8d" + b"\xff" * 8, "BINUNICODE8"),
    "a negative length": (b"T\xff\xff\xff\xff", ""),
    "a huge number": (b"\x8b\xff\xff\xff\x7f", "LONG4"),
    "a huge frame": (b"\x95" + b"\xff" * 8 + b"\xff", ""),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickles_are_refused_and_not_executed(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    value, message = HOSTILE[name]
    said = refused(tmp_path, with_value(value))
    assert re.search(message, said), said
    assert "Nothing of it was executed" in said
    assert "torch.save(model.state_dict()" in said
    assert re.search(message, refused(tmp_path, writer.legacy_file(value, {})))
    assert not Path("executed").exists()


def test_what_python_itself_pickles(tmp_path, monkeypatch):
    """Objects that run a command, in every protocol and place; the same bytes are harmful to pickle."""
    monkeypatch.chdir(tmp_path)
    harmful = pickle.dumps(Runs(os.mkdir, "made"))
    pickle.loads(harmful)
    assert Path("made").exists()
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        for harm in (Runs(os.mkdir, "executed"), {"a": [Runs(exec, "import os; os.mkdir('executed')")]}, Path("x")):
            data = pickle.dumps(harm, protocol)
            refused(tmp_path, data)
            for member in ("data.pkl", "version", "byteorder"):
                refused(tmp_path, writer.zip_file(writer.members(b"N", {}) | {f"archive/{member}": data}))
            head = writer.pickled(writer.number(0x1950A86A20F9469CFC6C)) + writer.pickled(writer.number(1001))
            refused(tmp_path, head + data)
            refused(tmp_path, head + writer.pickled(b"}") + data)
    assert not Path("executed").exists()


LAUGHS = b")" + b"q\x00h\x00\x86" * 1000
BOMBS = {
    # A tuple of the one before, twice: 2 ** 1000 values when printed, compared or hashed.
    "a billion laughs": LAUGHS,
    "as a key": b"}" + LAUGHS + b"K\x01s",
    "deep": b")" + b"\x85" * 60_000,
    "deep marks": b"(" * 60_000,
    "opcodes": b"N" * 350_000,
    "one long text": writer.text("x" * 2**23),
    "a memo far away": b"Nr\xff\xff\xff\x7f",
    "names without an end": b"c" + b"x" * 10**6,
    "the largest numbers": writer.tensor(writer.storage("0", "FloatStorage", 2**2000), (2**2000,) * 3, (0,) * 3),
    "many axes": writer.tensor(EMPTY, (2**2000,) * 10_000, (0,) * 10_000),
    "stride 0": writer.tensor(EMPTY, (8, 2**40), (0, 0)),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs(name, tmp_path):
    value = writer.ordered({"lstm_1.bias_ih_l0": BOMBS[name]})
    for data in (
        writer.zip_file(writer.members(value, {"empty": b""})),
        writer.legacy_file(value, {"empty": np.ones(0, "f4")} if EMPTY in value else {}),
    ):
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
        ((8,), (2,), 0),
        ((8,), (1,), 1),
        ((8,), (1,), 2**70),
        ((8,), (1,), -1),
        ((8,), (-1,), 7),
        ((8,), (0,), 8),
        ((8,), (2**62,), 0),
        ((8,), (), 0),
        ((8,), (1, 1), 0),
        ((-8,), (1,), 0),
        ((2**63,), (0,), 0),
        ((16,), (0,), 0),
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
        (without, "member 'data/3' is missing"),
        ({**MEMBERS, "archive/data/3": b"\0" * 12}, "'3' has 12 bytes, expected 8 float32"),
        ({**MEMBERS, "archive/data/3": b"\0" * 99}, "member 'data/3' has 99 bytes, expected 32"),
        ({**MEMBERS, "archive/byteorder": b"middle"}, "byteorder is b'middle'"),
        ({**MEMBERS, "archive/byteorder": b"x" * 10**6}, "1,000,000 bytes"),
        ({**MEMBERS, "archive/data.pkl": b"\0" * (2**21 + 1)}, "2,097,152"),
        ({"data.pkl": writer.pickled(VALUE)}, "'data.pkl' is missing"),
        ({"a/weights.npy": b""}, r"NumPy's \.npz"),
        ({**MEMBERS, "archive/constants.pkl": b""}, "TorchScript"),
        ({**MEMBERS, "archive/code/network.py": b""}, "TorchScript"),
        ({f"archive/{i}": b"" for i in range(10_001)}, "more than 10,000 members"),
    ):
        said = refused(tmp_path, writer.zip_file(content))
        assert re.search(message, said), said


def test_members_that_are_not_what_they_say(tmp_path):
    bomb = writer.zip_file({**MEMBERS, "archive/data/3": b"\0" * 10**7}, zipfile.ZIP_DEFLATED)
    assert "compressed" in refused(tmp_path, bomb)
    data = writer.zip_file(MEMBERS)
    weights = STORAGES["0"].tobytes()
    assert "Bad CRC" in refused(tmp_path, data.replace(weights[:16], b"\0" * 16))
    central = data.rindex(b"PK\1\2")
    encrypted = bytearray(data)
    encrypted[data.index(b"PK\1\2") + 8] |= 1
    assert "encrypted" in refused(tmp_path, bytes(encrypted))
    # The last member with the length of the whole file: it begins before the others end.
    long = bytearray(data)
    long[central + 20 : central + 28] = struct.pack("<II", len(data), len(data))
    assert "its members have" in refused(tmp_path, bytes(long))
    file = io.BytesIO(data)
    with zipfile.ZipFile(file, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("archive/data/3", b"\0" * 32)
    assert "twice" in refused(tmp_path, file.getvalue())


def test_legacy_files_that_are_damaged(tmp_path):
    good = writer.legacy_file(VALUE, STORAGES)
    assert "7 bytes follow" in refused(tmp_path, good + b"\0" * 7)
    assert "ends too early, in its storage '11'" in refused(tmp_path, good[:-1])
    two = dict(list(STORAGES.items())[:2])
    assert "keys is not that of its tensors" in refused(tmp_path, writer.legacy_file(VALUE, two))
    assert "'3' has 36 bytes" in refused(tmp_path, writer.legacy_file(VALUE, {**STORAGES, "3": np.ones(9, "f4")}))
    magic = writer.pickled(writer.number(0x1950A86A20F9469CFC6C))
    assert "no magic number" in refused(tmp_path, writer.pickled(b"K\x01"))
    assert "no magic number" in refused(tmp_path, writer.pickled(b"}"))
    assert "version 1001" in refused(tmp_path, magic + writer.pickled(b"K\x01"))
    twice = good.replace(writer.text("1") + writer.text("2") + writer.text("3"), writer.text("1") * 3)
    assert "keys" in refused(tmp_path, twice)


@pytest.mark.parametrize("name", ["zip.pt", "legacy.pt"])
def test_files_that_end_too_early(name, tmp_path):
    data = (FILES / name).read_bytes()
    for end in range(0, len(data), 97):
        refused(tmp_path, data[:end])


@pytest.mark.parametrize("name", ["zip.pt", "legacy.pt", "training.pt", "module.pt"])
def test_damaged_files(name, tmp_path):
    """Bytes changed at random: an InputError, or weights where no checksum knows better."""
    rng = np.random.default_rng(0)
    original = np.frombuffer((FILES / name).read_bytes(), np.uint8)
    path, errors = tmp_path / "file.pt", 0
    for _ in range(100):
        data = original.copy()
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
        value = b"".join(values[i] for i in rng.integers(len(values), size=20))
        refused(tmp_path, with_value(value))


def test_other_formats_are_named(tmp_path):
    def tar() -> bytes:
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w") as archive:
            archive.addfile(tarfile.TarInfo("storages"))
        return file.getvalue()

    array = io.BytesIO()
    np.savez(array, a=np.ones(2))
    header = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    for data, name in (
        (b"", "is empty"),
        (b"\x89HDF\r\n\x1a\n" + b"\0" * 99, "HDF5"),
        (tar(), "tar archive"),
        (b"\x1f\x8b" + b"\0" * 99, "gzip"),
        (array.getvalue(), r"NumPy's \.npz"),
        (b"\x93NUMPY" + b"\0" * 99, r"NumPy's \.npy"),
        (struct.pack("<Q", len(header)) + header + b"\0" * 4, "safetensors"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS"),
        (b"\n<!DOCTYPE html><html>", "HTML"),
        ((FILES / "module.pt").read_bytes(), r"'__main__\.Network', which is no part of tensors"),
    ):
        said = refused(tmp_path, data)
        assert re.search(name, said), said
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
