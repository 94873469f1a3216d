"""Sound that libsndfile does not take (m4a, aac, wma, amr, Speex, videos), by FFmpeg: PyAV, of the extra `formats`.

FFmpeg opens whatever a file names (playlists, lists of files, descriptions of sessions), if it is let. So it is given
bytes and never a path, always the demuxer that the first bytes ask for (containers.demuxer), no protocol, no other
demuxer, and decoders of sound alone.
"""

import contextlib
import importlib.util
import io
import re
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from metaser_jax.audio.containers import DAMAGED, conversions
from metaser_jax.errors import RecordingError

if TYPE_CHECKING:
    import av

# Of decoding, beyond which no good recording goes.
MAX_SECONDS = 60.0
# Streams may be cut out of longer ones: what comes before their first whole frame is passed over.
_STREAMS = ("mpeg", "mpegts")
# Where a header says the duration, which FFmpeg guesses otherwise; and how much earlier the last packet may end, in s.
_DURATION, _SLACK = {"matroska": re.compile(rb"\x44\x89[\x84\x88]"), "flv": re.compile(b"duration")}, 0.05
_ASF_PROPERTIES = b"\xa1\xdc\xab\x8cG\xa9\xcf\x11\x8e\xe4\x00\xc0\x0c Se"
_MOV_ATOMS = (b"ftyp", b"free", b"mdat", b"mfra", b"moof", b"moov", b"sidx", b"skip", b"styp", b"uuid", b"wide")
_DECODERS = (
    *("aac", "aac_latm", "ac3", "adpcm_ima_qt", "adpcm_ima_wav", "adpcm_ms", "adpcm_swf", "alac", "amrnb", "amrwb"),
    *("dca", "eac3", "flac", "libopus", "mp1float", "mp2", "mp2float", "mp3", "mp3float", "nellymoser", "opus"),
    *("pcm_alaw", "pcm_bluray", "pcm_dvd", "pcm_f32be", "pcm_f32le", "pcm_mulaw", "pcm_s16be", "pcm_s16le"),
    *("pcm_s24be", "pcm_s24le", "pcm_s32be", "pcm_s32le", "pcm_u8", "speex", "vorbis"),
    *("wmalossless", "wmapro", "wmav1", "wmav2", "wmavoice"),
)


def is_installed() -> bool:
    """Return whether PyAV is."""
    return importlib.util.find_spec("av") is not None


def first_track(data: bytes, demuxer: str, path: str) -> tuple[int, int, int]:
    """Return sampling rate and channels of the first audio track, and how many tracks there are.

    Args: path: for messages.

    Raises:
      RecordingError: there is none, or it is in an encoding that is not read.
    """
    with _opened(data, demuxer, path) as (container, stream):
        return stream.rate, stream.channels, len(container.streams.audio)


def blocks(data: bytes, demuxer: str, path: str) -> Iterator[np.ndarray]:
    """Yield the samples of the first audio track, [m, channels] float32.

    Raises:
      RecordingError: it is truncated or damaged, or takes too long.
    """
    import av

    deadline = time.monotonic() + MAX_SECONDS
    with _opened(data, demuxer, path) as (container, stream):
        resampler = av.AudioResampler("flt", stream.layout, stream.rate)
        end, begun = 0.0, False
        for packet in container.demux():
            if time.monotonic() > deadline:
                raise RecordingError(path, f"reading it takes more than {MAX_SECONDS:.0f} s, expected a recording")
            if packet.pts is not None and packet.time_base:
                end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
            if packet.stream_index != stream.index:
                continue
            try:
                frames = packet.decode()
            except av.FFmpegError:
                if begun or demuxer not in _STREAMS:
                    raise
                continue
            if begun and packet.is_corrupt:
                raise _truncated(path)
            for frame in frames:
                begun = True
                yield from (_samples(one, stream.channels) for one in resampler.resample(frame))
        if begun:
            yield from (_samples(one, stream.channels) for one in resampler.resample(None))
        says_duration = demuxer in _DURATION and _DURATION[demuxer].search(data, 0, 4096)
        if says_duration and end < (container.duration or 0) / 1e6 - _SLACK:
            raise _truncated(path)


def _samples(frame: "av.AudioFrame", channels: int) -> np.ndarray:
    return frame.to_ndarray().reshape(-1, channels)


@contextlib.contextmanager
def _opened(
    data: bytes, demuxer: str, path: str
) -> Iterator[tuple["av.container.InputContainer", "av.audio.stream.AudioStream"]]:
    """Open a recording, and its first audio track; what FFmpeg raises meanwhile is that recording's error."""
    import av

    if _promised(data, demuxer) > len(data):
        raise _truncated(path)
    options = {"protocol_whitelist": "", "format_whitelist": demuxer, "codec_whitelist": ",".join(_DECODERS)}
    if demuxer == "mov":  # tracks that are in other files
        options |= {"enable_drefs": "0", "use_absolute_path": "0"}
    try:
        file = io.BytesIO(data)
        with av.open(file, format=demuxer, container_options=options, metadata_errors="ignore") as container:
            stream = next(iter(container.streams.audio), None)
            if stream is None and container.streams.video:
                raise RecordingError(path, "this is a video without sound, expected a recording")
            codec = stream.codec_context if stream else None
            if codec is None or not codec.sample_rate or not codec.channels:
                raise RecordingError(path, f"{DAMAGED}, expected a complete file")
            if codec.name not in _DECODERS:
                reason = f"this is sound in the encoding {codec.name}, which is not read, expected another one"
                raise RecordingError(path, reason, *conversions(path))
            yield container, stream
    except RecordingError:
        raise
    except (av.FFmpegError, ArithmeticError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise RecordingError(path, f"{DAMAGED}, expected a complete file (FFmpeg: {why})") from error


def _promised(data: bytes, demuxer: str) -> int:
    """Return how many bytes the header says that the file has; 0 where it does not say."""
    if demuxer == "avi":
        return int.from_bytes(data[4:8], "little") + 8
    if demuxer == "asf" and (at := data.find(_ASF_PROPERTIES)) >= 0 and not data[at + 88] & 1:  # no broadcast
        return int.from_bytes(data[at + 40 : at + 48], "little")
    end = 0
    while demuxer == "mov" and data[end + 4 : end + 8] in _MOV_ATOMS:
        size = int.from_bytes(data[end : end + 4], "big")
        size = int.from_bytes(data[end + 8 : end + 16], "big") if size == 1 else size
        if size < 8:  # up to the end
            return 0
        end += size
    return end


def _truncated(path: str) -> RecordingError:
    return RecordingError(path, "truncated: it ends before its header says, expected a complete file")
