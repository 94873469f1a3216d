"""Recordings as a program that takes anybody's files must expect them: whole, damaged, lying, or something else."""

import io
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
    *((suffix, suffix.upper(), "PCM_16") for suffix in ("wav", "flac", "aiff", "w64", "caf", "au", "rf64")),
    *(("ogg", "OGG", "VORBIS"), ("opus", "OGG", "OPUS"), ("mp3", "MP3", "MPEG_LAYER_III")),
)
_BOMB = 2**28 + 1


class Case(NamedTuple):
    """One file.

    Attributes:
      path: where it is; it need not exist, or be a file.
      expected: "reads"; "silent", it reads and nothing can be heard in it; "error"; or "either" of them, whichever.
    """

    path: Path
    expected: str


def cases(folder: Path) -> list[Case]:
    """Write all files into an empty folder, in a second or two."""
    found = [*_long(folder), *_no_files(folder)]
    for make in (_whole, _no_sound, _truncated, _lying, _odd_samples):
        for name, data, expected in make():
            (folder / name).write_bytes(data)
            found.append(Case(folder / name, expected))
    return found


def sound(seconds: float = 0.5, channels: int = 1, rate: int = RATE) -> np.ndarray:
    """Return noise, [n, channels] float32."""
    return noise(seconds, channels, rate)


def encoded(samples: np.ndarray, rate: int = RATE, kind: str = "WAV", subtype: str | None = None) -> bytes:
    """Return the bytes of a sound file."""
    return sounds.encoded(samples, rate, kind, subtype)


def _whole():
    """Yield a file of each format; with another format's name; of many channels and high rates."""
    data = {suffix: encoded(sound(), RATE, *kind) for suffix, *kind in _KINDS}
    named = {"flac.wav": "flac", "wav.mp3": "wav", "wav.txt": "wav", "mp3.wav": "mp3", "wav.m4a": "wav", "wav": "wav"}
    files = {f"whole.{suffix}": of for suffix, of in data.items()} | {name: data[of] for name, of in named.items()}
    files["-- \n'\"<b>&.WAV"] = data["wav"]
    files |= {f"{channels}.wav": encoded(sound(0.2, channels)) for channels in (8, 200)}
    files |= {f"{rate}.wav": encoded(sound(0.2, rate=rate), rate) for rate in (1000, 8000, 192_000, 384_000)}
    files["8.flac"] = encoded(sound(0.2, 8, 96000), 96000, "FLAC")
    files["8_192000.wav"] = encoded(sound(0.1, 8, 192_000), 192_000, subtype="FLOAT")
    return ((name, of, "reads") for name, of in files.items())


def _no_sound():
    contents = {
        "empty.wav": b"",
        "one_byte.wav": b"R",
        "text.wav": b"These are my notes.\n" * 50,
        "pickle.ogg": pickle.dumps({"a": list(range(1000))}),
        "picture.wav": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(2000),
        "nothing_but_ff.mp3": b"\xff" * 5000,
        "phone.m4a": b"\x00\x00\x00\x20ftypM4A \x00\x00\x02\x00" + bytes(2000),
        "browser.webm": b"\x1aE\xdf\xa3\x9fB\x86\x81\x01" + bytes(2000),
        "phone.amr": b"#!AMR\n" + bytes(2000),
        "stream.aac": b"\xff\xf1\x50\x80\x2e\x7f\xfc" * 300,
        "speex.ogg": b"OggS\x00\x06" + bytes(20) + b"\x01\x50Speex   " + bytes(2000),
        "pointer.wav": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 123\n",
        "media.wma": b"0&\xb2u\x8ef\xcf\x11\xa6\xd9\x00\xaa\x00b\xcel" + bytes(2000),
    }
    # A folder of zeros beyond what is read, and one that says that it is small.
    packed = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = b"".join(packed.compress(bytes(2**20)) for _ in range(_BOMB >> 20)) + packed.compress(b"\0") + packed.flush()
    contents |= dict.fromkeys(("bomb.wav", "bomb.zip", "bomb.mp3"), zip_of(body, _BOMB))
    contents["lying_bomb.zip"] = zip_of(body, 44)
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as file:
        file.writestr("a.wav", encoded(sound()))
    contents |= {"cut.zip": whole.getvalue()[:-30], "text.zip": b"no archive" * 20}
    return ((name, data, "error") for name, data in contents.items())


def zip_of(deflated: bytes, size: int) -> bytes:
    """Return an archive with one member a.wav, which it says has so many bytes."""
    name = b"a.wav"
    common = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 33, 0, len(deflated), size, len(name), 0)
    local = b"PK\x03\x04" + common + name + deflated
    entry = b"PK\x01\x02" + struct.pack("<H", 20) + common + struct.pack("<HHHII", 0, 0, 0, 0, 0) + name
    return local + entry + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(entry), len(local), 0)


def _truncated():
    for suffix, *kind in _KINDS:
        data = encoded(sound(), RATE, *kind)
        for share in (0.02, 0.6, 1 - 1.5 / len(data)):
            # Of an mp3, which has no end, a few bytes less may be a whole one.
            yield f"cut_{share:.4f}.{suffix}", data[: int(share * len(data))], "either" if suffix == "mp3" else "error"


def _lying():
    """Yield files whose headers say what is not so."""
    wav = encoded(sound())

    def changed(start: int, new: bytes) -> bytes:
        return wav[:start] + new + wav[start + len(new) :]

    files = {f"rate_{rate}.wav": changed(24, struct.pack("<I", rate)) for rate in (0, 999, 10_000_000, 2**32 - 1)}
    files |= {f"channels_{n}.wav": changed(22, struct.pack("<H", n)) for n in (0, 2000, 65535)}
    files["much.wav"] = changed(wav.index(b"data") + 4, struct.pack("<I", 2**30))
    files |= {"bits.wav": changed(34, b"\0\0"), "codec.wav": changed(20, b"\x99\x99"), "fmt.wav": wav[:12] + wav[36:]}
    # libsndfile decodes more of it than it promises, at first more than there is room for.
    mp3 = bytearray(encoded(sound(0.15), kind="MP3"))
    mp3[mp3.rindex(mp3[:2], 0, mp3.rindex(mp3[:2]))] = 0
    flac = bytearray(encoded(sound(), kind="FLAC"))
    flac[21:26] = bytes([flac[21] | 0x0F, 0xFF, 0xFF, 0xFF, 0xFF])  # 2^36 samples
    files |= {"more.mp3": bytes(mp3), "samples.flac": bytes(flac)}
    yield from ((name, data, "error") for name, data in files.items())
    yield "chunks.wav", wav[:12] + b"junk\0\0\0\0" * 200_000 + wav[12:], "either"


def _odd_samples():
    for name, value in (("nan", np.nan), ("inf", np.inf), ("minus_inf", -np.inf), ("huge", 1e30)):
        for suffix, subtype in (("wav", "FLOAT"), ("caf", "DOUBLE")):
            samples = sound(channels=2)
            samples[7, 1] = value
            yield f"{name}.{suffix}", encoded(samples, RATE, suffix.upper(), subtype), "error"
    yield "nothing_else.wav", encoded(np.full((3000, 1), np.nan), subtype="FLOAT"), "error"
    yield "unscaled.wav", encoded(sound() * 2**31, subtype="FLOAT"), "reads"
    for suffix, *kind in _KINDS[:2]:
        yield f"none.{suffix}", encoded(sound(0), RATE, *kind), "error"
        yield f"one.{suffix}", encoded(np.full((1, 1), 0.5), RATE, *kind), "error"
    yield "clipped.wav", encoded(np.sign(sound()) * 0.9999), "reads"
    yield "constant.wav", encoded(np.full((8000, 1), 0.1)), "error"
    yield "opposite.wav", encoded(sound() * [[1, -1]]), "reads"
    yield "silence.wav", encoded(np.zeros((8000, 1))), "silent"
    yield "off.wav", encoded(np.sign(sound()) / 2**15), "silent"


def _long(folder: Path):
    """Yield two hours: all of it in a small file, a header of a sparse one, and one that is too large to read."""
    silence = folder / "two_hours.flac"
    with soundfile.SoundFile(silence, "w", 8000, 1) as file:
        for _ in range(72):
            file.write(np.zeros(800_000, np.int16))
    yield Case(silence, "error")
    for name, rate in (("two_hours.wav", 16000), ("two_hours_48k.wav", 48000)):
        size = 2 * rate * 7200
        head = b"RIFF" + struct.pack("<I", size + 36) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, rate, 0, 2, 16)
        (folder / name).write_bytes(head + b"data" + struct.pack("<I", size))
        os.truncate(folder / name, size + 44)
        yield Case(folder / name, "error")


def _no_files(folder: Path):
    (folder / "folder.wav").mkdir()
    os.mkfifo(folder / "pipe.wav")
    for name, target in (("link", "nowhere.wav"), ("loop", "loop.wav"), ("zero", "/dev/zero")):
        (folder / f"{name}.wav").symlink_to(folder / target)
    return (Case(folder / f"{name}.wav", "error") for name in ("folder", "pipe", "link", "loop", "zero", "vanished"))
