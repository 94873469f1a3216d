"""Statistics of scores over draws: intervals, paired tests, their correction, where two curves cross.

A draw is one seed: its utterances of the target's training part, the order of its batches, and its start. Draws of one
split share the test part, so an interval over draws says what another draw would give on the same speakers; what other
speakers would give, `results.bootstrap` estimates. Folds of one seed are not draws: average over them first.

Intervals of what has ends, as scores (0 to 1) and their differences (-1 to 1) have, are Student's t on the logit scale,
from there back (delta method; Lesaffre, Rizopoulos & Tsonaka, "The logistic transform for bounded outcome scores",
Biostatistics, 2007): none leaves what a score can be. For three draws of scores around .97 they cover the truth 95
times in 100, where t on the scores themselves does 89 and goes beyond 1 (tests/results/test_significance.py). In the
middle of the scale both are the same.

scipy does the arithmetic. Where it would give nan (one draw, no deviation), None stands for "cannot be said".
"""

import math
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import ArrayLike

from metaser_jax.errors import InputError

# What a score can be, and the difference of two.
SCORE, DIFFERENCE = (0.0, 1.0), (-1.0, 1.0)
# Below this, relative to the values' size, a deviation is rounding.
_ROUNDING = 1e-12


class Interval(NamedTuple):
    """Attributes: low, high, and the confidence of the interval between them."""

    low: float
    high: float
    confidence: float


class Seeds(NamedTuple):
    """Scores over draws.

    Attributes:
      mean, n: of the draws.
      deviation: the sample's (n - 1); None of a single draw.
      interval: for the mean, see the module's docstring; None of a single draw. Scores that are all the same give low =
        high.
    """

    mean: float
    deviation: float | None
    n: int
    interval: Interval | None

    def __str__(self) -> str:
        return f"{self.mean:.3f} (one draw)" if self.deviation is None else f"{self.mean:.3f} ± {self.deviation:.3f}"


class Paired(NamedTuple):
    """A method's scores minus another's on the same draws.

    Attributes:
      difference: mean, deviation, n and interval of the differences.
      p_t: two-sided p of the paired t-test; None of a single draw, or where all differences are the same number but 0,
        whose deviation of 0 no test can use. All 0: 1.
      p_wilcoxon: two-sided, exact p of Wilcoxon's signed-rank test (differences of 0 are dropped, ties share their mean
        rank). None of a single draw; it cannot be below 2 / 2^n, so 5 draws cannot show p < .05. All 0: 1.
    """

    difference: Seeds
    p_t: float | None
    p_wilcoxon: float | None


def seed_interval(values: ArrayLike, confidence: float = 0.95, ends: tuple[float, float] | None = None) -> Seeds:
    """Return mean, deviation and Student's t interval of values over draws.

    Args:
      values: [n], a score of each draw (the mean over its folds where there are folds).
      ends: the least and the most that a value can be, SCORE say, which the interval then keeps to; None: it has none.

    Raises:
      InputError: no values, one that is not a finite number, or a confidence that is not between 0 and 1.
    """
    values = _scores("values", values)
    check_confidence(confidence)
    mean, n = float(values.mean()), len(values)
    if n == 1:
        return Seeds(mean, None, 1, None)
    if _same(values):
        return Seeds(mean, 0.0, n, Interval(mean, mean, confidence))
    margin = float(scipy.stats.t.ppf((1 + confidence) / 2, n - 1) * scipy.stats.sem(values))
    low, high = (mean - margin, mean + margin) if ends is None else between(mean, margin, ends)
    return Seeds(mean, float(values.std(ddof=1)), n, Interval(low, high, confidence))


def between(value: float, margin: float, ends: tuple[float, float]) -> tuple[float, float]:
    """Return value +- margin between the ends: as wide on the logit scale as the margin is there, and back from it.

    At an end itself there is nothing around the value: what was measured is the same everywhere.
    """
    low, high = ends
    share = (value - low) / (high - low)
    if not 0 < share < 1:
        return value, value
    wide = margin / ((high - low) * share * (1 - share))
    at = low + (high - low) * scipy.special.expit(scipy.special.logit(share) + np.array([-wide, wide]))
    return float(at[0]), float(at[1])


def paired_test(a: ArrayLike, b: ArrayLike, confidence: float = 0.95) -> Paired:
    """Compare two methods on the same draws: a - b.

    Args:
      a, b: [n], scores of the same draws in the same order.

    Raises:
      InputError: of different lengths, or as seed_interval.
    """
    a, b = _scores("a", a), _scores("b", b)
    if len(a) != len(b):
        raise InputError(f"paired_test: got {len(a)} and {len(b)} scores, expected one of each method for each draw.")
    # What is left of equal scores by rounding would be a rank like any other.
    differences = np.where(np.abs(a - b) <= _ROUNDING, 0, a - b)
    seeds = seed_interval(differences, confidence, DIFFERENCE)
    if len(a) == 1:
        return Paired(seeds, None, None)
    if not differences.any():
        return Paired(seeds, 1.0, 1.0)
    p_t = None if _same(differences) else float(scipy.stats.ttest_rel(a, b).pvalue)
    return Paired(seeds, p_t, _signed_rank_p(differences[differences != 0]))


def holm(p: Sequence[float | None]) -> list[float | None]:
    """Return p-values corrected for there being several (Holm, 1979): all below .05 are right together 95 times in 100.

    It needs no independence. scipy has none of it: its false_discovery_control (Benjamini-Hochberg) bounds the share of
    wrong ones instead. A None stays None and counts as no comparison.
    """
    known = [i for i, value in enumerate(p) if value is not None]
    corrected: list[float | None] = [None] * len(p)
    largest = 0.0
    for rank, i in enumerate(sorted(known, key=lambda i: p[i])):
        largest = max(largest, min(1.0, (len(known) - rank) * p[i]))
        corrected[i] = largest
    return corrected


class Crossover(NamedTuple):
    """Crossing of two curves, a and b.

    Attributes:
      x, until: where they meet; the same unless they stay together over several measured points.
      y: their value at x.
      ahead: which is higher after it, "a" or "b"; None where they only touch, or meet at either end.
    """

    x: float
    until: float
    y: float
    ahead: str | None


def crossovers(x: ArrayLike, a: ArrayLike, b: ArrayLike) -> list[Crossover]:
    """Return where two curves meet, linear between the measured points; [] if one is above the other all along.

    Args:
      x: [n], ascending. a, b: [n], the curves at x.
    """
    x, a, b = _scores("x", x), _scores("a", a), _scores("b", b)
    difference = np.where(np.abs(a - b) <= _ROUNDING, 0, a - b)
    parts = [(sign, list(part)) for sign, part in groupby(range(len(x)), lambda i: np.sign(difference[i]))]
    signs = [0, *(sign for sign, _ in parts), 0]
    found = []
    for (sign, at), before, after in zip(parts, signs, signs[2:], strict=False):
        first, last, ahead = at[0], at[-1], "a" if after > 0 else "b"
        if sign == 0:
            crosses = before * after < 0
            found.append(Crossover(float(x[first]), float(x[last]), float(a[first]), ahead if crosses else None))
        elif sign * after < 0:
            share = difference[last] / (difference[last] - difference[last + 1])
            meet = float(x[last] + share * (x[last + 1] - x[last]))
            found.append(Crossover(meet, meet, float(a[last] + share * (a[last + 1] - a[last])), ahead))
    return found


def _signed_rank_p(differences: np.ndarray) -> float:
    """Return, of all 2^n signs, the share whose sum of positive ranks is as far out; [n] float, none of them 0.

    scipy's wilcoxon has this where nothing is tied; with ties it warns, or not, by its version.
    """
    # A mean of two may be a half.
    ranks = np.rint(2 * scipy.stats.rankdata(np.round(np.abs(differences), 12))).astype(int)
    share = np.ones(1)  # [sum of positive ranks]
    for rank in ranks:
        share = (np.pad(share, (0, rank)) + np.pad(share, (rank, 0))) / 2
    observed = ranks[differences > 0].sum()
    return float(min(1.0, 2 * min(share[: observed + 1].sum(), share[observed:].sum())))


def check_confidence(confidence: float) -> None:
    """Raise an InputError unless it is between 0 and 1."""
    if not 0 < confidence < 1:
        raise InputError(f"confidence: got {confidence!r}, expected a number between 0 and 1, such as 0.95.")


def _scores(name: str, values: ArrayLike) -> np.ndarray:
    array = np.asarray(values, float)
    if array.ndim != 1 or not array.size or not np.isfinite(array).all():
        raise InputError(f"{name}: got {str(values)[:80]}, expected one or more finite numbers in a row.")
    return array


def _same(values: np.ndarray) -> bool:
    return bool(np.ptp(values) <= _ROUNDING * max(1.0, math.fabs(values[0])))
