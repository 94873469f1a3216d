import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile
from sounds import noise

from metaser_jax.audio import mfcc as features
from metaser_jax.audio.decoding import UTTERANCE, decode, read_source
from metaser_jax.audio.extraction import extract
from metaser_jax.errors import InputError, RecordingError

# librosa.load looks for audioread's backends, which import modules that leave the standard library.
pytestmark = pytest.mark.filterwarnings("ignore:.*slated for removal in Python 3.13:DeprecationWarning")


def sound(n: int = 3000, channels: int = 1) -> np.ndarray:
    return 0.1 * np.random.default_rng(n).standard_normal((n, channels)).astype(np.float32)


def load(path):
    """Return (samples at 22,050 Hz, seconds, rate of the file)."""
    sound = decode(read_source(path), str(path), UTTERANCE)
    return features.resampled(sound.mono, sound.sample_rate), sound.seconds, sound.sample_rate


def written(path: Path, rate: int = 22050, **kwargs) -> Path:
    soundfile.write(path, sound(), rate, **kwargs)
    return path


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8000, 16000, 22050, 24414, 44100, 48000, 96000])
@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_samples_are_those_of_librosa(tmp_path, name, rate, channels):
    import librosa

    path = tmp_path / name
    soundfile.write(path, sound(3001, channels), rate)
    samples, seconds, sample_rate = load(path)
    expected, _ = librosa.load(path)
    np.testing.assert_array_equal(samples, expected)
    assert samples.dtype == np.float32
    assert (seconds, sample_rate) == (3001 / rate, rate)


@pytest.mark.parametrize("n", [1, 2, 511, 512, 2047, 2048, 30000, 119 * 512 - 1, 119 * 512, 100000])
def test_mfcc_is_that_of_librosa(n):
    import librosa
    from threadpoolctl import threadpool_limits

    samples = sound(n)[:, 0]
    # librosa's last bits depend on the number of BLAS threads.
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")  # librosa warns about short clips; ours must not
        expected = librosa.feature.mfcc(y=samples, sr=22050, n_mfcc=20).T
    mfcc, n_frames = features.mfcc(samples)
    assert n_frames == min(120, 1 + n // 512)
    assert mfcc.shape == (120, 20)
    assert mfcc.dtype == np.float32
    np.testing.assert_array_equal(mfcc[:n_frames], expected[:120])
    assert not mfcc[n_frames:].any()


def test_mfcc_does_not_depend_on_blas_threads():
    from threadpoolctl import threadpool_limits

    samples = sound(66228)[:, 0]
    with threadpool_limits(2):
        two = features.mfcc(samples)[0]
    with threadpool_limits(1):
        one = features.mfcc(samples)[0]
    assert one.tobytes() == two.tobytes()


def test_silence_is_finite():
    mfcc, _ = features.mfcc(np.zeros(5000, np.float32))
    assert np.isfinite(mfcc).all()


@pytest.mark.parametrize("shape", [(0,), (2, 100)])
def test_mfcc_refuses_other_shapes(shape):
    with pytest.raises(InputError, match="expected"):
        features.mfcc(np.zeros(shape, np.float32))


def test_extract(tmp_path):
    path = written(tmp_path / "a.wav", 16000)
    extraction = extract(path)
    mfcc, n_frames = features.mfcc(load(path)[0])
    np.testing.assert_array_equal(extraction.mfcc, mfcc)
    assert extraction.n_frames == n_frames
    assert (extraction.seconds, extraction.sample_rate) == (3000 / 16000, 16000)
    assert len(extraction.sha256) == 64


def test_extension_does_not_matter(tmp_path):
    written(tmp_path / "a.wav").rename(tmp_path / "A.WAV")
    assert load(tmp_path / "A.WAV")[1] > 0


def test_error_names_file_and_reason(tmp_path):
    with pytest.raises(RecordingError) as caught:
        load(tmp_path / "none.wav")
    assert caught.value.path == str(tmp_path / "none.wav")
    assert "No such file" in caught.value.reason
    assert str(tmp_path / "none.wav") in str(caught.value)


def bytes_of(tmp_path: Path, name: str) -> bytes:
    return written(tmp_path / name).read_bytes()


@pytest.mark.parametrize(
    ("name", "damage", "reason"),
    [
        ("a.wav", lambda data: b"", "empty"),
        ("a.wav", lambda data: b"These are my notes." * 50, "not audio"),
        ("a.wav", lambda data: data[:30], "truncated"),
        ("a.wav", lambda data: data[:1000], "truncated: the header promises 6,000 bytes of audio, the file has 956"),
        ("a.wav", lambda data: data[:-1], "truncated"),
        ("a.flac", lambda data: data[:60], "truncated or damaged"),
        ("a.flac", lambda data: data[: len(data) // 2], "truncated"),
        ("a.flac", lambda data: data[:-1], "truncated"),
        ("a.flac", lambda data: data[:3000] + bytes(200) + data[3200:], "damaged"),
    ],
)
def test_damaged_file(tmp_path, name, damage, reason):
    path = tmp_path / name
    path.write_bytes(damage(bytes_of(tmp_path, name)))
    with pytest.raises(RecordingError, match=reason) as caught:
        load(path)
    assert "0x" not in str(caught.value)


@pytest.mark.parametrize("sizes", [(0, 0), (0xFFFFFFFF, 0xFFFFFFFF), (0x7FFFF024, 0x7FFFF000)])
def test_header_of_a_stream_is_no_truncation(tmp_path, sizes):
    data = bytearray(bytes_of(tmp_path, "a.wav"))
    expected = load(tmp_path / "a.wav")[0]
    at = data.index(b"data") + 4
    data[4:8], data[at : at + 4] = (struct.pack("<I", size) for size in sizes)
    (tmp_path / "stream.wav").write_bytes(data)
    np.testing.assert_array_equal(load(tmp_path / "stream.wav")[0], expected)


def test_chunk_behind_the_audio(tmp_path):
    data = bytes_of(tmp_path, "a.wav")
    (tmp_path / "b.wav").write_bytes(data + b"LIST" + struct.pack("<I", 4) + b"INFO")
    assert load(tmp_path / "b.wav")[1] == 3000 / 22050


def test_no_samples(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros((0, 1)), 22050)
    with pytest.raises(RecordingError, match="no samples"):
        load(tmp_path / "a.wav")


@pytest.mark.parametrize(
    ("value", "reason"), [(np.nan, "1 samples are NaN"), (np.inf, "1 samples are NaN or inf"), (1e30, r"reach 1e\+30")]
)
def test_samples_that_are_no_audio(tmp_path, value, reason):
    samples = sound()
    samples[7] = value
    soundfile.write(tmp_path / "a.wav", samples, 22050, subtype="FLOAT")
    with pytest.raises(RecordingError, match=reason):
        load(tmp_path / "a.wav")


def test_a_folder_is_no_recording(tmp_path):
    with pytest.raises(RecordingError, match="cannot be read"):
        load(tmp_path)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9, 0.999])
def test_a_truncated_ogg_is_an_error(tmp_path, share):
    """libsndfile reads what there is of it."""
    path = tmp_path / "x.ogg"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(88200), 22050)
    assert extract(path).seconds == 4.0
    data = path.read_bytes()
    for left in (data[: int(len(data) * share)], data[: data.rfind(b"OggS")]):  # the last page is missing
        path.write_bytes(left)
        with pytest.raises(RecordingError, match="truncated"):
            extract(path)


@pytest.mark.parametrize("rate", [1, 999, 1_000_001, 2**31 - 1])
def test_impossible_rates(tmp_path, rate):
    path = tmp_path / "x.wav"
    soundfile.write(path, np.zeros(100), 16000)
    data = path.read_bytes()
    path.write_bytes(data[:24] + rate.to_bytes(4, "little") + data[28:])
    with pytest.raises(RecordingError, match=rf"{rate:,} Hz, expected 1,000 to 1,000,000"):
        extract(path)


def test_what_is_too_long_for_an_utterance(tmp_path):
    path = tmp_path / "x.wav"
    soundfile.write(path, noise(2, 2, 1000), 1000)
    assert extract(path).seconds == 2.0
    with pytest.raises(RecordingError, match=r"longer than 2 s, expected an utterance of some seconds\. Cut it"):
        extract(path, UTTERANCE._replace(samples=3999))
