"""Containers of chunks (WAV, RF64, BW64, AIFF, CAF, W64), whose headers may be unfinished or wrong.

A program that writes into a pipe cannot go back to fill in lengths. libsndfile reads no more than the header says, so
the length of the sound is compared with what is there, and the bytes that are returned say what is so.
"""

from typing import Literal, NamedTuple

from metaser_jax.audio.conversion import conversions
from metaser_jax.errors import RecordingError

# What is left in a header whose length is not known, or more: sox takes a number just under 2 GiB. Nothing that is read
# is as large.
UNKNOWN_SIZE = 0x7F000000
# The sound goes on after the length that the header says, and all of it is read; something follows that is not read.
MORE, REST = "more", "rest"
# A header has a few.
_MAX_CHUNKS = 10_000
_MP3_TAG = 0x55
# Behind the sound these are no sound.
_TAGS = (b"ID3", b"TAG", b"APETAGEX")


class Layout(NamedTuple):
    """A container of chunks, each a name, a length and content.

    Attributes:
      order: of the bytes in a number, "little" or "big". first: where the chunks begin. audio: the name of the one
        with the sound.
      length: bytes of the number that is the length. whole: whether it counts name and number, too.
      align: chunks begin at multiples of it. size_at: where the length of all stands, None if nowhere.
    """

    order: Literal["little", "big"]
    first: int
    audio: bytes
    length: int = 4
    whole: bool = False
    align: int = 2
    size_at: int | None = 4

    def number(self, data: bytes, at: int) -> int:
        """Return the length that stands at a position."""
        return int.from_bytes(data[at : at + self.length], self.order)

    def written(self, value: int) -> bytes:
        """Return the bytes of a length."""
        return value.to_bytes(self.length, self.order)

    def counted(self, size: int) -> int:
        """Return what the length of a chunk says, whose content has `size` bytes."""
        return size + (len(self.audio) + self.length) * self.whole


class Chunk(NamedTuple):
    """Attributes: name; at, where its name begins; start, its content; size, as the header says."""

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
    b"riff": Layout("little", 40, b"data" + _W64, length=8, whole=True, align=8, size_at=16),  # W64
}


class Completed(NamedTuple):
    """Bytes whose header says what is there. Attributes: data; header: what was wrong with it: "", MORE or REST."""

    data: bytes
    header: str = ""


def completed(data: bytes, path: str) -> Completed:
    """Return the bytes of a recording in a container of LAYOUTS, with the length of its sound; mp3 in it alone.

    Raises:
      RecordingError: it is truncated, or has two formats.
    """
    layout = LAYOUTS[data[:4]]
    data = _with_one_format(data, layout, path)
    found = _chunks(data, layout)
    if not found or found[-1].name != layout.audio:
        return Completed(data)
    audio, held = found[-1], max(0, len(data) - found[-1].start)
    size = _size(data, found)
    if size >= UNKNOWN_SIZE:
        real, header = held, ""
    elif size > held:
        raise truncated(path, size, held)
    else:
        real, header = _what_follows(data, layout, audio, size)
    if _has_mp3(data, found):
        return Completed(data[audio.start : audio.start + real], header)
    # libsndfile reads RF64 whose first chunk is ds64, and no BW64.
    if real != size or data[:4] == b"BW64" or (data[:4] == b"RF64" and found[0].name != b"ds64"):
        data = _with_size(data, layout, audio, real)
    return Completed(data, header)


def truncated(path: str, size: int, held: int) -> RecordingError:
    """Return the error for a file that has `held` bytes of sound of `size`."""
    promised = f"the header promises {size:,} bytes of audio, the file has {held:,}"
    return RecordingError(path, f"truncated: {promised}, expected a complete file")


def _chunks(data: bytes, layout: Layout) -> list[Chunk]:
    """Return the chunks up to the one with the sound; fewer where they are not whole."""
    found, position, named = [], layout.first, len(layout.audio)
    while len(found) < _MAX_CHUNKS:
        start = position + named + layout.length
        if start > len(data):
            break
        size = layout.number(data, position + named) - layout.counted(0)
        found.append(Chunk(data[position : position + named], position, start, size))
        if found[-1].name == layout.audio or size < 0:
            break
        position = _aligned(start + size, layout)
    return found


def _aligned(position: int, layout: Layout) -> int:
    return -(-position // layout.align) * layout.align


def _size(data: bytes, found: list[Chunk]) -> int:
    """Return the bytes of sound that the header says."""
    first, audio = found[0], found[-1]
    if audio.size == 0xFFFFFFFF and first.name == b"ds64":
        return int.from_bytes(data[first.start + 8 : first.start + 16], "little")
    return audio.size


def _what_follows(data: bytes, layout: Layout, audio: Chunk, size: int) -> tuple[int, str]:
    """Return how many bytes of sound there are, and what is wrong with the header."""
    held = len(data) - audio.start
    of_all = None if layout.size_at is None else layout.number(data, layout.size_at)
    if size == 0 and held and layout.length == 4 and of_all is not None and of_all <= audio.start:
        return held, ""  # the header was never finished
    end = audio.start + size
    places = {end, _aligned(end, layout)}
    if end >= len(data) or any(_no_sound(data, layout, place) for place in places):
        return size, ""
    if size == 0:
        return held, ""
    if of_all is not None and abs(of_all + 8 * (not layout.whole) - len(data)) <= 1:
        return held, MORE
    return size, REST


def _no_sound(data: bytes, layout: Layout, place: int) -> bool:
    """Return whether there is another chunk at a place, a tag, or nothing but zeros."""
    named = len(layout.audio)
    name, start = data[place : place + named], place + named + layout.length
    if name.startswith(_TAGS) or not data[place:].strip(b"\0"):
        return True
    size = layout.number(data, place + named) - layout.counted(0)
    return name[:4].isascii() and name[:4].decode().isprintable() and 0 <= size <= len(data) - start + 1


def _with_one_format(data: bytes, layout: Layout, path: str) -> bytes:
    """Return the bytes without further copies of the chunk "fmt ", which libsndfile does not read."""
    found = [chunk for chunk in _chunks(data, layout) if chunk.name == b"fmt "]
    contents = {data[chunk.start : chunk.start + chunk.size] for chunk in found}
    if len(contents) > 1:
        raise RecordingError(
            path,
            f"it says {len(found)} times, and differently, what its format is, expected one chunk 'fmt '",
            *conversions(path),
        )
    for chunk in reversed(found[1:]):
        data = data[: chunk.at] + data[_aligned(chunk.start + chunk.size, layout) :]
    return data


def _has_mp3(data: bytes, found: list[Chunk]) -> bool:
    if data[:4] not in (b"RIFF", b"RF64", b"BW64"):
        return False
    formats = [data[chunk.start : chunk.start + 2] for chunk in found if chunk.name == b"fmt "]
    return formats == [_MP3_TAG.to_bytes(2, "little")]


def _with_size(data: bytes, layout: Layout, audio: Chunk, size: int) -> bytes:
    """Return the bytes with `size` as the length of the sound; RF64 and BW64 as the plain WAV that so few bytes are."""
    changed = bytearray(data)
    at = audio.start - layout.length
    changed[at : audio.start] = layout.written(layout.counted(size))
    if layout.size_at is not None:
        of_all = len(data) - 8 * (not layout.whole)
        changed[layout.size_at : layout.size_at + layout.length] = layout.written(of_all)
    if data[:4] in (b"RF64", b"BW64"):
        changed[:4] = b"RIFF"
        if data[layout.first : layout.first + 4] == b"ds64":
            changed[layout.first : layout.first + 4] = b"JUNK"
    return bytes(changed)
