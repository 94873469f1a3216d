import numpy as np
import pytest
from sounds import encoded
from sounds import noise as sound
from subprograms import PicklingPool

from metaser_jax.audio import clips
from metaser_jax.audio.clips import Clip, Quality, Upload, clip_of, read_all, read_clip, voice_windows, windows
from metaser_jax.audio.decoding import Limits, decode
from metaser_jax.audio.encoder import mel_of
from metaser_jax.audio.extraction import MIN_FILES_FOR_PROCESSES, extract
from metaser_jax.audio.tracks import STEP, statistics
from metaser_jax.errors import InputError, RecordingError


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (22050, 2), (44100, 1), (48000, 6), (192_000, 2)])
@pytest.mark.parametrize("seconds", [0.1, 1.0, 4.0])
def test_the_first_window_is_what_training_sees(tmp_path, rate, channels, seconds):
    path = tmp_path / "a.wav"
    path.write_bytes(encoded(sound(seconds, channels, rate), rate, subtype="FLOAT"))
    extraction, clip = extract(path), read_clip(path)
    mfcc, n_frames = clips.first_window(clip)
    assert mfcc.tobytes() == extraction.mfcc.tobytes()
    assert n_frames == extraction.n_frames
    assert clip.tracks.tobytes() == extraction.tracks.tobytes()
    assert clips.voice_of(clip).tobytes() == extraction.voice.tobytes()
    assert voice_windows(clip).voice.tobytes() == extraction.voice.tobytes()
    assert (clip.seconds, clip.sample_rate, clip.sha256, clip.quality) == extraction[4:8]
    assert clip.quality.channels == channels
    upload = Upload("dropped.wav", path.read_bytes())
    assert read_clip(upload).frames.tobytes() == clip.frames.tobytes()
    with pytest.raises(RecordingError, match=r"^dropped\.wav: "):
        read_clip(upload._replace(data=b""))


def test_limits_and_blocks():
    """Limits are in seconds, and in samples of all channels; by blocks it is the same."""
    samples = sound(2, 4)
    data = encoded(samples, subtype="FLOAT")
    found = decode(data, "a.wav", Limits(8 * 22050, 2), block=100)
    assert (found.seconds, found.quality.peak) == (2, np.abs(samples).max())
    np.testing.assert_array_equal(found.mono, samples.mean(1))
    for limits in (Limits(8 * 22050, 1.5), Limits(6 * 22050, 2)):
        with pytest.raises(RecordingError, match=r"a\.wav: longer than 1.5 s"):
            decode(data, "a.wav", limits)
    with pytest.raises(InputError, match="longer than 1 s"):
        clip_of(samples, 22050, max_seconds=1)


@pytest.mark.parametrize("channels", [1, 2])
def test_samples_in_memory_are_as_in_a_file(channels):
    samples = sound(1.5, channels, 16000)
    clip = clip_of(samples, 16000)
    expected = read_clip(Upload("a.wav", encoded(samples, 16000, subtype="FLOAT")))
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


def test_bad_samples():
    for samples, rate, reason in (
        (np.zeros(0), 16000, r"shape \(0,\), expected \[n\] or \[n, channels\]"),
        (np.zeros((2, 16000)), 16000, r"shape \(2, 16000\).*Transpose it"),
        (np.full(100, np.nan), 16000, "100 samples are NaN or infinite, expected audio"),
        (np.full(100, 1e12), 16000, r"samples reach 1e\+12"),
        (np.zeros(100, np.uint8), 16000, "got uint8, expected floating-point numbers"),
        (np.ones(100), 999, "got 999 Hz, expected a whole number, 1,000 to 1,000,000"),
        (np.ones(100), np.nan, "got nan Hz"),
    ):
        with pytest.raises(InputError, match=reason):
            clip_of(samples, rate)


@pytest.mark.parametrize("rate", [8000, 48000])
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
    np.testing.assert_allclose(found.start, np.array(starts) * clips.HOP_SECONDS)
    assert found.mfcc.shape == (len(starts), 120, 20)
    assert (found.n_frames > (60 if time > 120 else 0)).all()
    assert starts[-1] + found.n_frames[-1] == time
    for start, mfcc, n in zip(starts, found.mfcc, found.n_frames, strict=True):
        np.testing.assert_array_equal(mfcc[:n], clip.frames[start : start + n])
        assert not mfcc[n:].any()
    first = windows(clip, "first")
    assert [array.tolist() for array in first[:4]] == [array[:1].tolist() for array in found[:4]]
    np.testing.assert_array_equal(found.mfcc[0], clips.first_window(clip)[0])
    assert found.end[-1] == clip.seconds
    assert found.end[0] == min(time, 120) * clips.HOP_SECONDS


@pytest.mark.parametrize(
    ("time", "starts"),
    [(1, [0]), (431, [0]), (689, [0]), (690, [0, 215, 430]), (860, [0, 215, 430]), (861, [0, 215, 430, 645])],
)
def test_voice_windows(time, starts):
    """Whole up to 8 s, or 430 frames (5 s) every 215, the last of more than that; tracks begin after 1 s."""
    tracks, seconds = np.random.default_rng(time).normal(size=(time, 19)).astype(np.float32), 1 + time * STEP
    frames = np.zeros((1 + int(seconds / clips.HOP_SECONDS), 20), np.float32)
    clip = Clip(frames, seconds, 22050, "", Quality(0.5, 0.0, -20.0, 1), tracks, 1.0)
    found = voice_windows(clip)
    np.testing.assert_allclose(found.start, 1 + np.array(starts) * STEP)
    for i, start in enumerate(starts):
        frames = clip.tracks[start : start + 430] if len(starts) > 1 else clip.tracks
        np.testing.assert_array_equal(found.voice[i], statistics(frames))
        assert found.end[i] == pytest.approx(1 + (start + len(frames)) * STEP)
    assert found.end[-1] == pytest.approx(clip.seconds)
    first = voice_windows(clip, "first")
    assert [array.tolist() for array in first[:4]] == [array[:1].tolist() for array in found[:4]]


def test_where_the_voice_begins():
    found = voice_windows(clip_of(np.pad(sound(3)[:, 0], (22050, 44100)), 22050))
    assert (*found.start, *found.end) == (pytest.approx(1.0, abs=0.05), pytest.approx(4.0, abs=0.1))
    short = voice_windows(clip_of(sound(0.01), 22050))
    assert (*short.start, *short.end) == (0, round(0.01 * 22050) / 22050)


def test_a_clip_without_its_voice():
    clip = clip_of(sound(), 22050, features="mfcc")
    assert clip == clip_of(sound(), 22050)._replace(frames=clip.frames, tracks=None)
    for of in (voice_windows, clips.voice_of):
        with pytest.raises(InputError, match="Read it with features=voice"):
            of(clip)


@pytest.mark.parametrize("divide", [windows, voice_windows])
def test_pauses_are_silent(divide):
    speech, pause = sound(6)[:, 0], 1e-4 * sound(13, seed=1)[:, 0]
    found = divide(clip_of(np.concatenate([np.zeros(22050), speech, pause, speech]), 22050))
    assert found.silent.any()
    np.testing.assert_array_equal(found.silent, (found.start > 7.1) & (found.end < 19.9))
    for nothing in (1e-5 * sound(), np.zeros(22050)):
        assert divide(clip_of(nothing, 22050)).silent.all()
    for quiet in (0.01 * sound(), np.concatenate([speech, 0.03 * speech])):  # 30 dB less
        assert not divide(clip_of(quiet, 22050)).silent.any()


def test_read_all_by_processes(without_formats):
    sources = [Upload(f"{i}.wav", encoded(sound(0.01 * (i + 1)))) for i in range(MIN_FILES_FOR_PROCESSES)]
    sources[3] = Upload("3.m4a", b"\x00\x00\x00\x20ftypM4A ")
    (error,) = read_all(sources[-1:], 2, max_seconds=0.1, pool=None)  # so few start no process, which `pool` would
    assert "longer than 0.1 s" in error.reason
    found, expected = (list(read_all(sources, workers, pool=PicklingPool)) for workers in (2, 1))
    assert found[3].advice == "Convert it, e.g. with ffmpeg -i 3.m4a 3.wav"
    found, expected = ([getattr(one, "sha256", str(one)) for one in results] for results in (found, expected))
    assert found == expected


def test_what_an_encoder_hears_of_a_clip_and_of_its_windows():
    """A clip of up to 8 s whole, as it is prepared; of a longer one each window what lies in it, without silence."""
    loud, quiet = sound(3, 1, 16000), np.zeros((2 * 16000, 1), np.float32)
    short, long = np.concatenate([loud, quiet]), np.concatenate([loud, quiet, *[loud] * 3])
    clip = clip_of(short, 16000, features="encoder")
    bands = mel_of(short[:, 0], 16000)
    (heard,) = voice_windows(clip).mels
    np.testing.assert_array_equal(heard, clips.speech_of(clip))
    np.testing.assert_array_equal(heard, bands.frames[bands.kept])
    assert 300 <= len(heard) <= 330  # the two seconds of silence are out
    found = voice_windows(clip_of(long, 16000, features="encoder"))
    assert len(found.mels) == len(found.start) > 1
    assert all(200 < len(mel) <= 503 for mel in found.mels)
    assert len(found.mels[0]) < 400 < len(found.mels[-1])
    with pytest.raises(InputError, match="Read it with features=encoder"):
        clips.speech_of(clip_of(short, 16000))
    assert voice_windows(clip_of(short, 16000)).mels == ()
