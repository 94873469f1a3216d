"""The length of a FLAC stream, by its last frame (RFC 9639): programs that write into a pipe leave 0 in its header."""

from metaser_jax.audio.chunks import MORE, Completed
from metaser_jax.errors import RecordingError

# The last frame is sought in so many bytes; it has some ten thousand.
_LAST = 2**21
# Places that look like the beginning of a frame, by a checksum of 8 bits, and are none.
_MAX_CANDIDATES = 32
_TOTAL_AT, _TOTAL_MAX = 21, 2**36


def completed(data: bytes, path: str) -> Completed:
    """Return the bytes of a stream whose header says how many samples it has.

    Raises:
      RecordingError: it does not say so, and the last frame is cut off.
    """
    if len(data) < 42:
        return Completed(data)
    total = int.from_bytes(data[_TOTAL_AT : _TOTAL_AT + 5], "big") % _TOTAL_MAX
    samples = _samples(data, int.from_bytes(data[8:10], "big"))
    if total == 0 and samples is None:
        raise RecordingError(path, "truncated: its last frame is cut off, expected a complete .flac file")
    if samples is None or samples <= total:
        return Completed(data)
    return Completed(_with_total(data, samples), MORE if total else "")


def from_ogg(data: bytes) -> bytes:
    """Return the stream that is in an Ogg container, whose pages are whole, as a file of its own."""
    pages, position = [], 0
    while data[position : position + 4] == b"OggS" and len(data) > position + 27:
        start = position + 27 + data[position + 26]
        end = start + sum(data[position + 27 : start])
        pages.append(data[start:end])
        position = end
    return b"".join(pages)[9:]  # 0x7F "FLAC", a version, a number


def _with_total(data: bytes, total: int) -> bytes:
    number = int.from_bytes(data[_TOTAL_AT : _TOTAL_AT + 5], "big") // _TOTAL_MAX * _TOTAL_MAX + total % _TOTAL_MAX
    return data[:_TOTAL_AT] + number.to_bytes(5, "big") + data[_TOTAL_AT + 5 :]


def _samples(data: bytes, block: int) -> int | None:
    """Return the samples up to the end of the last frame; None if that is not whole.

    Args: block: samples of all frames but the last, where that is fixed.
    """
    end, first = len(data), max(42, len(data) - _LAST)
    for _ in range(_MAX_CANDIDATES):
        samples = None
        while samples is None:
            at = max(data.rfind(b"\xff\xf8", first, end), data.rfind(b"\xff\xf9", first, end))
            if at < 0:
                return None
            samples = _header(data[at : at + 16], block)
            end = at + 1  # the pair may share its first byte with the next that is sought
        if _crc(data[at:], _CRC16, 16) == 0:
            return samples
    return None


def _header(header: bytes, block: int) -> int | None:
    """Return the samples up to the end of the frame that begins so, or None if this is no frame."""
    if len(header) < 6:
        return None
    ones = 8 - (header[4] ^ 0xFF).bit_length()
    more = max(0, ones - 1)  # as in UTF-8
    number = header[4] & 0xFF >> ones + 1
    for byte in header[5 : 5 + more]:
        number = number << 6 | byte & 0x3F
    size, rate, at = header[2] >> 4, header[2] & 15, 5 + more
    of_size, of_rate = {6: 1, 7: 2}.get(size, 0), {12: 1, 13: 2, 14: 2}.get(rate, 0)
    end = at + of_size + of_rate
    if ones in (1, 8) or size == 0 or rate == 15 or len(header) <= end or _crc(header[: end + 1], _CRC8, 8):
        return None
    if of_size:
        samples = int.from_bytes(header[at : at + of_size], "big") + 1
    else:
        samples = 192 if size == 1 else 576 << size - 2 if size < 6 else 256 << size - 8
    return (number if header[1] & 1 else number * block) + samples


def _table(polynomial: int, bits: int) -> list[int]:
    table = []
    for byte in range(256):
        value = byte << bits - 8
        for _ in range(8):
            value = value << 1 ^ polynomial * (value >> bits - 1)
            value &= (1 << bits) - 1
        table.append(value)
    return table


_CRC8, _CRC16 = _table(0x07, 8), _table(0x8005, 16)


def _crc(data: bytes, table: list[int], bits: int) -> int:
    value, mask, shift = 0, (1 << bits) - 1, bits - 8
    for byte in data:
        value = (value << 8 & mask) ^ table[value >> shift ^ byte]
    return value
