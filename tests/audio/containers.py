"""The same speech in many containers, whole and as programs leave them that write into a pipe or are wrong."""

import io
import struct
from collections import namedtuple
from collections.abc import Iterator
from typing import NamedTuple

import av
import numpy as np
import soxr
from sounds import encoded

RATE = 22050


class Container(NamedTuple):
    """A file; lossless: whether its samples are those of `speech`; header: see Quality."""

    name: str
    data: bytes
    lossless: bool = True
    header: str = ""


def speech(seconds: float = 1.5) -> np.ndarray:
    """Return something like a voice, [n, 1] int16: harmonics that glide, in four syllables."""
    time = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(150 + 40 * np.sin(5 * time)) / RATE
    voice = sum(np.sin(k * phase) / k for k in range(1, 25))
    level = np.maximum(0.02, np.sin(2 * np.pi * 4 / seconds * time))
    breath = np.random.default_rng(0).standard_normal(len(time))
    return np.round(8000 * level * (voice + 0.1 * breath))[:, None].astype(np.int16)


def patched(data: bytes, at: int, new: bytes) -> bytes:
    """Return the bytes with others at a place."""
    return data[:at] + new + data[at + len(new) :]


def chunk(name: bytes, content: bytes, size: int | None = None) -> bytes:
    """Return a chunk of a WAV file; its length as it is, or as it is said to be."""
    return name + struct.pack("<I", len(content) if size is None else size) + content + b"\0" * (len(content) % 2)


def wav(body: bytes, size: int | None = None, name: bytes = b"RIFF") -> bytes:
    """Return a WAV file of chunks."""
    return name + struct.pack("<I", len(body) + 4 if size is None else size) + b"WAVE" + body


def fmt(tag: int = 1, rate: int = RATE, width: int = 2) -> bytes:
    """Return the chunk that says the format: mono."""
    return chunk(b"fmt ", struct.pack("<HHIIHH", tag, 1, rate, rate * width, width, 8 * width))


def in_ogg(flac: bytes) -> bytes:
    """Return a FLAC stream in pages of Ogg: the header, and of the rest 20,000 bytes each."""
    packets = [b"\x7fFLAC\x01\x00\x00\x01" + flac[:42], *(flac[i : i + 20_000] for i in range(42, len(flac), 20_000))]
    pages = []
    for i, packet in enumerate(packets):
        lacing = [255] * (len(packet) // 255) + [len(packet) % 255]
        kind = 2 * (i == 0) + 4 * (i == len(packets) - 1)
        pages.append(struct.pack("<4sBBqIIIB", b"OggS", 0, kind, 0, 1, i, 0, len(lacing)) + bytes(lacing) + packet)
    return b"".join(pages)


def without_first_frame(mp3: bytes) -> bytes:
    """Return an mp3 without its first frame, which says how long it is."""
    return mp3[mp3.index(mp3[:2], 100) :]


def containers(seconds: float = 1.5) -> Iterator[Container]:
    """Yield them all."""
    samples = speech(seconds)
    sound, size = samples.tobytes(), samples.nbytes
    rest = chunk(b"data", sound, 0xFFFFFFFF)
    for kind in ("WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "NIST", "IRCAM", "VOC"):
        yield Container(kind, encoded(samples, RATE, kind, "PCM_16"))
    for subtype in ("PCM_24", "PCM_32", "FLOAT", "DOUBLE"):
        yield Container(f"WAV, {subtype}", encoded(samples / 2**15, RATE, "WAV", subtype))

    # From a pipe, or never finished: no length, or one that says so.
    unknown, of_float = b"\xff" * 4, encoded(samples / 2**15, RATE, "WAV", "FLOAT")
    yield Container("WAV from a pipe", wav(fmt() + rest, 0xFFFFFFFF))
    yield Container("WAV by sox", wav(fmt() + chunk(b"data", sound, 0x7FFFF000), 0x7FFFF024))
    yield Container("WAV, length of data 0", wav(fmt() + chunk(b"data", sound, 0)))
    yield Container("WAV, floats from a pipe", patched(of_float, of_float.index(b"data") + 4, unknown))
    rf64 = chunk(b"ds64", bytes(28)) + fmt() + rest
    yield Container("RF64 from a pipe", wav(rf64, 0xFFFFFFFF, b"RF64"))
    lengths = struct.pack("<QQQI", len(rf64) + 4, size, len(samples), 0)
    yield Container("BW64", wav(chunk(b"ds64", lengths) + fmt() + rest, 0xFFFFFFFF, b"BW64"))
    w64 = encoded(samples, RATE, "W64")
    at = w64.index(b"data") + 16
    yield Container("W64 from a pipe", patched(patched(w64, 16, b"\xff" * 8), at, b"\xff" * 7 + b"\x7f"))
    caf = encoded(samples, RATE, "CAF")
    yield Container("CAF from a pipe", patched(caf, caf.index(b"data") + 4, b"\xff" * 8))
    aiff = encoded(samples, RATE, "AIFF")
    for at in (4, aiff.index(b"SSND") + 4, aiff.index(b"COMM") + 10):
        aiff = patched(aiff, at, bytes(4))
    yield Container("AIFF from a pipe", aiff)
    au = encoded(samples, RATE, "AU")
    yield Container("AU from a pipe", patched(au, 8, unknown))
    yield Container("AU, length 0", patched(au, 8, bytes(4)))
    flac = encoded(samples, RATE, "FLAC")
    # 4 bits of the byte before belong to the number.
    streamed = patched(flac, 21, bytes([flac[21] & 0xF0, 0, 0, 0, 0]))
    yield Container("FLAC from a pipe", streamed)
    yield Container("FLAC in Ogg", in_ogg(flac))
    yield Container("FLAC in Ogg from a pipe", in_ogg(streamed))
    yield Container("FLAC behind ID3", b"ID3\x04\x00\x00\x00\x00\x00\x0a" + bytes(10) + flac)

    # Headers that are wrong; test_any_layout_of_chunks makes others.
    yield Container("WAV, header says half", wav(fmt() + chunk(b"data", sound, size // 2)), header="more")
    half = struct.pack(">I", len(samples) // 2)
    yield Container("FLAC, header says half", patched(flac, 22, half), header="more")
    yield Container("CAF, something behind", caf + b"\x01\x02" * 100, header="rest")

    # Codecs: the same to the ear.
    mp3 = encoded(samples, RATE, "MP3")
    yield Container("MP3", mp3, lossless=False)
    yield Container("MP3 without a length", without_first_frame(mp3), lossless=False)
    yield Container("MP3 in WAV", wav(fmt(0x55) + chunk(b"data", without_first_frame(mp3))), lossless=False)
    yield Container("Vorbis", encoded(samples, RATE, "OGG", "VORBIS"), lossless=False)
    opus = encoded(soxr.resample(samples / 2**15, RATE, 24000), 24000, "OGG", "OPUS")
    yield Container("Opus", opus, lossless=False)
    yield Container("WAV, mu-law", encoded(samples, RATE, "WAV", "ULAW"), lossless=False)
    yield Container("WAV, MS ADPCM", encoded(samples, RATE, "WAV", "MS_ADPCM"), lossless=False)


# A container for FFmpeg; format, audio, video: as FFmpeg calls it and its codecs.
Foreign = namedtuple("Foreign", ("suffix", "format", "audio", "video", "rate"), defaults=("", RATE))
FOREIGN = (
    Foreign("m4a", "ipod", "aac"),
    Foreign("mp4", "mp4", "aac", "mpeg4"),
    Foreign("mov", "mov", "aac", "mpeg4"),
    Foreign("3gp", "3gp", "aac"),
    Foreign("aac", "adts", "aac"),
    Foreign("wma", "asf", "wmav2"),
    Foreign("wmv", "asf", "wmav2", "msmpeg4v2"),
    Foreign("avi", "avi", "mp2", "mpeg4"),
    Foreign("mkv", "matroska", "aac", "mpeg4"),
    Foreign("webm", "webm", "libopus", "", 48000),
    Foreign("flv", "flv", "aac", "flv1"),
    Foreign("mpg", "mpeg", "mp2", "mpeg2video"),
    Foreign("ts", "mpegts", "aac", "mpeg2video"),
    Foreign("mts", "mpegts", "ac3", "mpeg2video", 48000),
    Foreign("amr", "amr", "libopencore_amrnb", "", 8000),
)


def by_ffmpeg(kind: Foreign, tracks: int = 1, seconds: float = 1.5) -> bytes:
    """Return speech, and behind it other tracks of the same backwards, in a container."""
    file = io.BytesIO()
    options = {"mpegts_m2ts_mode": "1"} if kind.suffix == "mts" else {}
    with av.open(file, "w", format=kind.format, options=options) as out:
        picture = out.add_stream(kind.video, rate=25, width=64, height=48, pix_fmt="yuv420p") if kind.video else None
        more = {"bit_rate": 48000} if kind.audio == "wmav2" else {}
        sounds = [out.add_stream(kind.audio, rate=kind.rate, layout="mono", **more) for _ in range(tracks)]
        if picture:
            for i in range(round(25 * seconds)):
                frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), i, np.uint8), format="rgb24")
                frame.pts = i
                out.mux(picture.encode(frame))
            out.mux(picture.encode(None))
        for i, stream in enumerate(sounds):
            samples = speech(seconds)[:, 0]
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[:: -1 if i else 1])[None], "s16", "mono")
            frame.sample_rate = RATE
            resampler = av.AudioResampler(stream.codec_context.format, "mono", kind.rate)
            for one in [*resampler.resample(frame), *resampler.resample(None), None]:
                out.mux(stream.encode(one))
    return file.getvalue()
