"""Frame tracks against librosa, against formulas written down anew, and against sounds of known pitch and spectrum."""

import librosa
import numpy as np
import pytest
import scipy.fft
import scipy.signal

from metaser_jax.audio.tracks import F0_ZERO, HOP, WINDOW, placed_tracks, statistics, tracks
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
    phase = np.cumsum(f0 / rate)
    top = 0.45 * rate
    x = sum(np.sin(2 * np.pi * k * phase) / k * (k * f0 < top) for k in range(1, int(top / f0.min()) + 1))
    for formant, width in zip(formants, (80, 90, 150), strict=True):
        r = np.exp(-np.pi * width / rate)
        x = scipy.signal.lfilter([1], [1, -2 * r * np.cos(2 * np.pi * formant / rate), r * r], x)
    return (0.5 * x / np.abs(x).max()).astype(np.float32)


def noise(n: int, scale: float = 0.1) -> np.ndarray:
    return scale * np.random.default_rng(n).standard_normal(n).astype(np.float32)


def phrase() -> np.ndarray:
    """Two vowels that glide, a fricative between, pauses around, and a little noise."""
    vowels = [vowel(np.geomspace(a, b, 8000), FORMANTS[v]) for v, a, b in (("a", 130, 240), ("i", 260, 170))]
    hiss = np.diff(noise(4001, 0.02))
    x = np.concatenate([np.zeros(3000), vowels[0], hiss, vowels[1], np.zeros(6000)])
    return (x + noise(len(x), 0.0005)).astype(np.float32)


def error(x: np.ndarray, f0: np.ndarray, rate: int) -> tuple[float, float]:
    """Share of voiced frames, and the 90th percentile of their deviation from f0, in semitones."""
    found = tracks(x, rate)
    voiced = column(found, "voicing") > 0
    at = np.minimum(np.arange(len(found)) * HOP * rate // RATE, len(f0) - 1)
    return voiced.mean(), np.percentile(np.abs(12 * np.log2(hz(found) / f0[at]))[voiced], 90)


@pytest.mark.parametrize("name", FORMANTS)
@pytest.mark.parametrize("f0", [70, 220, RATE / 45.5])
def test_pitch_of_a_vowel_is_found(name, f0):
    f0 = np.full(11000, float(f0))
    share, deviation = error(vowel(f0, FORMANTS[name]), f0, RATE)
    assert share > 0.9
    assert deviation < 0.1


@pytest.mark.parametrize("ends", [(100, 300), (400, 150)])
def test_pitch_is_followed_through_glides_noise_clipping_and_8_khz(ends):
    f0 = np.geomspace(*ends, RATE)
    x = vowel(f0)
    low = np.geomspace(*ends, 8000)
    heard = [(x, f0, RATE), (x + noise(len(x), 0.02), f0, RATE), (np.clip(x, -0.1, 0.1), f0, RATE)]
    for given in (*heard, (vowel(low, rate=8000), low, 8000)):
        share, deviation = error(*given)
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
    x = clip - np.float32(clip.mean(dtype=np.float64))
    return tracks(clip), *reference(librosa.effects.trim(x / np.abs(x).max(), top_db=30)[0])


def test_the_spectrum_is_librosas_and_that_of_the_formulas(speech):
    found, frames, power = speech
    feature, s = librosa.feature, np.sqrt(power).T
    mel = power @ librosa.filters.mel(sr=RATE, n_fft=WINDOW, n_mels=40, fmin=20, fmax=8000, norm=None).T
    mfcc, root = scipy.fft.dct(np.log(mel), axis=1, norm="ortho"), np.sqrt(mel / mel.sum(1, keepdims=True))
    flux = np.sqrt(np.maximum(2 - 2 * np.sum(root[1:] * root[:-1], 1), 0))
    f, level = np.arange(513) * RATE / WINDOW, 10 * np.log10(power)
    to_1k, to_5k = power[:, (f >= 50) & (f < 1000)].sum(1), power[:, (f >= 1000) & (f < 5000)].sum(1)
    low, high = (f >= 1) & (f < 500), (f >= 500) & (f < 1500)
    for name, expected, tolerance in (
        ("centroid", np.log2(feature.spectral_centroid(S=s, sr=RATE)[0]), 1e-2),
        ("spread", np.log2(feature.spectral_bandwidth(S=s, sr=RATE)[0]), 1e-2),
        ("rolloff", np.log2(feature.spectral_rolloff(S=s, sr=RATE)[0]), 1e-2),  # a bin may turn with the rounding
        ("flatness", np.log(feature.spectral_flatness(S=s)[0]), 1e-2),
        # Here the share is of 1,023 neighbours.
        ("zero_crossings", librosa.zero_crossings(frames, axis=1, pad=False, threshold=0).sum(1) / WINDOW, 2e-3),
        ("loudness", np.log(np.sum(mel**0.3, 1)), 1e-4),
        ("flux", [0, *flux], 1e-4),
        ("alpha_ratio", 10 * np.log10(to_1k / to_5k), 2e-3),
        ("hammarberg", level[:, f < 2000].max(1) - level[:, (f >= 2000) & (f < 5000)].max(1), 2e-3),
        ("slope_0_500", np.polyfit(f[low] / 1000, level[:, low].T, 1)[0], 2e-2),
        ("slope_500_1500", np.polyfit(f[high] / 1000, level[:, high].T, 1)[0], 2e-2),
        *((f"mfcc_{i}", mfcc[:, i], 2e-3) for i in range(5)),
    ):
        np.testing.assert_allclose(column(found, name), expected, atol=tolerance, err_msg=name)
    # The tilt of two tones is their difference.
    t = np.arange(RATE) / RATE
    near = tracks(np.sin(2 * np.pi * 215 * t) + 0.25 * np.sin(2 * np.pi * 430 * t))[10:-10]
    np.testing.assert_allclose(column(near, "h1_h2"), 20 * np.log10(4), atol=0.1)


def test_ends_are_cut_as_librosa_cuts_them():
    for x in (phrase(), np.concatenate([np.zeros(9000), noise(700), np.zeros(5000)]), noise(100)):
        _, (start, end) = librosa.effects.trim(x, top_db=30)
        found, at = placed_tracks(x)
        assert (len(found), at) == (1 + (end - start) // HOP, start / RATE)


def test_gain_offset_and_rate_change_nothing():
    x = vowel(np.full(8000, 150.0), rate=8000)
    np.testing.assert_allclose(tracks(x, 8000), tracks(librosa.resample(x, orig_sr=8000, target_sr=RATE)), atol=1e-4)
    x = phrase().astype(np.float64)
    np.testing.assert_allclose(tracks(0.1 * x + 0.3), tracks(x), atol=0.02)


def test_everything_is_finite():
    for x, rate in (
        (np.zeros(30000), RATE),
        (np.full(30000, 0.3), RATE),
        (np.ones(1), 1_000_000),
        (noise(255), RATE),
        (np.clip(10 * phrase(), -1, 1), RATE),
        (np.concatenate([noise(5000), np.zeros(9000), noise(5000)]), RATE),
        (1e-30 * noise(5000), RATE),
        (np.repeat([0, 1, 0], [4000, 1, 4000]), RATE),
    ):
        found = tracks(x, rate)
        assert (found.dtype, found.shape[1]) == (np.float32, len(TRACKS))
        assert np.isfinite([*found.flat, *statistics(found)]).all()
        if not x.any():
            np.testing.assert_allclose(hz(found), 150, rtol=1e-5)


def test_other_samples_are_refused():
    for x in (np.zeros((2, 9)), np.zeros(0), np.array([0.1, np.nan]), np.array([np.inf])):
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
    for name, value in zip(STATISTICS, statistics(x), strict=True):
        of, _, what = name.replace(" voiced", "").partition(" ")
        track, over = column(x, of).astype(np.float64), voiced if " voiced " in name else np.ones(50, bool)
        changes = [abs(track[i + 1] - track[i]) for i in range(49) if over[i] and over[i + 1]]
        quantile = {f"percentile {q}": np.quantile(track[over], q / 100) for q in (5, 20, 50, 80, 95)}
        expected = quantile | {
            "mean": track[over].mean(),
            "deviation": track[over].std(),
            "range": quantile["percentile 80"] - quantile["percentile 20"],
            "change": np.mean(changes),
        }
        np.testing.assert_allclose(value, expected[what], rtol=1e-5, atol=1e-6, err_msg=name)
    # Of few voiced frames they are over all.
    at = STATISTICS.index("hammarberg voiced mean")
    for n in (0, 4):
        x[:, TRACKS.index("voicing")] = np.arange(50) < n
        np.testing.assert_allclose(statistics(x)[at], column(x, "hammarberg").mean(), rtol=1e-5)
