"""Containers of sound: their suffixes, whether one is whole, and what it is where libsndfile does not read it.

libsndfile reads a truncated file without a word, and no more than a header says, which may be unfinished (a program
that writes into a pipe cannot go back to it) or wrong. So the length that a header promises is compared with what is
there, and filled in.
"""

import os
import re
import shlex
from typing import Literal, NamedTuple

from metaser_jax.audio import mp3
from metaser_jax.errors import RecordingError

# What libsndfile reads, for folders that are searched; a file that is named is read whatever it is called.
SUFFIXES = (
    *(".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus"),
    *(".aif", ".aiff", ".aifc", ".au", ".snd", ".caf", ".w64", ".rf64"),
)
# What FFmpeg reads besides: by the extra `formats`, and without it after its owner has converted it.
CONVERTED = (
    *(".m4a", ".m4b", ".aac", ".wma", ".amr", ".spx", ".mka"),
    *(".mp4", ".mov", ".3gp", ".3g2", ".avi", ".mkv", ".webm", ".flv", ".wmv"),
    *(".mpg", ".mpeg", ".mts", ".m2ts", ".ts"),
)
RECORDINGS = (*SUFFIXES, *CONVERTED)
DAMAGED = "the audio is truncated or damaged"
# What a header has left whose length is not known, or more: sox takes a number just under 2 GiB. Nothing that is read
# is as large.
UNKNOWN_SIZE = 0x7F000000
# The sound goes on after the length that the header says, and all of it is read; something follows that is not read.
MORE, REST = "more", "rest"

_FOREIGN = (  # (how the file begins, FFmpeg's demuxer, what it is)
    (rb".{4}(ftyp|moov|mdat|wide)", "mov", "MPEG-4 sound or video (.m4a, .mp4, .3gp)"),
    (rb"\x1aE\xdf\xa3", "matroska", "Matroska or WebM sound or video (.webm, .mkv)"),
    (rb"0&\xb2u\x8ef\xcf\x11", "asf", "Windows Media sound or video (.wma)"),
    (rb"\.SoX|XoS\.", "sox", "SoX's own format (.sox)"),
    (rb"#!AMR", "amr", "AMR sound (.amr)"),
    (rb"\xff[\xf0\xf1\xf8\xf9]", "aac", "AAC sound (.aac)"),
    (rb"OggS.{24}Speex   ", "ogg", "Speex (.ogg)"),
    (rb"OggS.{24}(fishead\0|\x80theora)", "ogg", "Ogg video (.ogg)"),
    (rb"RIFF.{4}AVI ", "avi", "AVI video (.avi)"),
    (rb"FLV\x01", "flv", "Flash video (.flv)"),
    (rb"\0\0\x01\xba", "mpeg", "MPEG video (.mpg)"),
    (rb"(G.{187}){3}G|.{4}(G.{191}){3}G", "mpegts", "an MPEG transport stream (.ts, .mts)"),
)
_NO_SOUND = (
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"%PDF", "a PDF document"),
    (b"<", "a web page or XML"),
    (b"{", "JSON or other text"),
    (b"#EXTM3U", "a playlist"),
    (b"ffconcat", "a list of files"),
    (b"v=0", "a description of a session (SDP)"),
)
_POINTER = b"version https://git-lfs"
_AU = (b".snd", b"dns.")
_VOC = b"Creative Voice File\x1a"
_MP3_TAG = b"\x55\0"
# What is before a FLAC stream in an Ogg file: 0x7F "FLAC", a version and a number.
_BEFORE_FLAC = 9
# A header has a few.
_MAX_CHUNKS = 10_000
# Behind the sound these are no sound.
_TAGS = (b"ID3", b"TAG", b"APETAGEX")


class Layout(NamedTuple):
    """A container of chunks, each a name, a length and content.

    Attributes:
      order: of the bytes in a number. first: where the chunks begin. audio: the name of the one with the sound.
      length: bytes of the number that is the length. counted: bytes of name and number that the length includes.
      align: chunks begin at multiples of it. size_at: where the length of all stands, None if nowhere.
      uncounted: bytes that this leaves out.
    """

    order: Literal["little", "big"]
    first: int
    audio: bytes
    length: int = 4
    counted: int = 0
    align: int = 2
    size_at: int | None = 4
    uncounted: int = 8

    def number(self, data: bytes, at: int) -> int:
        """Return the length that stands at a position."""
        return int.from_bytes(data[at : at + self.length], self.order)

    def aligned(self, position: int) -> int:
        """Return where the chunk begins whose predecessor ends at a position."""
        return -(-position // self.align) * self.align


class Chunk(NamedTuple):
    """A chunk. Attributes: name; at, where its name begins; start, its content; size, as the header says."""

    name: bytes
    at: int
    start: int
    size: int


_W64 = b"\xf3\xac\xd3\x11\x8c\xd1\x00\xc0O\x8e\xdb\x8a"
LAYOUTS = {
    b"RIFF": Layout("little", 12, b"data"),
    b"RIFX": Layout("big", 12, b"data"),
    b"RF64": Layout("little", 12, b"data"),
    b"BW64": Layout("little", 12, b"data"),
    b"FORM": Layout("big", 12, b"SSND"),  # AIFF
    b"caff": Layout("big", 8, b"data", length=8, align=1, size_at=None),
    b"riff": Layout("little", 40, b"data" + _W64, length=8, counted=24, align=8, size_at=16, uncounted=0),  # W64
}
_SOUND = (*LAYOUTS, b"fLaC", b"OggS", *_AU)


def completed(data: bytes, path: str) -> tuple[bytes, str]:
    """Return the bytes of a recording whose header says how much sound there is, and what was wrong with it.

    That is "", MORE or REST. Of mp3 in a .wav file and of FLAC in an .ogg file the stream alone is returned.

    Raises:
      RecordingError: it is truncated, or has two formats.
    """
    if data[:3] == b"ID3" and data[(start := mp3.after_id3(data)) :].startswith(_SOUND):
        data = data[start:]
    if data[:4] == b"OggS":
        pages = _ogg_pages(data, path)
        if pages[0].startswith(b"\x7fFLAC"):
            data = b"".join(pages)[_BEFORE_FLAC:]
    if data.startswith(_VOC):
        _check_voc(data, path)
    if data[:4] in _AU:
        return _completed_au(data, path)
    return _completed_chunks(data, path) if data[:4] in LAYOUTS else (data, "")


def demuxer(data: bytes) -> str | None:
    """Return what FFmpeg calls a container that libsndfile does not take, by its first bytes; None: neither does."""
    return next((name for start, name, _ in _FOREIGN if re.match(start, data, re.DOTALL)), None)


def described(data: bytes, path: str, *, unsupported: bool = False) -> tuple[str, tuple[str, ...]]:
    """Return what is found in place of sound that is read, and what to do, of one file and of many.

    That is empty where nothing but another copy helps.

    Args: unsupported: whether libsndfile knows the container, and not what is in it.
    """
    for start, _, what in _FOREIGN:
        if re.match(start, data, re.DOTALL):
            return f"this is {what}, which is not read", conversions(path)
    if data.startswith(_POINTER):
        return "this is a pointer of Git LFS, and not the sound itself", ("Fetch the sound: git lfs pull",)
    if unsupported:
        return "this is sound in an encoding that is not read", conversions(path)
    if data.startswith((*_SOUND, b"ID3")):
        return DAMAGED, ()
    for start, what in _NO_SOUND:
        if data[:100].lstrip().startswith(start):
            return f"this is not audio, it is {what}", ()
    return "this is not audio", conversions(path) if path.lower().endswith(CONVERTED) else ()


def conversions(path: str) -> tuple[str, str]:
    """Return how to convert a recording, and how to convert all that are called as it is (NAME and its suffix)."""
    return conversion(path), conversion(f"NAME{os.path.splitext(path)[1]}")


def conversion(path: str) -> str:
    """Return how to make a .wav file of a recording that is not read."""
    name = os.path.basename(path)
    stem, suffix = os.path.splitext(name)
    new = f"{stem}_converted.wav" if suffix == ".wav" else f"{stem}.wav"
    # A name that begins with a hyphen would be an option.
    old, new = (f"./{one}" if one.startswith("-") else one for one in (name, new))
    return f"Convert it, e.g. with ffmpeg -i {shlex.quote(old)} {shlex.quote(new)}"


def _truncated(path: str, size: int, held: int) -> RecordingError:
    """Return the error for a file that has `held` bytes of sound of `size`."""
    promised = f"the header promises {size:,} bytes of audio, the file has {held:,}"
    return RecordingError(path, f"truncated: {promised}, expected a complete file")


def _ogg_pages(data: bytes, path: str) -> list[bytes]:
    """Return the contents of the pages of an Ogg file (RFC 3533, section 6).

    Raises:
      RecordingError: the last page is not whole, or does not end its stream.
    """
    page = data[data.rfind(b"OggS") :]
    segments = page[27 : 27 + page[26]] if len(page) > 26 else b""
    if not segments or not page[5] & 4 or len(page) < 27 + page[26] + sum(segments):
        raise RecordingError(path, "truncated: the stream has no end, expected a complete .ogg file")
    pages, position = [], 0
    while data[position : position + 4] == b"OggS" and len(data) > position + 27:
        start = position + 27 + data[position + 26]
        position = start + sum(data[position + 27 : start])
        pages.append(data[start:position])
    return pages


def _check_voc(data: bytes, path: str) -> None:
    """Raise RecordingError where there are several blocks of sound: libsndfile takes their headers for samples."""
    position, blocks = int.from_bytes(data[20:22], "little"), 0
    while position + 4 <= len(data) and data[position]:
        blocks += data[position] in (1, 2, 9)
        if blocks > 1:
            reason = "this is a .voc file of several blocks, which is not read, expected a single one"
            raise RecordingError(path, reason, *conversions(path))
        position += 4 + int.from_bytes(data[position + 1 : position + 4], "little")


def _completed_au(data: bytes, path: str) -> tuple[bytes, str]:
    order = "big" if data[0:1] == b"." else "little"
    start, size = (int.from_bytes(data[i : i + 4], order) for i in (4, 8))
    held = max(0, len(data) - start)
    if held < size < UNKNOWN_SIZE:
        raise _truncated(path, size, held)
    if size == 0 and held:
        return data[:8] + b"\xff" * 4 + data[12:], ""
    return data, REST if size < held and data[start + size :].strip(b"\0") else ""


def _completed_chunks(data: bytes, path: str) -> tuple[bytes, str]:
    layout = LAYOUTS[data[:4]]
    data = _with_one_format(data, layout, path)
    found = _chunks(data, layout)
    if not found or found[-1].name != layout.audio:
        return data, ""
    first, audio = found[0], found[-1]
    size, held, header = audio.size, len(data) - audio.start, ""
    if size == 0xFFFFFFFF and first.name == b"ds64":
        size = int.from_bytes(data[first.start + 8 : first.start + 16], "little")
    real = held
    if size < UNKNOWN_SIZE:
        if size > held:
            raise _truncated(path, size, held)
        real, header = _what_follows(data, layout, audio, size)
    if [data[one.start : one.start + 2] for one in found if one.name == b"fmt "] == [_MP3_TAG]:
        return data[audio.start : audio.start + real], header
    # libsndfile reads RF64 whose first chunk is ds64, and no BW64.
    if real != size or data[:4] == b"BW64" or (data[:4] == b"RF64" and first.name != b"ds64"):
        data = _with_size(data, layout, audio, real)
    return data, header


def _chunks(data: bytes, layout: Layout) -> list[Chunk]:
    """Return the chunks up to the one with the sound; fewer where they are not whole."""
    found, position, named = [], layout.first, len(layout.audio)
    while len(found) < _MAX_CHUNKS:
        start = position + named + layout.length
        if start > len(data):
            break
        size = layout.number(data, position + named) - layout.counted
        found.append(Chunk(data[position : position + named], position, start, size))
        if found[-1].name == layout.audio or size < 0:
            break
        position = layout.aligned(start + size)
    return found


def _what_follows(data: bytes, layout: Layout, audio: Chunk, size: int) -> tuple[int, str]:
    """Return how many bytes of sound there are, and what is wrong with the header."""
    held, end = len(data) - audio.start, audio.start + size
    of_all = None if layout.size_at is None else layout.number(data, layout.size_at)
    if size == 0 and held and layout.length == 4 and of_all is not None and of_all <= audio.start:
        return held, ""  # the header was never finished
    if end >= len(data) or any(_no_sound(data, layout, place) for place in {end, layout.aligned(end)}):
        return size, ""
    if size == 0:
        return held, ""
    if of_all is not None and abs(of_all + layout.uncounted - len(data)) <= 1:
        return held, MORE
    return size, REST


def _no_sound(data: bytes, layout: Layout, place: int) -> bool:
    """Return whether there is another chunk at a place, a tag, or nothing but zeros."""
    named = len(layout.audio)
    name, start = data[place : place + named], place + named + layout.length
    if name.startswith(_TAGS) or not data[place:].strip(b"\0"):
        return True
    size = layout.number(data, place + named) - layout.counted
    return name[:4].isascii() and name[:4].decode().isprintable() and 0 <= size <= len(data) - start + 1


def _with_one_format(data: bytes, layout: Layout, path: str) -> bytes:
    """Return the bytes without further copies of the chunk "fmt ", which libsndfile does not read."""
    found = [chunk for chunk in _chunks(data, layout) if chunk.name == b"fmt "]
    if len({data[chunk.start : chunk.start + chunk.size] for chunk in found}) > 1:
        reason = f"it says {len(found)} times, and differently, what its format is, expected one chunk 'fmt '"
        raise RecordingError(path, reason, *conversions(path))
    for chunk in reversed(found[1:]):
        data = data[: chunk.at] + data[layout.aligned(chunk.start + chunk.size) :]
    return data


def _with_size(data: bytes, layout: Layout, audio: Chunk, size: int) -> bytes:
    """Return the bytes with `size` as the length of the sound; RF64 and BW64 as the plain WAV that so few bytes are."""
    changed = bytearray(data)
    changed[audio.start - layout.length : audio.start] = (size + layout.counted).to_bytes(layout.length, layout.order)
    if layout.size_at is not None:
        of_all = (len(data) - layout.uncounted).to_bytes(layout.length, layout.order)
        changed[layout.size_at : layout.size_at + layout.length] = of_all
    if data[:4] in (b"RF64", b"BW64"):
        changed[:4] = b"RIFF"
        if data[layout.first : layout.first + 4] == b"ds64":
            changed[layout.first : layout.first + 4] = b"JUNK"
    return bytes(changed)
