"""Lengths of mp3 streams, and what is done where libsndfile would read a part without a word."""

import io

import numpy as np
import pytest
import soundfile
from sounds import noise

from metaser_jax.audio import mp3
from metaser_jax.audio.clips import Upload, read_clip
from metaser_jax.audio.decoding import Limits, decode
from metaser_jax.audio.extraction import extract
from metaser_jax.errors import RecordingError


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
    seconds = mp3.stream(data).seconds
    assert seconds == pytest.approx(3.0, abs=0.25)
    assert mp3.stream(tag + without_header(data[len(tag) :])).seconds == pytest.approx(seconds, abs=0.001)
    assert mp3.stream(data + b"TAG" + bytes(125)).seconds == seconds
    assert mp3.stream(data[: len(data) // 2]).seconds < seconds


@pytest.mark.parametrize("data", [b"", b"\xff", b"RIFF" + bytes(100), b"\xff" * 500, b"ID3"])
def test_no_stream(data):
    assert mp3.stream(data) is None


def test_read_whole(tmp_path):
    path = tmp_path / "x.mp3"
    encode(path, 22050)
    assert extract(path).seconds == pytest.approx(3.0, abs=0.01)


def test_a_stream_that_does_not_say_its_length_is_read_whole(tmp_path):
    """libsndfile's guess would end it early; and a header that says half of it is not believed."""
    path = tmp_path / "x.mp3"
    whole = encode(path, 22050)
    path.write_bytes(without_header(whole))
    found = extract(path)
    assert found.seconds == pytest.approx(3.0, abs=0.15)
    assert found.quality.header == ""
    at = whole.index(b"Xing") + 8
    half = int.from_bytes(whole[at : at + 4], "big") // 2
    path.write_bytes(whole[:at] + half.to_bytes(4, "big") + whole[at + 4 :])
    found = extract(path)
    assert found.seconds == pytest.approx(3.0, abs=0.05)
    assert found.quality.header == "more"


def constant(seconds=2.0, rate=22050):
    """An mp3 of a constant bit rate, whose first frame is sound: (samples, bytes)."""
    samples = noise(seconds, rate=rate)[:, 0]
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="MP3", bitrate_mode="CONSTANT", compression_level=0.9)
    return samples, without_header(file.getvalue())


def test_a_guess_of_the_length_is_no_promise():
    samples, data = constant()
    assert mp3.stream(data).tag is None
    # A tag at the end: the guess counts it in.
    clip = read_clip(Upload("a.mp3", data + b"TAG" + bytes(1000)), voice=False)
    assert clip.seconds == pytest.approx(len(samples) / 22050, abs=0.08)
    assert clip.seconds == pytest.approx(mp3.stream(data).seconds)


def test_blocks_change_nothing():
    """soundfile seeks in an mp3 after each block, and what follows would be decoded without what is before."""
    _, data = constant()
    whole, parts = (decode(data, "a.mp3", Limits(10**7, 60, ""), block=size).mono for size in (2**20, 1000))
    np.testing.assert_allclose(parts, whole, atol=1e-6)


def test_a_stream_of_which_only_a_part_would_be_read_is_an_error(tmp_path):
    path = tmp_path / "x.mp3"
    path.write_bytes(encode(path, 22050).replace(b"Xing", b"VBRI"))
    with pytest.raises(RecordingError, match=r"an mp3 of 3\.\d+ s whose header does not say so.*convert it"):
        extract(path)


@pytest.mark.filterwarnings("ignore")
def test_truncated(tmp_path):
    path = tmp_path / "x.mp3"
    data = encode(path, 22050)
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(RecordingError, match="truncated: the header promises"):
        extract(path)
