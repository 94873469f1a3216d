"""What is said of a prepared corpus: its durations and rates beside the published ones."""

import re

import numpy as np
import pytest

from metaser_jax import datasets
from metaser_jax.datasets.statistics import Published, Statistics

OF = {name: datasets.builder_class(name).PUBLISHED for name in datasets.PAPER} | {"own": None}
OF["known in part"] = Published(20, 1, {"angry": 20})
LENGTHS = np.linspace(-1, 1, 20)


def statistics(name, seconds, rate):
    n = len(seconds)
    columns = {"label": np.zeros(n, int), "emotion": np.full(n, "angry"), "speaker": np.full(n, "01")}
    columns |= {"seconds": np.array(seconds, np.float32), "sample_rate": np.broadcast_to(rate, n)}
    nothing = {name: [] for name in ("skipped", "excluded", "duplicates", "dropped")}
    return Statistics.of("some", "German", OF[name], columns, nothing | {"options": {}})


def rates(some, others):
    return np.where(np.arange(20) < 3, some, others)


@pytest.mark.parametrize(
    ("name", "seconds", "rate", "signs"),
    [
        ("ravdess", 3.72 + LENGTHS, 48_000, []),
        # As a copy of RAVDESS in circulation is: trimmed to half, and resampled.
        ("ravdess", 1.85 + LENGTHS, 16_000, ["1.85 s on average, as published 3.70", "20 of 20 .* not at 48,000 Hz"]),
        # As a copy of EMO-DB is: cut and padded to one length.
        ("emodb", [2.0] * 20, 16_000, ["2.00 s on average, as published 2.78", "exactly 2.000 s"]),
        ("own", [2.0] * 20, 16_000, ["exactly 2.000 s"]),
        ("own", [2.0] * 3, 16_000, []),  # three may do so by chance
        ("tess", 2.05 + LENGTHS, rates(22_050, 24_414), ["3 of 20 .* not at 24,414 Hz or 96,000 Hz"]),
        ("shemo", 4.1 + LENGTHS, rates(22_050, 44_100), []),
        ("known in part", 9.0 + LENGTHS, 8_000, []),
    ],
)
def test_signs_that_a_copy_was_altered(name, seconds, rate, signs):
    one = statistics(name, seconds, rate)
    for said, sign in zip(one.altered(), signs, strict=True):
        assert re.search(sign, said)
    report = one.report()
    assert f"resampled: {len(signs) or 'none'}\n" in report
    assert ("may not compare with published" in report) == bool(signs and OF[name])
    assert f"durations: {min(seconds):.2f} to {max(seconds):.2f} s, {np.mean(seconds):.2f} s on average\n" in report
