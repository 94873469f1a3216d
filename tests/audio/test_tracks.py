"""Frame tracks against librosa, against formulas written down anew, and against sounds of known pitch and spectrum."""

import numpy as np
import pytest

from metaser_jax.audio.tracks import (
    F0_ZERO,
    HOP,
    WINDOW,
    placed_tracks,
    statistics,
    tracks,
)
from metaser_jax.errors import InputError
from metaser_jax.specs.voice import STATISTICS, TRACKS

RATE = 22050
FORMANTS = {"a": (700, 1200, 2600), "i": (280, 2250, 2900), "u": (310, 870, 2250)}
# librosa.load looks for audioread's backends, which import modules that leave the standard library.
pytestmark = pytest.mark.filterwarnings("ignore:.*slated for removal in Python 3.13:DeprecationWarning")


def column(of: np.ndarray, name: str) -> np.ndarray:
    return of[:, TRACKS.index(name)]


def hz(of: np.ndarray) -> np.ndarray:
    return F0_ZERO * 2 ** (column(of, "f0") / 12)


def vowel(f0: np.ndarray, formants: tuple[int, ...] = FORMANTS["a"], rate: int = RATE) -> np.ndarray:
    """A glottal wave (harmonics that fall with 6 dB per octave) through three resonances; f0 is [n] in Hz."""
    from scipy.signal import lfilter

    phase = np.cumsum(f0 / rate)
    top = 0.45 * rate
    x = sum(np.sin(2 * np.pi * k * phase) / k * (k * f0 < top) for k in range(1, int(top / f0.min()) + 1))
    for formant, width in zip(formants, (80, 90, 150), strict=True):
        r = np.exp(-np.pi * width / rate)
        x = lfilter([1], [1, -2 * r * np.cos(2 * np.pi * formant / rate), r * r], x)
    return (0.5 * x / np.abs(x).max()).astype(np.float32)


def noise(n: int, scale: float = 0.1) -> np.ndarray:
    return scale * np.random.default_rng(n).standard_normal(n).astype(np.float32)


def phrase() -> np.ndarray:
    """Two vowels that glide, a fricative between, pauses around, and a little noise."""
    vowels = [vowel(np.geomspace(a, b, 8000), FORMANTS[v]) for v, a, b in (("a", 130, 240), ("i", 260, 170))]
    hiss = np.diff(noise(4001, 0.02))
    x = np.concatenate([np.zeros(3000), vowels[0], hiss, vowels[1], np.zeros(6000)])
    return (x + noise(len(x), 0.0005)).astype(np.float32)


def heard(x: np.ndarray) -> np.ndarray:
    """Return a clip without its offset, scaled to a peak of 1, without the silence at its ends."""
    import librosa

    x = x - np.float32(x.mean(dtype=np.float64))
    return librosa.effects.trim(x / np.abs(x).max(), top_db=30)[0]


def error(x: np.ndarray, f0: np.ndarray, rate: int = RATE) -> tuple[float, float]:
    """Share of voiced frames, and the 90th percentile of their deviation from f0, in semitones."""
    found = tracks(x, rate)
    voiced = column(found, "voicing") > 0
    at = np.minimum(np.arange(len(found)) * HOP * rate // RATE, len(f0) - 1)
    return voiced.mean(), np.percentile(np.abs(12 * np.log2(hz(found) / f0[at]))[voiced], 90)


@pytest.mark.parametrize("name", FORMANTS)
@pytest.mark.parametrize("f0", [70, 220, RATE / 45.5])
def test_pitch_of_a_vowel_is_found(name, f0):
    f0 = np.full(11000, float(f0))
    share, deviation = error(vowel(f0, FORMANTS[name]), f0)
    assert share > 0.9
    assert deviation < 0.1


@pytest.mark.parametrize("ends", [(100, 300), (400, 150)])
def test_pitch_is_followed_through_glides_noise_clipping_and_8_khz(ends):
    f0 = np.geomspace(*ends, RATE)
    x = vowel(f0)
    for heard in (x, x + noise(len(x), 0.02), np.clip(x, -0.1, 0.1)):
        share, deviation = error(heard, f0)
        assert share > 0.9
        assert deviation < 0.3
    f0 = np.geomspace(*ends, 8000)
    share, deviation = error(vowel(f0, rate=8000), f0, 8000)
    assert share > 0.9
    assert deviation < 0.3


def test_noise_and_pauses_are_unvoiced_and_bridged():
    found = tracks(phrase())
    voiced = column(found, "voicing") > 0
    # Frames of the fricative alone, 3,000 samples of silence having been cut to whole trim steps.
    fricative = slice((3000 + 8000 + WINDOW) // HOP, (3000 + 8000 + 4000 - WINDOW - 2048) // HOP)
    assert not voiced[fricative].any()
    assert column(tracks(noise(RATE)), "voicing").mean() < 0.2
    # Onsets and hiss have no periods by chance.
    assert hz(found).min() > 125
    assert hz(found).max() < 265
    f0 = column(found, "f0")
    gap = np.flatnonzero(~voiced & (np.cumsum(voiced) > 0) & (np.cumsum(voiced[::-1])[::-1] > 0))
    middle = gap[len(gap) // 2]
    np.testing.assert_allclose(f0[middle], (f0[middle - 1] + f0[middle + 1]) / 2, rtol=1e-5)


def reference(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frames without their means, and power spectra with the noise floor, [t, 1024] and [t, 513], in float64."""
    padded = np.pad(x.astype(np.float64), WINDOW // 2)
    frames = np.stack([padded[i : i + WINDOW] for i in range(0, len(x) + 1, HOP)])
    frames -= frames.mean(1, keepdims=True)
    hann = np.hanning(WINDOW + 1)[:-1]
    return frames, np.abs(np.fft.rfft(frames * hann)) ** 2 + 1e-7 * (hann**2).sum()


@pytest.fixture(scope="module")
def speech() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tracks of a clip of more than two blocks, with its frames and power as `reference` has them."""
    clip = np.tile(phrase(), 3)
    return tracks(clip), *reference(heard(clip))


def test_shape_of_the_spectrum_is_that_of_librosa(speech):
    import librosa

    found, frames, power = speech
    feature, s = librosa.feature, np.sqrt(power).T
    for name, expected in {
        "centroid": np.log2(feature.spectral_centroid(S=s, sr=RATE)[0]),
        "spread": np.log2(feature.spectral_bandwidth(S=s, sr=RATE)[0]),
        "rolloff": np.log2(feature.spectral_rolloff(S=s, sr=RATE)[0]),
        "flatness": np.log(feature.spectral_flatness(S=s)[0]),
        "zero_crossings": librosa.zero_crossings(frames, axis=1, pad=False, threshold=0).sum(1) / WINDOW,
    }.items():
        # The share of crossings is of 1,023 neighbours here; a bin of the roll-off may turn with the rounding.
        np.testing.assert_allclose(column(found, name), expected, atol=2e-3, rtol=1e-3, err_msg=name)


def test_loudness_flux_and_mfcc_are_their_formulas(speech):
    import librosa
    import scipy.fft

    found, _, power = speech
    mel = power @ librosa.filters.mel(sr=RATE, n_fft=WINDOW, n_mels=40, fmin=20, fmax=8000, norm=None).T
    np.testing.assert_allclose(column(found, "loudness"), np.log(np.sum(mel**0.3, 1)), atol=1e-4)
    mfcc = scipy.fft.dct(np.log(mel), axis=1, norm="ortho")
    for i in range(5):
        np.testing.assert_allclose(column(found, f"mfcc_{i}"), mfcc[:, i], atol=2e-3)
    root = np.sqrt(mel / mel.sum(1, keepdims=True))
    flux = np.sqrt(np.maximum(2 - 2 * np.sum(root[1:] * root[:-1], 1), 0))
    np.testing.assert_allclose(column(found, "flux"), [0, *flux], atol=1e-4)


def test_tilt_is_its_formulas(speech):
    found, _, power = speech
    f = np.arange(513) * RATE / WINDOW
    level = 10 * np.log10(power)

    def within(low: float, high: float) -> np.ndarray:
        return (f >= low) & (f < high)

    alpha = power[:, within(50, 1000)].sum(1) / power[:, within(1000, 5000)].sum(1)
    np.testing.assert_allclose(column(found, "alpha_ratio"), 10 * np.log10(alpha), atol=2e-3)
    hammarberg = level[:, within(0, 2000)].max(1) - level[:, within(2000, 5000)].max(1)
    np.testing.assert_allclose(column(found, "hammarberg"), hammarberg, atol=2e-3)
    for name, band in {"slope_0_500": within(1, 500), "slope_500_1500": within(500, 1500)}.items():
        slopes = np.polyfit(f[band] / 1000, level[:, band].T, 1)[0]
        np.testing.assert_allclose(column(found, name), slopes, atol=2e-2)


def test_tilt_of_two_tones_is_their_difference():
    t = np.arange(RATE) / RATE
    near = tracks(np.sin(2 * np.pi * 215 * t) + 0.25 * np.sin(2 * np.pi * 430 * t))[10:-10]
    np.testing.assert_allclose(column(near, "h1_h2"), 20 * np.log10(4), atol=0.1)


def test_ends_are_cut_as_librosa_cuts_them():
    import librosa

    for x in (phrase(), np.concatenate([np.zeros(9000), noise(700), np.zeros(5000)]), noise(100)):
        _, (start, end) = librosa.effects.trim(x, top_db=30)
        found, at = placed_tracks(x)
        assert (len(found), at) == (1 + (end - start) // HOP, start / RATE)


def test_gain_offset_and_rate_change_nothing():
    import librosa

    x = vowel(np.full(8000, 150.0), rate=8000)
    np.testing.assert_allclose(tracks(x, 8000), tracks(librosa.resample(x, orig_sr=8000, target_sr=RATE)), atol=1e-4)
    x = phrase().astype(np.float64)
    np.testing.assert_allclose(tracks(0.1 * x + 0.3), tracks(x), atol=0.02)


@pytest.mark.parametrize(
    ("x", "rate"),
    [
        (np.zeros(30000), RATE),
        (np.full(30000, 0.3), RATE),
        (np.ones(1), 1_000_000),
        (noise(255), RATE),
        (np.clip(10 * phrase(), -1, 1), RATE),
        (np.concatenate([noise(5000), np.zeros(9000), noise(5000)]), RATE),
        (1e-30 * noise(5000), RATE),
        (np.repeat([0, 1, 0], [4000, 1, 4000]), RATE),
    ],
)
def test_everything_is_finite(x, rate):
    found = tracks(x, rate)
    assert found.dtype == np.float32
    assert found.shape[1] == len(TRACKS)
    assert np.isfinite(found).all()
    assert np.isfinite(statistics(found)).all()
    if not x.any():
        np.testing.assert_allclose(hz(found), 150, rtol=1e-5)


@pytest.mark.parametrize("x", [np.zeros((2, 9)), np.zeros(0), np.array([0.1, np.nan]), np.array([np.inf])])
def test_other_samples_are_refused(x):
    with pytest.raises(InputError, match="samples: "):
        tracks(x)
    with pytest.raises(InputError, match="rate: got 0 Hz"):
        tracks(noise(100), 0)
    with pytest.raises(InputError, match="tracks: got shape"):
        statistics(np.zeros((5, 3)))


def test_statistics_are_those_of_each_track():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((50, len(TRACKS))).astype(np.float32)
    voiced = rng.random(50) < 0.6
    x[:, TRACKS.index("voicing")] = voiced
    found = dict(zip(STATISTICS, statistics(x), strict=True))
    assert len(found) == len(STATISTICS)
    for name, value in found.items():
        track = column(x, name.split(" ")[0]).astype(np.float64)
        over = voiced if " voiced " in name else np.ones(50, bool)
        low, median, high, lowest, highest = (np.quantile(track[over], q) for q in (0.2, 0.5, 0.8, 0.05, 0.95))
        changes = [abs(track[i + 1] - track[i]) for i in range(49) if over[i] and over[i + 1]]
        expected = {
            "mean": track[over].mean(),
            "deviation": track[over].std(),
            "percentile 20": low,
            "percentile 50": median,
            "percentile 80": high,
            "range": high - low,
            "change": np.mean(changes),
            "percentile 5": lowest,
            "percentile 95": highest,
        }[name.removeprefix(name.split(" ")[0]).replace(" voiced", "").strip()]
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6, err_msg=name)


def test_statistics_of_few_voiced_frames_are_over_all():
    x = np.random.default_rng(0).standard_normal((50, len(TRACKS))).astype(np.float32)
    at = STATISTICS.index("hammarberg voiced mean")
    for n in (0, 4):
        x[:, TRACKS.index("voicing")] = np.arange(50) < n
        np.testing.assert_allclose(statistics(x)[at], column(x, "hammarberg").mean(), rtol=1e-5)
