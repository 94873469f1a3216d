"""What is said of a prepared corpus: its durations and rates beside the published ones."""

import numpy as np
import pytest

from metaser_jax import datasets
from metaser_jax.datasets.statistics import Published, Statistics

RAVDESS = datasets.builder_class("ravdess").PUBLISHED
EMODB = datasets.builder_class("emodb").PUBLISHED


def statistics(published, seconds, rate):
    n = len(seconds)
    columns = {
        "label": np.zeros(n, int),
        "emotion": np.full(n, "angry"),
        "speaker": np.full(n, "01"),
        "seconds": np.array(seconds, np.float32),
        "sample_rate": np.broadcast_to(rate, n),
    }
    nothing = {name: [] for name in ("skipped", "excluded", "duplicates", "dropped")}
    return Statistics.of("some", "German", published, columns, nothing | {"options": {}})


def lengths(mean, n=20):
    return mean + np.linspace(-1, 1, n)


def test_as_published():
    one = statistics(RAVDESS, lengths(3.72), 48_000)
    assert one.altered() == []
    assert "  durations: 2.72 to 4.72 s, 3.72 s on average\n" in one.report()
    assert "cut, padded or resampled: none" in one.report()


def test_trimmed_to_half_and_resampled():
    """As a copy of RAVDESS in circulation is."""
    one = statistics(RAVDESS, lengths(1.85), 16_000)
    assert one.altered() == [
        "a recording takes 1.85 s on average, as published 3.70 s",
        "20 of 20 recordings are not at 48,000 Hz, as published",
    ]
    assert "resampled: 2\n    a recording takes 1.85 s on average" in one.report()
    assert "    Scores on them may not compare with published ones.\n" in one.report()


def test_cut_and_padded_to_one_length():
    """As a copy of EMO-DB in circulation is."""
    assert statistics(EMODB, [2.0] * 20, 16_000).altered() == [
        "a recording takes 2.00 s on average, as published 2.78 s",
        "every recording takes exactly 2.000 s",
    ]
    assert statistics(EMODB, [2.8] * 20, 16_000).altered() == ["every recording takes exactly 2.800 s"]
    own = statistics(None, [2.0] * 20, 16_000)
    assert own.altered() == ["every recording takes exactly 2.000 s"]
    assert "published" not in own.report()
    assert statistics(None, [2.0] * 3, 16_000).altered() == [], "three may do so by chance"


def test_some_recordings_at_another_rate():
    rates = np.where(np.arange(20) < 3, 22_050, 24_414)
    tess = statistics(datasets.builder_class("tess").PUBLISHED, lengths(2.05), rates)
    assert tess.altered() == ["3 of 20 recordings are not at 24,414 Hz or 96,000 Hz, as published"]
    shemo = statistics(
        datasets.builder_class("shemo").PUBLISHED, lengths(4.1), np.where(rates == 22_050, rates, 44_100)
    )
    assert shemo.altered() == []


def test_what_is_not_known_is_not_compared():
    one = statistics(Published(20, 1, {"angry": 20}), lengths(9.0), 8_000)
    assert one.altered() == []
    assert one.lasts_as_published()


@pytest.mark.parametrize("name", datasets.PAPER)
def test_all_eight_say_durations_and_rates(name):
    published = datasets.builder_class(name).PUBLISHED
    assert 2 <= published.mean_seconds <= 5
    assert published.sample_rates
