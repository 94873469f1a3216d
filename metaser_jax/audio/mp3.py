"""The length of an mp3 stream, counted frame by frame (ISO/IEC 11172-3 and 13818-3, layer III).

libsndfile reads as many samples as the header of the stream says, or, where it has none, as the first frame's bit rate
lets it guess: of a stream with varying bit rates it may read a third without a word.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_BIT_RATES = {  # kbit/s by index, of MPEG 1 and of MPEG 2 and 2.5
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_SAMPLE_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_LAYER_III = 1
# What `_frame` takes for a header: of each version layer III, with or without a checksum; a bit rate and a sample rate.
_HEADER = re.compile(
    b"\xff[\xe2\xe3\xf2\xf3\xfa\xfb]["
    + b"".join(re.escape(bytes([i])) for i in range(0x10, 0xF0) if i >> 2 & 3 != 3)
    + b"]",
    re.DOTALL,
)
_TAG = re.compile(b"Xing|Info|VBRI")
# Bytes of a frame before its tag: the header, and what MPEG 1 and the others have of stereo and of mono.
_BEFORE_TAG = {(True, False): 36, (True, True): 21, (False, False): 21, (False, True): 13}


class _Frame(NamedTuple):
    """A frame.

    Attributes: at, its first byte; size, in bytes; seconds; tag: where a table of contents begins, in place of sound.
    """

    at: int
    size: int
    seconds: float
    tag: int | None


def seconds(data: bytes) -> float:
    """Return the duration of all complete frames from the first on, as far as they follow each other.

    0 if there is none.
    """
    return sum(frame.seconds for frame in _frames(data) if frame.tag is None)


def says_length(data: bytes) -> bool:
    """Return whether the stream says how long it is (a frame Xing, Info or VBRI); otherwise libsndfile guesses."""
    first = next(_frames(data), None)
    return first is not None and first.tag is not None


def is_whole(data: bytes) -> bool:
    """Return whether the stream has all frames that it says it has, and true where it does not say how many."""
    frames = list(_frames(data))
    at = _count_at(data, frames)
    return at is None or len(frames) - 1 >= int.from_bytes(data[at : at + 4], "big")


def with_length(data: bytes) -> bytes | None:
    """Return the stream with the number of its frames in its first; None if that cannot be written."""
    frames = list(_frames(data))
    if not frames:
        return None
    first, at = frames[0], _count_at(data, frames)
    if at is not None:
        return data[:at] + (len(frames) - 1).to_bytes(4, "big") + data[at + 4 :]
    if first.tag is not None:
        return None
    count = len(frames).to_bytes(4, "big")
    header = data[first.at : first.at + 4]
    before = _BEFORE_TAG[header[1] >> 3 & 3 == 3, header[3] >> 6 == 3]
    tag = (header + bytes(before - 4) + b"Info\x00\x00\x00\x01" + count).ljust(first.size, b"\0")
    return data[: first.at] + tag + data[first.at :] if len(tag) == first.size else None


def _count_at(data: bytes, frames: Sequence[_Frame]) -> int | None:
    """Return where the stream says how many frames there are behind the first; None if nowhere."""
    tag = frames[0].tag if frames else None
    if tag is None:
        return None
    if data[tag : tag + 4] == b"VBRI":
        return tag + 14
    return tag + 8 if data[tag + 7] & 1 else None


def _frames(data: bytes) -> Iterator[_Frame]:
    """Yield the complete frames; the first may hold a table of contents in place of sound."""
    position, sounds = after_id3(data), False
    while position + 4 <= len(data):
        frame = _frame(data[position : position + 4])
        if frame is None:
            if sounds:
                break  # a tag at the end
            found = _HEADER.search(data, position + 1)
            if found is None:
                break
            position = found.start()
            continue
        size, duration = frame
        if position + size > len(data):
            break
        tag = None if sounds else _TAG.search(data, position, position + min(size, 60))
        yield _Frame(position, size, duration, tag and tag.start())
        sounds = sounds or tag is None
        position += size


def after_id3(data: bytes) -> int:
    """Return where the sound begins, after a tag ID3 if there is one."""
    if data[:3] != b"ID3" or len(data) < 10:
        return 0
    size = 0
    for byte in data[6:10]:  # seven bits each
        size = size << 7 | byte & 0x7F
    return 10 + size


def _frame(header: bytes) -> tuple[int, float] | None:
    """Return (bytes, seconds) of a frame, or None if this is no header of one."""
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    bit_rate, sample_rate, padding = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if header[0] != 0xFF or header[1] < 0xE0 or version == 1 or layer != _LAYER_III:
        return None
    if bit_rate in (0, 15) or sample_rate == 3:
        return None
    samples = 1152 if version == 3 else 576
    rate = _SAMPLE_RATES[version][sample_rate]
    return samples // 8 * _BIT_RATES[version == 3][bit_rate] * 1000 // rate + padding, samples / rate
