"""Recordings as a program that takes anybody's files must expect them: whole, damaged, lying, or something else."""

import gzip
import io
import json
import os
import pickle
import struct
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import sounds
from sounds import noise

RATE = 16000
# (suffix, libsndfile's format, subtype)
_KINDS = (
    ("wav", "WAV", "PCM_16"),
    ("flac", "FLAC", "PCM_16"),
    ("ogg", "OGG", "VORBIS"),
    ("opus", "OGG", "OPUS"),
    ("mp3", "MP3", "MPEG_LAYER_III"),
    ("aiff", "AIFF", "PCM_16"),
    ("w64", "W64", "PCM_16"),
    ("caf", "CAF", "PCM_16"),
    ("au", "AU", "PCM_16"),
    ("rf64", "RF64", "PCM_16"),
)
_BOMB = 2**28 + 1


class Case(NamedTuple):
    """One file.

    Attributes:
      name: what it is.
      path: where it is; it need not exist, or be a file.
      expected: "reads"; "silent", it reads and nothing can be heard in it; "error"; or "either" of them, whichever.
    """

    name: str
    path: Path
    expected: str


def cases(folder: Path) -> list[Case]:
    """Writes all files into an empty folder, in a second or two."""
    return [
        Case(name, path, expected)
        for make in (_whole, _no_sound, _truncated, _lying, _odd_samples, _long, _no_files)
        for name, path, expected in make(folder)
    ]


def sound(seconds: float = 0.5, channels: int = 1, rate: int = RATE) -> np.ndarray:
    """Return noise, [n, channels] float32."""
    return noise(seconds, channels, rate)


def encoded(samples: np.ndarray, rate: int = RATE, kind: str = "WAV", subtype: str | None = None) -> bytes:
    """Return the bytes of a sound file."""
    return sounds.encoded(samples, rate, kind, subtype)


def _write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _whole(folder):
    """Of each format; with another format's name; of many channels and high rates."""
    data = {suffix: encoded(sound(), RATE, *kind) for suffix, *kind in _KINDS}
    for suffix in data:
        yield f"a whole {suffix}", _write(folder / f"whole.{suffix}", data[suffix]), "reads"
    for suffix, name in (("flac", "flac.wav"), ("wav", "wav.mp3"), ("wav", "wav.txt"), ("mp3", "mp3.wav")):
        yield f"{name}, of another format", _write(folder / name, data[suffix]), "reads"
    yield "wav named m4a", _write(folder / "wav.m4a", data["wav"]), "reads"
    yield "wav without a suffix", _write(folder / "wav", data["wav"]), "reads"
    yield "wav with an odd name", _write(folder / "-- \n'\"<b>&.WAV", data["wav"]), "reads"
    for channels in (8, 200):
        yield f"{channels} channels", _write(folder / f"{channels}.wav", encoded(sound(0.2, channels))), "reads"
    eight = encoded(sound(0.2, 8, 96000), 96000, "FLAC")
    yield "8 channels of 96 kHz in a flac", _write(folder / "8.flac", eight), "reads"
    for rate in (1000, 8000, 192_000, 384_000):
        yield f"{rate} Hz", _write(folder / f"{rate}.wav", encoded(sound(0.2, rate=rate), rate)), "reads"
    high = encoded(sound(0.1, 8, 192_000), 192_000, subtype="FLOAT")
    yield "8 channels of 192 kHz in floats", _write(folder / "8_192000.wav", high), "reads"


def _no_sound(folder):
    png = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(2000)
    mp4 = b"\x00\x00\x00\x20ftypM4A \x00\x00\x02\x00" + bytes(2000)
    contents = {
        "empty.wav": b"",
        "empty.flac": b"",
        "one_byte.wav": b"R",
        "text.wav": b"These are my notes.\n" * 50,
        "page.mp3": b"<!doctype html><html><body>404 Not Found</body></html>",
        "json.flac": json.dumps({"error": "not found"}).encode(),
        "pickle.ogg": pickle.dumps({"a": list(range(1000))}),
        "picture.wav": png,
        "gzip.aiff": gzip.compress(encoded(sound())),
        "noise.wav": np.random.default_rng(1).bytes(5000),
        "zeros.caf": bytes(5000),
        "nothing_but_ff.mp3": b"\xff" * 5000,
        "phone.m4a": mp4,
        "mpeg4.wav": mp4,
        "browser.webm": b"\x1aE\xdf\xa3\x9fB\x86\x81\x01" + bytes(2000),
        "phone.amr": b"#!AMR\n" + bytes(2000),
        "stream.aac": b"\xff\xf1\x50\x80\x2e\x7f\xfc" * 300,
        "speex.ogg": b"OggS\x00\x06" + bytes(20) + b"\x01\x50Speex   " + bytes(2000),
        "pointer.wav": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 123\n",
        "media.wma": b"0&\xb2u\x8ef\xcf\x11\xa6\xd9\x00\xaa\x00b\xcel" + bytes(2000),
    }
    for name, data in contents.items():
        yield name, _write(folder / name, data), "error"
    # A folder of zeros beyond what is read, and one that says that it is small.
    packed = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = b"".join(packed.compress(bytes(2**20)) for _ in range(_BOMB >> 20)) + packed.compress(b"\0") + packed.flush()
    bomb = zip_of(body, _BOMB)
    for name in ("bomb.wav", "bomb.zip", "bomb.mp3"):
        yield f"zip bomb named {name}", _write(folder / name, bomb), "error"
    yield "zip bomb that says 44 bytes", _write(folder / "lying_bomb.zip", zip_of(body, 44)), "error"
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as file:
        file.writestr("a.wav", encoded(sound()))
    yield "truncated zip", _write(folder / "cut.zip", whole.getvalue()[:-30]), "error"
    yield "text named zip", _write(folder / "text.zip", b"no archive" * 20), "error"


def zip_of(deflated: bytes, size: int) -> bytes:
    """Return an archive with one member a.wav, which it says has so many bytes."""
    name = b"a.wav"
    common = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 33, 0, len(deflated), size, len(name), 0)
    local = b"PK\x03\x04" + common + name + deflated
    entry = b"PK\x01\x02" + struct.pack("<H", 20) + common + struct.pack("<HHHII", 0, 0, 0, 0, 0) + name
    return local + entry + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(entry), len(local), 0)


def _truncated(folder):
    for suffix, *kind in _KINDS:
        data = encoded(sound(), RATE, *kind)
        for share in (0.02, 0.6, 1 - 1.5 / len(data)):
            path = folder / f"cut_{share:.4f}.{suffix}"
            # Of an mp3, which has no end, a few bytes less may be a whole one.
            expected = "either" if suffix == "mp3" else "error"
            yield f"{suffix}, {share:.4f} of it", _write(path, data[: int(share * len(data))]), expected


def _lying(folder):
    """Headers that say what is not so."""
    wav = encoded(sound())
    at_data = wav.index(b"data") + 4

    def changed(start: int, new: bytes) -> bytes:
        return wav[:start] + new + wav[start + len(new) :]

    for rate in (0, 1, 999, 10_000_000, 2**32 - 1):
        yield f"{rate} Hz", _write(folder / f"rate_{rate}.wav", changed(24, struct.pack("<I", rate))), "error"
    for channels in (0, 2000, 65535):
        data = changed(22, struct.pack("<H", channels))
        yield f"{channels} channels", _write(folder / f"channels_{channels}.wav", data), "error"
    yield "a gigabyte promised", _write(folder / "much.wav", changed(at_data, struct.pack("<I", 2**30))), "error"
    yield "bits of 0", _write(folder / "bits.wav", changed(34, b"\0\0")), "error"
    yield "unknown codec", _write(folder / "codec.wav", changed(20, b"\x99\x99")), "error"
    yield "no fmt", _write(folder / "fmt.wav", wav[:12] + wav[36:]), "error"
    chunks = wav[:12] + b"junk\0\0\0\0" * 200_000 + wav[12:]
    yield "very many chunks", _write(folder / "chunks.wav", chunks), "either"
    # libsndfile decodes more of it than it promises, at first more than there is room for.
    mp3 = bytearray(encoded(sound(0.15), kind="MP3"))
    mp3[mp3.rindex(mp3[:2], 0, mp3.rindex(mp3[:2]))] = 0
    yield "mp3 without a frame", _write(folder / "more.mp3", bytes(mp3)), "error"
    flac = bytearray(encoded(sound(), kind="FLAC"))
    flac[21:26] = bytes([flac[21] | 0x0F, 0xFF, 0xFF, 0xFF, 0xFF])
    yield "flac of 2^36 samples", _write(folder / "samples.flac", bytes(flac)), "error"


def _odd_samples(folder):
    for name, value in (("nan", np.nan), ("inf", np.inf), ("minus_inf", -np.inf), ("huge", 1e30)):
        for suffix, subtype in (("wav", "FLOAT"), ("caf", "DOUBLE")):
            samples = sound(channels=2)
            samples[7, 1] = value
            data = encoded(samples, RATE, suffix.upper(), subtype)
            yield f"{name} in a {suffix}", _write(folder / f"{name}.{suffix}", data), "error"
    nothing_else = encoded(np.full((3000, 1), np.nan), subtype="FLOAT")
    yield "nothing but NaN", _write(folder / "nothing_else.wav", nothing_else), "error"
    unscaled = encoded(sound() * 2**31, subtype="FLOAT")
    yield "in the range of integers", _write(folder / "unscaled.wav", unscaled), "reads"
    for suffix, *kind in (_KINDS[0], _KINDS[1]):
        yield f"no samples in {suffix}", _write(folder / f"none.{suffix}", encoded(sound(0), RATE, *kind)), "error"
        one = encoded(np.full((1, 1), 0.5), RATE, *kind)
        yield f"one sample in {suffix}", _write(folder / f"one.{suffix}", one), "error"
    clipped = np.sign(sound()) * 0.9999
    yield "nothing but full scale", _write(folder / "clipped.wav", encoded(clipped)), "reads"
    constant = encoded(np.full((8000, 1), 0.1))
    yield "a constant", _write(folder / "constant.wav", constant), "error"
    yield "opposite channels", _write(folder / "opposite.wav", encoded(sound() * [[1, -1]])), "reads"
    yield "digital silence", _write(folder / "silence.wav", encoded(np.zeros((8000, 1)))), "silent"
    yield "one step of noise", _write(folder / "off.wav", encoded(np.sign(sound()) / 2**15)), "silent"


def _long(folder):
    """Two hours: all of it in a small file, a header of a sparse one, and one that is too large to read."""
    silence = folder / "two_hours.flac"
    with soundfile.SoundFile(silence, "w", 8000, 1) as file:
        for _ in range(72):
            file.write(np.zeros(800_000, np.int16))
    yield "two hours of silence", silence, "error"
    for name, rate in (("two_hours.wav", 16000), ("two_hours_48k.wav", 48000)):
        size = 2 * rate * 7200
        head = b"RIFF" + struct.pack("<I", size + 36) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, rate, 0, 2, 16)
        path = _write(folder / name, head + b"data" + struct.pack("<I", size))
        os.truncate(path, size + 44)
        yield f"two hours of {rate} Hz, sparse", path, "error"


def _no_files(folder):
    (folder / "folder.wav").mkdir()
    yield "a folder", folder / "folder.wav", "error"
    os.mkfifo(folder / "pipe.wav")
    yield "a pipe", folder / "pipe.wav", "error"
    (folder / "link.wav").symlink_to(folder / "nowhere.wav")
    yield "a link to nothing", folder / "link.wav", "error"
    (folder / "loop.wav").symlink_to(folder / "loop.wav")
    yield "a link to itself", folder / "loop.wav", "error"
    (folder / "zero.wav").symlink_to("/dev/zero")
    yield "a device", folder / "zero.wav", "error"
    yield "a file that has vanished", folder / "vanished.wav", "error"
