"""What is wrong with a recording is known in one place: constants, channels that cancel, another scale and so on."""

import numpy as np
import pytest
from containers import RATE, speech
from sounds import encoded, noise

from metaser_jax.audio.clips import Upload, check_audible, clip_of, read_clip, windows
from metaser_jax.audio.extraction import extract, extract_all
from metaser_jax.audio.quality import loudness, notes_of
from metaser_jax.errors import RecordingError

VOICE = speech()[:, 0] / np.float32(2**15)


def file(samples, subtype="FLOAT"):
    return Upload("a.wav", encoded(samples, RATE, subtype=subtype))


def why(samples, rate=RATE):
    with pytest.raises(RecordingError) as caught:
        check_audible(clip_of(samples, rate, features="mfcc"), "a.wav")
    return caught.value.reason


@pytest.mark.parametrize("rate", [8000, 22050, 44100])
@pytest.mark.parametrize("level", [0.02, -0.9, 1.0])
def test_a_constant_is_no_sound(rate, level):
    constant = np.full(2 * rate, level, np.float32)
    assert loudness(constant, rate) == -np.inf
    assert why(constant, rate).startswith(f"a constant (DC) of {level:.2g} of full scale and no sound, expected speech")
    hum = constant + 1e-5 * np.sin(np.arange(len(constant)))
    assert "a constant (DC)" in why(hum.astype(np.float32), rate)
    assert loudness(VOICE + np.float32(level), RATE) == pytest.approx(loudness(VOICE, RATE), abs=0.05)


def test_channels_that_cancel():
    """The louder one is taken, in every program; of other recordings the channels are mixed as ever."""
    mono, both = clip_of(VOICE, RATE), np.stack([VOICE, -VOICE], axis=1)
    for clip in (clip_of(both, RATE), read_clip(file(both)), read_clip(file(both, "PCM_24"))):
        assert clip.frames.tobytes() == mono.frames.tobytes()
        assert clip.quality.one_channel
        assert notes_of(clip)[0].startswith("Whose channels are opposite and cancel when they are mixed. The louder")
        check_audible(clip, "a.wav")
    assert extract(file(both)).mfcc.tobytes() == extract(file(VOICE)).mfcc.tobytes()
    assert clip_of(np.stack([0 * VOICE, VOICE, -VOICE], axis=1), RATE, features="mfcc").quality.one_channel
    nearly = clip_of(np.stack([VOICE, -0.95 * VOICE], axis=1), RATE)
    assert not nearly.quality.one_channel
    assert notes_of(nearly)[0].startswith("Whose channels nearly cancel")
    for others in ([VOICE, VOICE], [VOICE, 0 * VOICE], [VOICE, noise(1.5, 1, RATE)[:, 0]], [VOICE] + 30 * [0 * VOICE]):
        assert notes_of(clip_of(np.stack(others, axis=1), RATE, features="mfcc")) == ()


def test_nobody_can_be_heard():
    for samples, said in (
        (np.zeros(RATE), "digital silence, expected speech (above -70 dBFS); check the microphone"),
        (np.array([0.1, 0.2]), "2 samples (9.1e-05 s), expected speech (at least 0.09 s)"),
        (np.array([0.1]), "a single sample"),
        (speech().astype(np.int32), "if these are 16-bit numbers stored with 32 bits, multiply them by 65,536"),
        (1e-4 * VOICE, "silence: its loudest part has -9"),
    ):
        assert said in why(samples)


def test_notes():
    for samples, rate, note in (
        (VOICE * 2**15, RATE, "Of which the samples reach far beyond 1 (full scale). Numbers of another scale"),
        (VOICE, 11025, "Of a low sample rate (11,025 Hz). "),
        (VOICE[: RATE // 2], RATE, "Shorter than a second. "),
        (np.clip(20 * VOICE, -1, 1), RATE, "Recorded too loud, so that the wave is cut off. "),
        (0.01 * VOICE, RATE, "Very quiet (below -55 dBFS). "),
        (VOICE + np.float32(0.6), RATE, "With a constant (DC) that is stronger than the sound. "),
    ):
        (found,) = notes_of(clip_of(samples, rate, features="mfcc"))
        assert found.startswith(note)


def test_nothing_is_said_of_good_recordings(real_corpora):
    paths = [*sorted(real_corpora.glob("ravdess/*/*"))[::150], *sorted(real_corpora.glob("urdu/*/*"))[::60]]
    paths += sorted(real_corpora.glob("emodb/*/*"))[::60]
    assert len(paths) > 20
    for path in paths:
        clip = read_clip(path, features="mfcc")
        assert notes_of(clip) == ()
        assert not windows(clip).silent[0]


class Odd(Upload):
    """A source that raises what no recording should."""

    def read_bytes(self):
        raise self.data


@pytest.mark.parametrize("error", [ValueError("a"), TypeError("a"), MemoryError()])
def test_whatever_is_raised_is_that_files_error(error):
    first, odd, last = extract_all([file(VOICE), Odd("odd.wav", error), file(VOICE)], workers=1)
    assert first.sha256 == last.sha256
    assert odd.path == "odd.wav"
    assert "expected" in odd.reason
    with pytest.raises(RecordingError, match=r"^odd\.wav: "):
        read_clip(Odd("odd.wav", error))
