"""The ctypes driver: parameters move the sound as they say, and a fresh engine always speaks alike."""

import numpy as np
import pytest

from metaser_jax.demo_voices.espeak import Engine, Voice
from metaser_jax.errors import InputError

TEXT = "The window looks out on the garden."


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine()


def _fundamental(samples: np.ndarray, rate: int) -> float:
    """Median over windows of the autocorrelation's peak between 60 and 400 Hz, in Hz."""
    window = rate // 20
    n = len(samples) // window
    frames = samples[: n * window].reshape(n, window).astype(np.float64)
    frames = frames[np.mean(frames**2, axis=1) > 0.3 * np.mean(frames**2)]
    lags = np.arange(rate // 400, rate // 60)
    correlation = [[np.dot(f[:-lag], f[lag:]) / (window - lag) for lag in lags] for f in frames]
    return float(np.median(rate / lags[np.argmax(correlation, axis=1)]))


def _voice(**change) -> Voice:
    return Voice(**({"language": "en", "variant": "m3", "pitch_range": 0} | change))


def test_a_fresh_engine_repeats_itself_and_an_old_one_does_not():
    voices = [Voice("en", "f2"), Voice("de", "m3"), Voice("en", "f2")]
    first, second = ([engine.say(TEXT, voice) for voice in voices] for engine in (Engine(), Engine()))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    # Should this ever pass as equal, eSpeak has become stateless, and one engine per speaker is no longer needed.
    assert not np.array_equal(first[0], first[2])


def test_voices_differ_as_they_say(engine):
    def fall(contour: int) -> float:
        first, second = np.array_split(engine.say(TEXT, _voice(contour=contour)), 2)
        return _fundamental(first, 22050) / _fundamental(second, 22050)

    low, middle, high = (_fundamental(engine.say(TEXT, _voice(pitch=p)), 22050) for p in (20, 50, 80))
    assert low * 1.15 < middle < high / 1.15
    assert fall(-30) < fall(0) < fall(30)
    slow, fast = (len(engine.say(TEXT, _voice(rate=rate))) for rate in (120, 220))
    assert fast < 0.75 * slow
    soft, loud = (np.std(engine.say(TEXT, _voice(volume=volume)).astype(float)) for volume in (20, 60))
    assert loud == pytest.approx(3 * soft, rel=0.15)


def test_markup_in_the_text_is_spoken_not_obeyed(engine):
    assert len(engine.say("Tea & <b> coffee", _voice())) > len(engine.say("Tea coffee", _voice()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"variant": "f22"}, "f22"),
        ({"language": "xx"}, r"xx\+m3"),
        ({"rate": 20}, r"rate: got 20"),
        ({"pitch": 120}, r"pitch: got 120"),
    ],
)
def test_errors(engine, change, message):
    with pytest.raises(InputError, match=message):
        engine.say(TEXT, _voice(**change))
