"""What FFmpeg reads: every format, cut short, without the extra, and files that would have it open others."""

import asyncio
import contextlib
import ctypes
import os
import socket
import zipfile

import av
import numpy as np
import pytest
from containers import FOREIGN, RATE, Foreign, by_ffmpeg, speech

from metaser_jax.audio import formats
from metaser_jax.audio.clips import Upload, clip_of, read_all, read_clip
from metaser_jax.audio.containers import CONVERTED, RECORDINGS, conversion
from metaser_jax.audio.quality import notes_of
from metaser_jax.datasets.files import audio_files
from metaser_jax.errors import RecordingError
from metaser_jax.serve.reading import Readers
from metaser_jax.serve.web import Refused

# They have no end that could be missing.
ENDLESS = ("mpg", "ts", "mts")


def alike(clip, expected):
    """Return how alike the courses of their loudness are, where an encoder may have shifted one by up to 0.1 s."""
    a, b = clip.frames[:, 0], expected.frames[4:54, 0]
    return max(np.corrcoef(a[i : i + 50], b)[0, 1] for i in range(9))


@pytest.mark.parametrize("kind", FOREIGN, ids=lambda kind: kind.suffix)
def test_the_same_sound_whole_cut_short_and_without_the_extra(kind, request):
    data, expected = by_ffmpeg(kind), clip_of(speech(), RATE)
    clip = read_clip(Upload(f"a.{kind.suffix}", data))
    assert f".{kind.suffix}" in CONVERTED
    assert clip.seconds == pytest.approx(1.5, abs=0.1)
    assert clip.sample_rate == kind.rate
    assert alike(clip, expected) > 0.9
    assert clip.quality.loudness_db == pytest.approx(expected.quality.loudness_db, abs=2)
    for found in read_all([Upload("a", data[: int(share * len(data))]) for share in (0.3, 0.95)], workers=1):
        if isinstance(found, RecordingError):
            assert "truncated" in found.reason
        else:
            assert (kind.suffix in ENDLESS, found.seconds < 1.6) == (True, True)
    request.getfixturevalue("without_formats")
    with pytest.raises(RecordingError) as caught:
        read_clip(Upload(f"a.{kind.suffix}", data))
    assert caught.value.advice == f"Convert it, e.g. with ffmpeg -i a.{kind.suffix} a.wav"


def test_names_that_a_shell_would_obey_are_quoted():
    assert conversion("a/it's mine.webm").endswith("""'it'"'"'s mine.webm' 'it'"'"'s mine.wav'""")
    assert conversion("a/-x.3gp").endswith("./-x.3gp ./-x.wav")


def test_what_is_in_a_video(monkeypatch):
    mp4, mkv = (kind for kind in FOREIGN if kind.suffix in ("mp4", "mkv"))
    for kind in (mp4, mkv):  # of two tracks the first
        clip, expected = read_clip(Upload("a", by_ffmpeg(kind, tracks=2))), clip_of(speech(), RATE)
        assert alike(clip, expected) > 0.9
        assert (clip.quality.of_tracks, len(notes_of(clip))) == (2, 1)
    with pytest.raises(RecordingError, match="without sound"):
        read_clip(Upload("a", by_ffmpeg(mp4, tracks=0)))
    whole = Upload("a", by_ffmpeg(mp4))
    with pytest.raises(RecordingError, match="longer than 1 s"):
        read_clip(whole, max_seconds=1)
    with pytest.raises(RecordingError, match="encoding tta"):
        read_clip(Upload("a", by_ffmpeg(Foreign("mka", "matroska", "tta"))))
    monkeypatch.setattr(formats, "MAX_SECONDS", 0.0)
    with pytest.raises(RecordingError, match="more than 0 s"):
        read_clip(whole)


def watched(folder):
    """Return a function: whether a file of a name was opened in a folder, by whatever program (inotify)."""
    libc = ctypes.CDLL(None, use_errno=True)
    file = libc.inotify_init1(os.O_NONBLOCK)
    assert libc.inotify_add_watch(file, os.fsencode(folder), 0x20) >= 0  # IN_OPEN

    def opened(name):
        try:
            return name.encode() in os.read(file, 2**20)
        except BlockingIOError:
            return False

    return opened


M3U8 = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.5,\n{}\n#EXT-X-ENDLIST\n"
# What makes FFmpeg open other files, or call.
HOSTILE = {
    "ffconcat": "ffconcat version 1.0\nfile 'neighbour.m4a'\n",
    "concat": "file {folder}/neighbour.m4a\n",
    "m3u8": M3U8.format("neighbour.m4a"),
    "m3u8_of_url": M3U8.format("http://127.0.0.1:{port}/a.m4a"),
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=a\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio {port} RTP/AVP 0\n",
}


def test_no_recording_has_another_one_opened(tmp_path):
    """By path, in an archive and on the page, whatever it is called and with the first bytes of whatever."""
    folder, opened, server = tmp_path, watched(tmp_path), socket.create_server(("127.0.0.1", 0))
    server.setblocking(False)
    port = server.getsockname()[1]
    hostile = {name: text.format(folder=folder, port=port).encode() for name, text in HOSTILE.items()}
    starts = [b"", b"RIFF\0\0\0\0AVI ", b"FLV\x01", b"#!AMR\n", b"\0\0\0\x08ftyp", b"\x1aE\xdf\xa3", b"\0\0\x01\xba"]
    (folder / "neighbour.m4a").write_bytes(by_ffmpeg(FOREIGN[0]))
    opened("neighbour.m4a")
    for name, data in hostile.items():
        sources = [folder / f"{name}{suffix}" for suffix in (*RECORDINGS, ".ffconcat", ".m3u8", ".sdp", "")]
        with zipfile.ZipFile(folder / "archive.zip", "w") as archive:
            for source in sources:
                source.write_bytes(data)
                archive.writestr(source.name, data)
        uploads = [Upload(f"a{i}.m4a", start + data) for i, start in enumerate(starts)]
        packed = audio_files([str(folder / "archive.zip")])
        assert len(packed) >= len(RECORDINGS)
        for source in [*sources, *uploads, *packed]:
            with pytest.raises(RecordingError):
                read_clip(source)

    with contextlib.closing(Readers(1, time_limit=60.0, max_seconds=20.0)) as readers:

        async def upload():
            for name, data in hostile.items():
                with pytest.raises(Refused):
                    await readers.read(f"{name}.m4a", data)

        asyncio.run(upload())
    assert not opened("neighbour.m4a")
    with server, pytest.raises(BlockingIOError):
        server.accept()
    av.open(str(folder / "ffconcat.ffconcat"), format="concat").close()
    assert opened("neighbour.m4a"), "as by a program without a guard"
