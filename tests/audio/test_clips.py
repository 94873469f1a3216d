import numpy as np
import pytest
import soundfile
from sounds import encoded
from sounds import noise as sound
from subprograms import PicklingPool

from metaser_jax.audio import clips
from metaser_jax.audio.clips import Clip, Quality, Upload, clip_of, read_all, read_clip, span, voice_windows, windows
from metaser_jax.audio.decoding import UTTERANCE, Limits, decode
from metaser_jax.audio.extraction import MIN_FILES_FOR_PROCESSES, extract
from metaser_jax.audio.tracks import STEP, statistics
from metaser_jax.errors import InputError, RecordingError

DB = 128**0.5


def written(path, samples, rate=22050, **kwargs):
    soundfile.write(path, samples, rate, **kwargs)
    return path


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (22050, 2), (44100, 1), (48000, 6), (192_000, 2)])
@pytest.mark.parametrize("seconds", [0.1, 1.0, 4.0])
def test_the_first_window_is_what_training_sees(tmp_path, rate, channels, seconds):
    path = written(tmp_path / "a.wav", sound(seconds, channels, rate), rate, subtype="FLOAT")
    extraction, clip = extract(path), read_clip(path)
    mfcc, n_frames = clips.first_window(clip)
    assert mfcc.tobytes() == extraction.mfcc.tobytes()
    assert n_frames == extraction.n_frames
    assert clip.tracks.tobytes() == extraction.tracks.tobytes()
    assert clips.voice_of(clip).tobytes() == extraction.voice.tobytes()
    assert voice_windows(clip).voice.tobytes() == extraction.voice.tobytes()
    assert (clip.seconds, clip.sample_rate, clip.sha256, clip.quality) == extraction[4:]
    assert clip.quality.channels == channels
    upload = Upload("dropped.wav", path.read_bytes())
    assert read_clip(upload).frames.tobytes() == clip.frames.tobytes()
    with pytest.raises(RecordingError, match=r"^dropped\.wav: "):
        read_clip(upload._replace(data=b""))


@pytest.mark.parametrize("channels", [1, 3, 8])
def test_blocks_change_nothing(channels):
    import librosa

    samples = sound(0.3, channels)
    found = decode(encoded(samples, subtype="FLOAT"), "a.wav", Limits(10**6, 10, ""), block=100)
    np.testing.assert_array_equal(found.mono, librosa.to_mono(samples.T))
    assert found.quality.peak == np.abs(samples).max()


def test_what_is_too_long(tmp_path):
    """In seconds, and in samples of all channels; at low rates it would be hours, which resampling makes large."""
    path = written(tmp_path / "a.wav", sound(2, 4))
    assert read_clip(path, max_seconds=2, max_samples=8 * 22050).seconds == 2
    for limits in ({"max_seconds": 1.5}, {"max_samples": 6 * 22050}):
        with pytest.raises(RecordingError, match=r"a\.wav: longer than 1.5 s"):
            read_clip(path, **limits)
    with pytest.raises(InputError, match="longer than 1 s"):
        clip_of(sound(2), 22050, max_seconds=1)
    low = written(tmp_path / "low.wav", sound(11, rate=1000), 1000)
    with pytest.raises(RecordingError, match="longer than 10 s"):
        extract(low, UTTERANCE._replace(seconds=10))


@pytest.mark.parametrize("channels", [1, 2])
def test_samples_in_memory_are_as_in_a_file(tmp_path, channels):
    samples = sound(1.5, channels, 16000)
    clip = clip_of(samples, 16000)
    expected = read_clip(written(tmp_path / "a.wav", samples, 16000, subtype="FLOAT"))
    assert clip.frames.tobytes() == expected.frames.tobytes()
    assert clip.quality == expected.quality
    assert (clip.seconds, clip.sample_rate) == (1.5, 16000)
    assert clip_of(samples[:, 0], 16000.0).seconds == 1.5
    assert len({clip.sha256, clip_of(samples[::-1], 16000).sha256}) == 2
    assert clip_of(np.asfortranarray(samples), 16000).sha256 == clip.sha256
    whole = (samples * 2**15).astype(np.int16)
    expected = clip_of(whole / 2**15, 16000).frames.tobytes()
    for integers in (whole, whole.astype(np.int32) * 2**16):
        assert clip_of(integers, 16000).frames.tobytes() == expected


@pytest.mark.parametrize(
    ("samples", "rate", "reason"),
    [
        (np.zeros(0), 16000, r"shape \(0,\), expected \[n\] or \[n, channels\]"),
        (np.zeros((2, 16000)), 16000, r"shape \(2, 16000\).*Transpose it"),
        (np.full(100, np.nan), 16000, "100 samples are NaN or infinite, expected audio"),
        (np.full(100, 1e12), 16000, r"samples reach 1e\+12"),
        (np.zeros(100, np.uint8), 16000, "got uint8, expected floating-point numbers"),
        (np.ones(100), 999, "got 999 Hz, expected a whole number, 1,000 to 1,000,000"),
        (np.ones(100), 10**7, "got 10000000 Hz"),
        (np.ones(100), np.nan, "got nan Hz"),
    ],
)
def test_bad_samples(samples, rate, reason):
    with pytest.raises(InputError, match=reason):
        clip_of(samples, rate)


@pytest.mark.parametrize("rate", [8000, 22050, 48000])
def test_loudness(rate):
    time = np.arange(2 * rate) / rate
    tone = 0.1 * np.sin(2 * np.pi * 440 * time)
    tone[:rate] = 0  # the loudest part counts
    assert clip_of(tone, rate).quality.loudness_db == pytest.approx(20 * np.log10(0.1 / 2**0.5), abs=0.1)
    assert clip_of(tone[rate : rate + rate // 10], rate).quality.loudness_db == pytest.approx(-23, abs=0.3)
    assert clip_of(np.zeros(rate), rate).quality.loudness_db == -np.inf


def test_clipping():
    rng = np.random.default_rng(0)
    samples = 0.3 * rng.standard_normal(22050)
    assert clip_of(samples / np.abs(samples).max(), 22050).quality.clipped == 0  # full scale is no clipping
    tone = np.sin(2 * np.pi * 100 * np.arange(22050) / 22050)
    cut = np.clip(tone, -0.5, 0.5)
    share = np.mean(np.abs(cut) == 0.5)
    for loud in (2 * cut, 1.999 * cut, np.round(2 * cut * 32767).astype(np.int16)):
        assert clip_of(loud, 22050).quality.clipped == pytest.approx(share, abs=0.01)
    assert clip_of(cut, 22050).quality.clipped == 0  # flat, and far from full scale
    assert clip_of(np.stack([2 * cut, 0.1 * tone], axis=1), 22050).quality.clipped == pytest.approx(share / 2, abs=0.01)
    assert clip_of(np.array([0, 1, 1, 0, 1, 1, 1, 0], float), 22050).quality.clipped == 3 / 8


@pytest.mark.parametrize(
    ("time", "starts"),
    [(1, [0]), (119, [0]), (120, [0]), (121, [0, 60]), (180, [0, 60]), (181, [0, 60, 120]), (300, [0, 60, 120, 180])],
)
def test_windows(time, starts):
    frames = np.arange(time * 20, dtype=np.float32).reshape(time, 20)
    clip = Clip(frames, time * clips.HOP_SECONDS, 22050, "", Quality(0.5, 0.0, -20.0, 1))
    found = windows(clip)
    assert found.start.tolist() == starts
    assert found.mfcc.shape == (len(starts), 120, 20)
    assert (found.n_frames > (60 if time > 120 else 0)).all()
    assert starts[-1] + found.n_frames[-1] == time
    for start, mfcc, n in zip(starts, found.mfcc, found.n_frames, strict=True):
        np.testing.assert_array_equal(mfcc[:n], clip.frames[start : start + n])
        assert not mfcc[n:].any()
    first = windows(clip, "first")
    assert [array.tolist() for array in first] == [array[:1].tolist() for array in found]
    np.testing.assert_array_equal(found.mfcc[0], clips.first_window(clip)[0])
    assert span(found, 0, clip.seconds)[0] == 0
    assert span(found, len(starts) - 1, clip.seconds)[1] == pytest.approx(clip.seconds)


def voiced(time: int, start: float = 0.0) -> Clip:
    """A clip of so many frames of tracks, which begin at `start` s."""
    tracks = np.random.default_rng(time).normal(size=(time, 19)).astype(np.float32)
    seconds = start + time * STEP
    frames = np.zeros((1 + int(seconds / clips.HOP_SECONDS), 20), np.float32)
    return Clip(frames, seconds, 22050, "", Quality(0.5, 0.0, -20.0, 1), tracks=tracks, tracks_start=start)


@pytest.mark.parametrize(
    ("time", "starts"),
    [(1, [0]), (431, [0]), (689, [0]), (690, [0, 215, 430]), (860, [0, 215, 430]), (861, [0, 215, 430, 645])],
)
def test_voice_windows(time, starts):
    """Whole up to 8 s, or 430 frames (5 s) every 215, the last of more than that."""
    clip = voiced(time, start=1.0)
    found = voice_windows(clip)
    np.testing.assert_allclose(found.start, 1 + np.array(starts) * STEP)
    for i, start in enumerate(starts):
        frames = clip.tracks[start : start + 430] if len(starts) > 1 else clip.tracks
        np.testing.assert_array_equal(found.voice[i], statistics(frames))
        assert span(found, i, clip.seconds) == (found.start[i], pytest.approx(1 + (start + len(frames)) * STEP))
    assert found.end[-1] == pytest.approx(clip.seconds)
    first = voice_windows(clip, "first")
    assert [array.tolist() for array in first] == [array[:1].tolist() for array in found]


def test_where_the_voice_begins():
    speech = sound(3)[:, 0]
    found = voice_windows(clip_of(np.concatenate([np.zeros(22050), speech, np.zeros(44100)]), 22050))
    (start,), (end,) = found.start, found.end
    assert start == pytest.approx(1.0, abs=0.05)
    assert end == pytest.approx(4.0, abs=0.1)
    short = clip_of(sound(0.01), 22050)
    assert span(voice_windows(short), 0, short.seconds) == (0, short.seconds)


def test_a_clip_without_its_voice():
    clip = clip_of(sound(), 22050, voice=False)
    assert clip.tracks is None
    assert clip.frames.tobytes() == clip_of(sound(), 22050).frames.tobytes()
    for of in (voice_windows, clips.voice_of):
        with pytest.raises(InputError, match=r"read without its voice's tracks\. Read it with voice=True"):
            of(clip)


@pytest.mark.parametrize("divide", [windows, voice_windows])
def test_pauses_are_silent(divide):
    speech, pause = sound(6)[:, 0], 1e-4 * sound(13, seed=1)[:, 0]
    clip = clip_of(np.concatenate([np.zeros(22050), speech, pause, speech]), 22050)
    found = divide(clip)
    assert found.silent.any()
    for k in range(len(found.start)):
        start, end = span(found, k, clip.seconds)
        assert found.silent[k] == (start > 7.1 and end < 19.9)
    for nothing in (1e-5 * sound(), np.zeros(22050)):
        assert divide(clip_of(nothing, 22050)).silent.all()
    for quiet in (0.01 * sound(), np.concatenate([speech, 0.03 * speech])):  # 30 dB less
        assert not divide(clip_of(quiet, 22050)).silent.any()


def test_read_all_by_processes(without_formats):
    sources = [Upload(f"{i}.wav", encoded(sound(0.01 * (i + 1)))) for i in range(MIN_FILES_FOR_PROCESSES)]
    sources[3] = Upload("3.m4a", b"\x00\x00\x00\x20ftypM4A ")
    (error,) = read_all(sources[-1:], max_seconds=0.1)
    assert "longer than 0.1 s" in error.reason
    found, expected = (list(read_all(sources, workers, pool=PicklingPool)) for workers in (2, 1))
    assert found[3].advice == "Convert it, e.g. with ffmpeg -i 3.m4a 3.wav"
    assert [str(one) if isinstance(one, RecordingError) else one.sha256 for one in found] == [
        str(one) if isinstance(one, RecordingError) else one.sha256 for one in expected
    ]
