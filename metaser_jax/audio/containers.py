"""What a recording's bytes are by their headers: whole, truncated, or something else than sound that is read.

libsndfile reads a truncated file without a word, so the length that a container's header promises is compared with what
is there.
"""

import os
import shlex
from typing import NamedTuple

from metaser_jax.errors import RecordingError

# Programs that write a file into a pipe do not know its length and leave one of these in the header, or more: sox takes
# a number just under 2 GiB. Nothing that is read is as large.
_UNKNOWN_SIZE = 0x7F000000
# A header has a few.
_MAX_CHUNKS = 10_000

# What libsndfile does not read and people have, by suffix; ffmpeg makes a .wav of it.
CONVERTED = (".m4a", ".mp4", ".m4b", ".aac", ".wma", ".webm", ".mka", ".mkv", ".mov", ".amr", ".3gp", ".3g2")
_SOUND_TO_CONVERT = (  # (first byte, its bytes, what it is)
    (4, b"ftyp", "MPEG-4 sound or video (.m4a, .mp4, .3gp)"),
    (0, b"\x1aE\xdf\xa3", "Matroska or WebM sound or video (.webm, .mkv)"),
    (0, b"0&\xb2u\x8ef\xcf\x11", "Windows Media sound or video (.wma)"),
    (0, b"#!AMR", "AMR sound (.amr)"),
    (0, b"\xff\xf1", "AAC sound (.aac)"),
    (0, b"\xff\xf9", "AAC sound (.aac)"),
)
DAMAGED = "the audio is truncated or damaged"
_NEW = ("", "_converted")  # whether the name would be the same
_SOUND = (b"RIFF", b"RIFX", b"RF64", b"fLaC", b"OggS", b"FORM", b"caff", b"riff", b".snd", b"dns.", b"ID3")
_NO_SOUND = (
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"%PDF", "a PDF document"),
    (b"<", "a web page or XML"),
    (b"{", "JSON or other text"),
)


class _Chunks(NamedTuple):
    """A container of chunks, each a name, a length and content.

    Attributes:
      order: of the bytes in a number. first: where the chunks begin. audio: the name of the one with the sound.
      length: bytes of the number that is the length. whole: whether it counts name and number, too.
      align: chunks begin at multiples of it.
    """

    order: str
    first: int
    audio: bytes
    length: int = 4
    whole: bool = False
    align: int = 2


_W64_SUFFIX = b"\xf3\xac\xd3\x11\x8c\xd1\x00\xc0O\x8e\xdb\x8a"
_CHUNKS = {
    b"RIFF": _Chunks("little", 12, b"data"),
    b"RIFX": _Chunks("big", 12, b"data"),
    b"RF64": _Chunks("little", 12, b"data"),
    b"FORM": _Chunks("big", 12, b"SSND"),  # AIFF
    b"caff": _Chunks("big", 8, b"data", length=8, align=1),
    b"riff": _Chunks("little", 40, b"data" + _W64_SUFFIX, length=8, whole=True, align=8),  # W64
}


def completed(data: bytes, path: str) -> bytes:
    """Return the bytes of a recording whose container is complete.

    If the header of a .wav file was never completed (its lengths are 0), the audio reaches to the end of the file, and
    the bytes that are returned say so.

    Raises:
      RecordingError: it is truncated.
    """
    if data[:4] == b"OggS":
        _check_ogg(data, path)
    elif data[:4] in (b".snd", b"dns."):
        order = "big" if data[0:1] == b"." else "little"
        start, size = (int.from_bytes(data[i : i + 4], order) for i in (4, 8))
        _check_size(size, start, data, path)
    elif data[:4] in _CHUNKS:
        return _checked_chunks(data, path, _CHUNKS[data[:4]])
    return data


def described(data: bytes, path: str) -> tuple[str, str | None]:
    """Return what is found in place of sound that is read, and what to do, where converting it helps."""
    convertible = os.path.splitext(path)[1].lower() in CONVERTED
    for start, magic, what in _SOUND_TO_CONVERT:
        if data[start : start + len(magic)] == magic:
            return f"this is {what}, which is not read", conversion(path)
    if data.startswith(_SOUND):
        return DAMAGED, None
    what = next((f", it is {what}" for magic, what in _NO_SOUND if data[:100].lstrip().startswith(magic)), "")
    return f"this is not audio{what}", conversion(path) if convertible and not what else None


def conversion(path: str) -> str:
    """Return how to make a .wav file of a recording that is not read."""
    name = os.path.basename(path)
    stem, suffix = os.path.splitext(name)
    # A name that begins with a hyphen would be an option.
    old, new = (f"./{one}" if one.startswith("-") else one for one in (name, f"{stem}{_NEW[suffix == '.wav']}.wav"))
    return f"Convert it, e.g. with ffmpeg -i {shlex.quote(old)} {shlex.quote(new)}"


def _checked_chunks(data: bytes, path: str, chunks: _Chunks) -> bytes:
    position, named = chunks.first, len(chunks.audio)
    for _ in range(_MAX_CHUNKS):
        start = position + named + chunks.length
        if start > len(data):
            break
        size = int.from_bytes(data[position + named : start], chunks.order)
        size -= (named + chunks.length) * chunks.whole
        if data[position : position + named] == chunks.audio:
            if data[:4] == b"RF64" and size == 0xFFFFFFFF and data[12:16] == b"ds64":
                size = int.from_bytes(data[28:36], "little")
            unfinished = chunks.length == 4 and int.from_bytes(data[4:8], chunks.order) <= start
            if size == 0 and start < len(data) and unfinished:
                return data[: start - 4] + b"\xff" * 4 + data[start:]
            _check_size(size, start, data, path)
            break
        if size < 0:
            break
        position = -(-(start + size) // chunks.align) * chunks.align
    return data


def _check_size(size: int, start: int, data: bytes, path: str) -> None:
    held = max(0, len(data) - start)
    if held < size < _UNKNOWN_SIZE:
        promised = f"the header promises {size:,} bytes of audio, the file has {held:,}"
        raise RecordingError(path, f"truncated: {promised}, expected a complete file")


def _check_ogg(data: bytes, path: str) -> None:
    """Raise RecordingError unless the last page is whole and ends its stream (RFC 3533, section 6)."""
    page = data[data.rfind(b"OggS") :]
    segments = page[27 : 27 + page[26]] if len(page) > 26 else b""
    if not segments or not page[5] & 4 or len(page) < 27 + page[26] + sum(segments):
        raise RecordingError(path, "truncated: the stream has no end, expected a complete .ogg file")
