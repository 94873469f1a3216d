"""The length of an mp3 stream, counted frame by frame (ISO/IEC 11172-3 and 13818-3, layer III).

libsndfile reads as many samples as the header of the stream says, or, where it has none, as the first frame's bit rate
lets it guess: of a stream with varying bit rates it may read a third without a word.
"""

import re

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


def seconds(data: bytes) -> float:
    """Return the duration of all complete frames from the first on, as far as they follow each other.

    0 if there is none.
    """
    position = _after_id3(data)
    total = 0.0
    while position + 4 <= len(data):
        frame = _frame(data[position : position + 4])
        if frame is None:
            if total:
                break  # a tag at the end
            found = _HEADER.search(data, position + 1)
            if found is None:
                break
            position = found.start()
            continue
        size, duration = frame
        if position + size > len(data):
            break
        # The first frame may hold a table of contents in place of sound.
        if total or not any(tag in data[position : position + min(size, 60)] for tag in (b"Xing", b"Info", b"VBRI")):
            total += duration
        position += size
    return total


def _after_id3(data: bytes) -> int:
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
