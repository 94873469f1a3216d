"""Intervals, paired tests, Holm's correction and crossovers: against scipy, by hand, and where they degenerate."""

import numpy as np
import pytest
from scipy import stats

from metaser_jax import InputError
from metaser_jax.results.significance import SCORE, Crossover, between, crossovers, holm, paired_test, seed_interval

A = np.array([0.52, 0.61, 0.55, 0.58, 0.63, 0.49, 0.57])
B = np.array([0.48, 0.55, 0.56, 0.50, 0.53, 0.47, 0.51])


def test_interval_against_scipy():
    mean, deviation, n, interval = seed_interval(A, 0.9)
    expected = stats.ttest_1samp(A, 0).confidence_interval(0.9)
    assert (mean, deviation, n) == (pytest.approx(A.mean()), pytest.approx(np.std(A, ddof=1)), 7)
    assert interval == pytest.approx((expected.low, expected.high, 0.9))
    assert seed_interval([0.5]) == (0.5, None, 1, None)
    assert seed_interval([0.1 + 0.2, 0.3, 0.3]).interval == pytest.approx((0.3, 0.3, 0.95))


@pytest.mark.parametrize(("mean", "deviation", "most"), [(0.97, 0.03, 0.91), (0.1, 0.05, 1), (0.6, 0.1, 1)])
def test_intervals_of_scores_cover_and_stay(mean, deviation, most):
    """Three draws, also where scores press against an end; `most` that t on the scores themselves may cover there."""
    size = mean * (1 - mean) / deviation**2 - 1
    samples = np.random.default_rng(0).beta(mean * size, (1 - mean) * size, size=(400, 3))
    found = [seed_interval(s, ends=SCORE).interval for s in samples]
    assert all(0 < low < high < 1 for low, high, _ in found)
    assert 366 <= sum(low <= mean <= high for low, high, _ in found) <= 392
    plain = [seed_interval(s).interval for s in samples]
    assert sum(low <= mean <= high for low, high, _ in plain) <= 400 * most


def test_between_by_hand():
    """Around 3/4 a margin of 3/16 is 1 on the logit scale: odds of 3 divided and multiplied by e."""
    assert between(0.75, 3 / 16, SCORE) == pytest.approx((3 / (3 + np.e), 3 * np.e / (1 + 3 * np.e)))
    assert between(0.5, 0.375, (-1, 1)) == pytest.approx((2 * 3 / (3 + np.e) - 1, 6 * np.e / (1 + 3 * np.e) - 1))
    assert between(0.4, 1e-4, SCORE) == pytest.approx((0.4 - 1e-4, 0.4 + 1e-4), abs=1e-7)
    assert between(1.0, 0.1, SCORE) == (1, 1)
    low, high = seed_interval([0.3, 0.1], ends=(-1, 1)).interval[:2]
    assert (low, high) == pytest.approx((-0.807, 0.909), abs=1e-3), "t alone: -1.07 to 1.47"


@pytest.mark.parametrize("values", [[], [0.5, np.nan], [[0.5]], [np.inf]])
def test_bad_values(values):
    with pytest.raises(InputError, match="expected one or more finite numbers"):
        seed_interval(values)
    with pytest.raises(InputError, match="confidence: got 95"):
        seed_interval(A, 95)
    with pytest.raises(InputError, match="got 7 and 6 scores"):
        paired_test(A, B[1:])


def test_paired_against_scipy():
    found = paired_test(A, B)
    test = stats.ttest_rel(A, B)
    interval = test.confidence_interval(0.95)
    assert found.difference.mean == pytest.approx((A - B).mean())
    # On the scale of differences, -1 to 1, which is straight around 0.
    assert found.difference.interval == pytest.approx((interval.low, interval.high, 0.95), abs=1e-4)
    assert found.p_t == pytest.approx(test.pvalue)
    assert found.p_wilcoxon == pytest.approx(stats.wilcoxon(A, B).pvalue)
    back = paired_test(B, A)
    assert (back.p_t, back.p_wilcoxon) == pytest.approx((found.p_t, found.p_wilcoxon))


def test_where_nothing_can_be_said():
    """What rounding leaves is no difference."""
    found = paired_test([0.1 + 0.2, 0.7], [0.3, 0.7])
    assert found == paired_test([0.0, 0.0], [0.0, 0.0])
    assert (found.p_t, found.p_wilcoxon) == (1, 1)
    assert found.difference.interval == (0, 0, 0.95)
    one = paired_test([0.6], [0.5])
    assert (one.difference.mean, one.difference.interval, one.p_t, one.p_wilcoxon) == (pytest.approx(0.1), *[None] * 3)
    assert paired_test([0.5], [0.5]).p_t is None
    constant = paired_test([0.6, 0.7, 0.8], [0.5, 0.6, 0.7])
    assert constant.p_t is None
    assert constant.p_wilcoxon == 0.25


def test_ties_and_zeros_without_a_warning():
    """0 is dropped. Ranks 2 2 2 4 5, one 2 negative: a sum of 2 or less below is that of no or one 2, 4 of 32."""
    found = paired_test([0.1, 0.1, 0.2, 0.0, 0.3, -0.1], np.zeros(6))
    assert found.p_wilcoxon == 2 * 4 / 32
    assert 0 < found.p_t < 1
    # Ranks 1 2 3 4, of which 2 is negative: no more below are the sums 0, 1 and 2, of one choice each.
    assert paired_test([0.0, 0.1, 0.2, 0.3, -0.15], np.zeros(5)).p_wilcoxon == 2 * 3 / 16


def test_holm_by_hand():
    """4 * .005 = .02; 3 * .01 = .03; 2 * .03 = .06; 1 * .04 = .04, but no less than the one before: .06."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, None, 0.7]) == [1, None, 1]
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


def test_crossovers_by_hand():
    x = [1, 2, 4]
    assert crossovers(x, [0, 1, 3], [1, 0.5, 0]) == [Crossover(pytest.approx(5 / 3), pytest.approx(5 / 3), 2 / 3, "a")]
    assert crossovers(x, [1, 0, 2], [0, 1, 0]) == [
        Crossover(1.5, 1.5, 0.5, "b"),
        Crossover(pytest.approx(8 / 3), pytest.approx(8 / 3), pytest.approx(2 / 3), "a"),
    ]
    assert crossovers(x, [1, 2, 3], [0, 1, 2]) == []
    x = [0, 1, 2, 3]
    assert crossovers(x, [2, 1, 2, 2], [1, 1, 1, 1]) == [Crossover(1, 1, 1, None)], "touches"
    assert crossovers(x, [0, 1, 1, 2], [1, 1, 1, 1]) == [Crossover(1, 2, 1, "a")], "stays together, then crosses"
    assert crossovers(x, [1, 2, 2, 1], [1, 1, 1, 1]) == [Crossover(0, 0, 1, None), Crossover(3, 3, 1, None)]
    assert crossovers(x, [1] * 4, [1] * 4) == [Crossover(0, 3, 1, None)]
    assert crossovers([5], [1], [2]) == []
