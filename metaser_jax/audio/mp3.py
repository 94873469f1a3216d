"""The length of an mp3 stream, counted frame by frame (ISO/IEC 11172-3 and 13818-3, layer III).

libsndfile reads as many samples as the header of the stream says, or, where it has none, as the first frame's bit rate
lets it guess: of a stream with varying bit rates it may read a third without a word.
"""

import re
from typing import NamedTuple

_BIT_RATES = {  # kbit/s by index, of MPEG 1 and of MPEG 2 and 2.5
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_SAMPLE_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
# The header of a frame: of each version layer III, with or without a checksum; a bit rate and a sample rate.
_RATES = re.escape(bytes(byte for byte in range(0x10, 0xF0) if byte >> 2 & 3 != 3))
_HEADER = re.compile(b"\xff[\xe2\xe3\xf2\xf3\xfa\xfb][%s]" % _RATES)
_TAG = re.compile(b"Xing|Info|VBRI")
# Bytes of a frame before its tag: the header, and what MPEG 1 and the others have of stereo and of mono.
_BEFORE_TAG = {(True, False): 36, (True, True): 21, (False, False): 21, (False, True): 13}


class Stream(NamedTuple):
    """The complete frames of a stream, from the first on, as far as they follow each other.

    Attributes:
      start, size: of the first, in bytes.
      frames: how many there are, without one that holds a table of contents.
      seconds: their duration.
      tag: where that table begins; None: nowhere, libsndfile guesses the length.
      count_at: where the stream says how many frames there are; None: nowhere.
    """

    start: int
    size: int
    frames: int
    seconds: float
    tag: int | None
    count_at: int | None

    def is_whole(self, data: bytes) -> bool:
        """Return whether it has all frames that it says it has, and true where it does not say how many."""
        at = self.count_at
        return at is None or self.frames >= int.from_bytes(data[at : at + 4], "big")


def stream(data: bytes) -> Stream | None:
    """Return the stream in the bytes of a recording; None: there is none."""
    position, start, size, frames, seconds, tag = after_id3(data), -1, 0, 0, 0.0, None
    while found := _HEADER.match(data, position) if frames else _HEADER.search(data, position):
        at = found.start()
        length, duration = _frame(found[0])
        if at + length > len(data):
            break
        contents = None if frames else _TAG.search(data, at, at + min(length, 60))
        if start < 0:
            start, size, tag = at, length, contents and contents.start()
        if contents is None:
            frames += 1
            seconds += duration
        position = at + length
    if start < 0:
        return None
    count_at = None
    if tag is not None:
        is_vbri = data[tag : tag + 4] == b"VBRI"
        count_at = tag + 14 if is_vbri else tag + 8 if data[tag + 7] & 1 else None
    return Stream(start, size, frames, seconds, tag, count_at)


def with_length(data: bytes, found: Stream) -> bytes | None:
    """Return the stream with the number of its frames in its first; None if that cannot be written."""
    count, at = found.frames.to_bytes(4, "big"), found.count_at
    if at is not None:
        return data[:at] + count + data[at + 4 :]
    if found.tag is not None:
        return None
    header = data[found.start : found.start + 4]
    before = _BEFORE_TAG[header[1] >> 3 & 3 == 3, header[3] >> 6 == 3]
    tag = (header + bytes(before - 4) + b"Info\x00\x00\x00\x01" + count).ljust(found.size, b"\0")
    return data[: found.start] + tag + data[found.start :] if len(tag) == found.size else None


def after_id3(data: bytes) -> int:
    """Return where the sound begins, after a tag ID3 if there is one."""
    if data[:3] != b"ID3" or len(data) < 10:
        return 0
    size = 0
    for byte in data[6:10]:  # seven bits each
        size = size << 7 | byte & 0x7F
    return 10 + size


def _frame(header: bytes) -> tuple[int, float]:
    """Return (bytes, seconds) of the frame that begins with a header."""
    version, bit_rate, sample_rate, padding = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    samples = 1152 if version == 3 else 576
    rate = _SAMPLE_RATES[version][sample_rate]
    return samples // 8 * _BIT_RATES[version == 3][bit_rate] * 1000 // rate + padding, samples / rate
