"""The same speech is the same in every container, and no header can make it other than that or an error."""

import io
import struct

import containers as made
import numpy as np
import pytest
import soundfile
from containers import FOREIGN, RATE, by_ffmpeg, chunk, fmt, patched, speech, wav, without_first_frame
from fakes import fake_model
from hypothesis import given, settings
from hypothesis import strategies as st
from sounds import encoded, noise

from metaser_jax.audio import mp3
from metaser_jax.audio.clips import Upload, clip_of, read_clip
from metaser_jax.audio.decoding import Limits, decode
from metaser_jax.errors import RecordingError
from metaser_jax.recogniser.predictor import Predictor

LIMITS = Limits(10**6, 20, "expected less")
FILES = {one.name: one for one in made.containers()}


def read(data, name="a.wav"):
    """Decode without the guard that makes every exception a RecordingError."""
    return decode(data, name, LIMITS)


def attempt(data):
    try:
        return read(data)
    except RecordingError as error:
        return error


@pytest.mark.parametrize("name", [name for name, one in FILES.items() if one.lossless])
def test_the_same_samples(name):
    sound = read(FILES[name].data)
    assert sound.sample_rate == RATE
    np.testing.assert_array_equal(sound.mono, speech()[:, 0] / np.float32(2**15))
    assert sound.quality.header == FILES[name].header


def test_the_same_prediction():
    """To 1e-6 where nothing is lost; of codecs within what was measured, rounded up."""
    predictor = Predictor(fake_model())
    (expected,) = predictor.predict_clips([clip_of(speech(), RATE)])
    # MP3 begins with silence of its own where the stream does not say how much.
    within = {"MP3": 0.01, "MP3 without a length": 0.05, "MP3 in WAV": 0.05, "WAV, MS ADPCM": 0.02}
    assert len(FILES) >= 20
    clips = [read_clip(Upload(one.name, one.data)) for one in FILES.values()]
    for one, found in zip(FILES.values(), predictor.predict_clips(clips), strict=True):
        assert found.label == expected.label, one.name
        distance = np.abs(found.probabilities - expected.probabilities).max()
        assert distance <= (1e-6 if one.lossless else within.get(one.name, 0.01)), one.name
        assert (len(found.notes) == 1) == bool(one.header), found.notes


@pytest.mark.parametrize("kind", ["WAV", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "Vorbis", "Opus", "MP3"])
def test_truncated(kind):
    """libsndfile reads what there is of most."""
    data = FILES[kind].data
    parts = [data[: int(share * len(data))] for share in (0.05, 0.3, 0.6, 0.95)]
    if kind in ("Vorbis", "Opus"):
        parts.append(data[: data.rindex(b"OggS")])  # the last page is missing
    if kind == "FLAC":  # what does not say its length has its last frame whole
        parts.append(FILES["FLAC from a pipe"].data[:-100])
    for part in parts[kind == "MP3" :]:  # of which 5 % are no frame
        with pytest.raises(RecordingError, match="truncated"):
            read(part)


def test_what_is_not_read_is_named(without_formats):
    speex = made.in_ogg(bytes(100)).replace(b"\x7fFLAC\x01\x00\x00\x01", b"Speex   1")
    voc = encoded(speech(), RATE, "VOC", "PCM_16")
    two = wav(fmt() + fmt(rate=8000) + chunk(b"data", speech().tobytes()))
    for data, name, said in (
        (speex, "a.ogg", r"this is Speex \(\.ogg\), which is not read.*ffmpeg -i a\.ogg a\.wav"),
        (b".SoX" + bytes(100), "a.sox", r"SoX's own format.*ffmpeg -i a\.sox"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "a.wav", "Git LFS.*git lfs pull"),
        (voc[:-1] + voc[int.from_bytes(voc[20:22], "little") :], "a.voc", r"several blocks.*ffmpeg -i a\.voc"),
        (two, "a.wav", r"says 2 times, and differently.*ffmpeg -i a\.wav a_converted\.wav"),
    ):
        with pytest.raises(RecordingError, match=said):
            read(data, name)


def varying(rate=22050, seconds=3.0):
    """Return an mp3 of noise, then silence, then quiet noise: bit rates that vary."""
    n = round(seconds * rate / 3)
    rng = np.random.default_rng(0)
    sound = np.concatenate([0.3 * rng.standard_normal(n), np.zeros(n), 0.01 * rng.standard_normal(n)])
    return encoded(sound, rate, "MP3")


@pytest.mark.parametrize("rate", [8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000])
def test_the_length_of_an_mp3(rate):
    data = varying(rate)
    seconds = mp3.stream(data).seconds
    assert seconds == pytest.approx(3.0, abs=0.25)
    for same in (without_first_frame(data), bytes(50) + data, b"ID3\x04\x00\x00\x00\x00\x01\x02" + bytes(130) + data):
        assert mp3.stream(same).seconds == pytest.approx(seconds, abs=0.001)
    assert mp3.stream(data + b"TAG" + bytes(125)).seconds == seconds
    assert mp3.stream(data[: len(data) // 2]).seconds < seconds
    for nothing in (b"", b"\xff", b"RIFF" + bytes(100), b"\xff" * 500, b"ID3"):
        assert mp3.stream(nothing) is None


def test_an_mp3_that_does_not_say_its_length_is_read_whole():
    """libsndfile's guess would end it early; a header that says half of it is not believed, nor what cannot be."""
    whole = varying()
    found = read(without_first_frame(whole))
    assert found.seconds == pytest.approx(3.0, abs=0.15)
    assert found.quality.header == ""
    at = whole.index(b"Xing") + 8
    found = read(patched(whole, at, (int.from_bytes(whole[at : at + 4], "big") // 2).to_bytes(4, "big")))
    assert found.seconds == pytest.approx(3.0, abs=0.05)
    assert found.quality.header == "more"
    with pytest.raises(RecordingError, match=r"3\.\d+ s"):
        read(whole.replace(b"Xing", b"VBRI"))


def test_an_mp3_of_a_constant_bit_rate():
    """A tag at its end is counted in by libsndfile's guess; and soundfile seeks, which loses what is before a block."""
    file = io.BytesIO()
    soundfile.write(file, noise(2.0), RATE, format="MP3", bitrate_mode="CONSTANT", compression_level=0.9)
    data = without_first_frame(file.getvalue())
    assert mp3.stream(data).tag is None
    found = read(data + b"TAG" + bytes(1000))
    assert found.seconds == pytest.approx(2.0, abs=0.08)
    assert found.seconds == pytest.approx(mp3.stream(data).seconds)
    np.testing.assert_allclose(decode(data, "a.mp3", LIMITS, block=1000).mono, read(data).mono, atol=1e-6)


SOUND = speech(0.1)
NAMES = st.sampled_from([b"id3 ", b"junk", b"JUNK", b"iXML", b"abcd"])
CHUNKS = st.lists(st.builds(chunk, NAMES, st.binary(max_size=40)), max_size=3).map(b"".join)


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from([b"RIFF", b"RF64", b"BW64"]),
    before=CHUNKS,
    formats=st.integers(1, 3),
    between=CHUNKS,
    after=CHUNKS,
    behind=st.binary(max_size=200),
    size=st.sampled_from([None, 0, 2, SOUND.nbytes // 2, SOUND.nbytes + 1, 0x7FFFF000, 0xFFFFFFFF]),
    of_all=st.sampled_from([None, 0, 100, 0xFFFFFFFF]),
)
def test_any_layout_of_chunks(name, before, formats, between, after, behind, size, of_all):
    """All samples are read where the header is right; never other sound, nor a part without a word."""
    content = SOUND.tobytes()
    data = wav(before + fmt() * formats + between + chunk(b"data", content, size) + after, of_all, name) + behind
    sound = attempt(data)
    if isinstance(sound, RecordingError):
        assert "truncated" in sound.reason
        assert size == len(content) + 1
        return
    expected = SOUND[:, 0] / np.float32(2**15)
    n = min(len(sound.mono), len(expected))
    np.testing.assert_array_equal(sound.mono[:n], expected[:n])
    assert size is not None or len(sound.mono) == len(expected)
    assert n == len(expected) or sound.quality.header or after, "a part is read, and the rest is something else"


KINDS = [one for one in FILES.values() if len(one.data) < 100_000]
KINDS += [made.Container(kind.suffix, by_ffmpeg(kind, seconds=0.3)) for kind in FOREIGN]


@settings(max_examples=150, deadline=None)
@given(
    one=st.sampled_from(KINDS),
    places=st.lists(st.tuples(st.integers(0, 120), st.integers(0, 255)), max_size=6),
    word=st.none() | st.tuples(st.integers(0, 120), st.sampled_from([0, 1, 2**31 - 1, 2**31, 2**32 - 1])),
    share=st.none() | st.floats(0, 1),
)
def test_any_header(one, places, word, share):
    """It reads, or is a RecordingError; nothing else is raised."""
    data = bytearray(one.data)
    for place, byte in places:
        data[place] = byte
    if word is not None:
        data[word[0] : word[0] + 4] = struct.pack("<I", word[1])
    data = bytes(data)
    sound = attempt(data if share is None else data[: int(share * len(data))])
    assert "expected" in sound.reason if isinstance(sound, RecordingError) else len(sound.mono) > 0
