"""What a recording's bytes are by their headers: whole, truncated, or something else than sound that is read.

libsndfile reads a truncated file without a word, so the length that a container's header promises is compared with what
is there.
"""

import os

from metaser_jax.audio import chunks, flac, mp3
from metaser_jax.audio.chunks import Completed
from metaser_jax.audio.conversion import CONVERTED, conversions
from metaser_jax.errors import RecordingError

_SOUND_TO_CONVERT = (  # (first byte, its bytes, what it is)
    (4, b"ftyp", "MPEG-4 sound or video (.m4a, .mp4, .3gp)"),
    (0, b"\x1aE\xdf\xa3", "Matroska or WebM sound or video (.webm, .mkv)"),
    (0, b"0&\xb2u\x8ef\xcf\x11", "Windows Media sound or video (.wma)"),
    (0, b".SoX", "SoX's own format (.sox)"),
    (0, b"#!AMR", "AMR sound (.amr)"),
    (0, b"\xff\xf1", "AAC sound (.aac)"),
    (0, b"\xff\xf9", "AAC sound (.aac)"),
)
_OGG_CODEC = 28  # where the first packet of an Ogg file begins
_OGG_SOUND = {b"Speex   ": "Speex", b"fishead\0": "Ogg video", b"\x80theora": "Ogg video"}
_VOC = b"Creative Voice File\x1a"
_POINTER = b"version https://git-lfs"
DAMAGED = "the audio is truncated or damaged"
_SOUND = (*chunks.LAYOUTS, b"fLaC", b"OggS", b".snd", b"dns.")
_NO_SOUND = (
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"%PDF", "a PDF document"),
    (b"<", "a web page or XML"),
    (b"{", "JSON or other text"),
)


def completed(data: bytes, path: str) -> Completed:
    """Return the bytes of a recording whose container is complete, and whose header says how much sound there is.

    What a program that wrote into a pipe could not fill in is filled in; of mp3 in a .wav file and of FLAC in an .ogg
    file the stream alone is returned.

    Raises:
      RecordingError: it is truncated.
    """
    if data[:3] == b"ID3" and data[(start := mp3.after_id3(data)) :].startswith(_SOUND):
        data = data[start:]
    if data[:4] == b"OggS":
        _check_ogg(data, path)
        if data[_OGG_CODEC : _OGG_CODEC + 5] == b"\x7fFLAC":
            data = flac.from_ogg(data)
    if data[:4] == b"fLaC":
        return flac.completed(data, path)
    if data[:4] in (b".snd", b"dns."):
        return _completed_au(data, path)
    if data.startswith(_VOC):
        _check_voc(data, path)
    return chunks.completed(data, path) if data[:4] in chunks.LAYOUTS else Completed(data)


def described(data: bytes, path: str, *, unsupported: bool = False) -> tuple[str, tuple[str, ...]]:
    """Return what is found in place of sound that is read, and what to do, of one file and of many.

    That is empty where nothing but another copy helps.

    Args: unsupported: whether libsndfile knows the container, and not what is in it.
    """
    converted = conversions(path)
    for start, magic, what in _SOUND_TO_CONVERT:
        if data[start : start + len(magic)] == magic:
            return f"this is {what}, which is not read", converted
    if data.startswith(_POINTER):
        return "this is a pointer of Git LFS, and not the sound itself", ("Fetch the sound: git lfs pull",)
    if data[:4] == b"OggS":
        for magic, what in _OGG_SOUND.items():
            if data[_OGG_CODEC : _OGG_CODEC + len(magic)] == magic:
                return f"this is {what} (.ogg), which is not read", converted
    if unsupported:
        return "this is sound in an encoding that is not read", converted
    if data.startswith((*_SOUND, b"ID3")):
        return DAMAGED, ()
    what = next((f", it is {what}" for magic, what in _NO_SOUND if data[:100].lstrip().startswith(magic)), "")
    return f"this is not audio{what}", converted if os.path.splitext(path)[1].lower() in CONVERTED and not what else ()


def _completed_au(data: bytes, path: str) -> Completed:
    order = "big" if data[0:1] == b"." else "little"
    start, size = (int.from_bytes(data[i : i + 4], order) for i in (4, 8))
    held = max(0, len(data) - start)
    if held < size < chunks.UNKNOWN_SIZE:
        raise chunks.truncated(path, size, held)
    if size == 0 and held:
        return Completed(data[:8] + b"\xff" * 4 + data[12:])
    return Completed(data, chunks.REST if size < held and data[start + size :].strip(b"\0") else "")


def _check_voc(data: bytes, path: str) -> None:
    """Raise RecordingError where there are several blocks of sound: libsndfile takes their headers for samples."""
    position, blocks = int.from_bytes(data[20:22], "little"), 0
    while position + 4 <= len(data) and data[position]:
        blocks += data[position] in (1, 2, 9)
        if blocks > 1:
            reason = "this is a .voc file of several blocks, which is not read, expected a single one"
            raise RecordingError(path, reason, *conversions(path))
        position += 4 + int.from_bytes(data[position + 1 : position + 4], "little")


def _check_ogg(data: bytes, path: str) -> None:
    """Raise RecordingError unless the last page is whole and ends its stream (RFC 3533, section 6)."""
    page = data[data.rfind(b"OggS") :]
    segments = page[27 : 27 + page[26]] if len(page) > 26 else b""
    if not segments or not page[5] & 4 or len(page) < 27 + page[26] + sum(segments):
        raise RecordingError(path, "truncated: the stream has no end, expected a complete .ogg file")
