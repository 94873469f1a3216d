"""Lengths of mp3 streams, and what is done where libsndfile would read a part without a word."""

import numpy as np
import pytest
import soundfile

from metaser_jax.audio import mp3
from metaser_jax.audio.extraction import extract
from metaser_jax.audio.mfcc import RecordingError


def encode(path, rate, seconds=3.0):
    """Noise, then silence, then quiet noise: bit rates that vary."""
    n = round(seconds * rate / 3)
    rng = np.random.default_rng(0)
    sound = np.concatenate([0.3 * rng.standard_normal(n), np.zeros(n), 0.01 * rng.standard_normal(n)])
    soundfile.write(path, sound, rate)
    return path.read_bytes()


def without_header(data):
    """Drops the first frame, which says how long the stream is."""
    start = 100
    while data[start : start + 2] != data[:2]:
        start += 1
    return data[start:]


@pytest.mark.parametrize("rate", [8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000])
@pytest.mark.parametrize("tag", [b"", b"ID3\x04\x00\x00\x00\x00\x01\x02" + bytes(130)], ids=["plain", "id3"])
def test_seconds(tmp_path, rate, tag):
    data = tag + encode(tmp_path / "x.mp3", rate)
    assert mp3.seconds(data) == pytest.approx(3.0, abs=0.25)
    assert mp3.seconds(tag + without_header(data[len(tag) :])) == pytest.approx(mp3.seconds(data), abs=0.001)
    assert mp3.seconds(data + b"TAG" + bytes(125)) == mp3.seconds(data)
    assert mp3.seconds(data[: len(data) // 2]) < mp3.seconds(data)


@pytest.mark.parametrize("data", [b"", b"\xff", b"RIFF" + bytes(100), b"\xff" * 500, b"ID3"])
def test_no_stream(data):
    assert mp3.seconds(data) == 0


def test_read_whole(tmp_path):
    path = tmp_path / "x.mp3"
    encode(path, 22050)
    assert extract(path).seconds == pytest.approx(3.0, abs=0.01)


def test_a_stream_of_which_only_a_part_would_be_read_is_an_error(tmp_path):
    path = tmp_path / "x.mp3"
    path.write_bytes(without_header(encode(path, 22050)))
    with pytest.raises(RecordingError, match=r"an mp3 of 3\.\d+ s whose header does not say so.*convert it"):
        extract(path)


@pytest.mark.filterwarnings("ignore")
def test_truncated(tmp_path):
    path = tmp_path / "x.mp3"
    data = encode(path, 22050)
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(RecordingError, match="truncated: the header promises"):
        extract(path)
