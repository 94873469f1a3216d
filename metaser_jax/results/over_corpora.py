"""Methods over corpora, each of which in turn was the unseen language: what another language would give.

A method's score on a corpus is its mean over draws. An interval over corpora is Student's t of these scores: languages
are what a new one is drawn from. One over draws is of each draw's mean over corpora, of these corpora alone.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from metaser_jax.errors import InputError
from metaser_jax.results.rows import Series
from metaser_jax.results.significance import SCORE, Paired, Seeds, paired_test, seed_interval
from metaser_jax.results.summary import Summary, check_same_draws

# What stands for the sources of a method that has some: of each corpus they are all others.
OTHERS = "the others"


class Point(NamedTuple):
    """A method with an amount of data. Attributes: method, whose sources are (OTHERS,) or (); shots."""

    method: Series
    shots: int


Cells = Mapping[str, Summary]
"""corpus -> a point there."""


class Measured(NamedTuple):
    """A point. Attributes: each, corpus -> over its draws; corpora: of their means; draws: of each draw's mean."""

    each: dict[str, Seeds]
    corpora: Seeds
    draws: Seeds


class Difference(NamedTuple):
    """A point minus another on the same draws. Attributes: each, corpus -> difference; corpora, draws: paired."""

    each: dict[str, float]
    corpora: Paired
    draws: Paired


def method_of(series: Series) -> Series:
    """Return what is one method over all corpora, though its sources are others for each."""
    return series._replace(sources=(OTHERS,) if series.sources else ())


def by_point(summaries: Iterable[Summary]) -> Mapping[Point, Cells]:
    """Return the summaries of each method and number of shots, by corpus."""
    found: dict[Point, dict[str, Summary]] = defaultdict(dict)
    for one in summaries:
        found[Point(method_of(one.series), one.shots or 0)][one.target] = one
    return found


def measure(cells: Cells, confidence: float = 0.95) -> Measured:
    """Return a point's scores with both spreads.

    Raises:
      InputError: corpora with other numbers of draws.
    """
    scores = _table(cells)
    each = {name: seed_interval(row, confidence, SCORE) for name, row in zip(cells, scores, strict=True)}
    corpora, draws = (seed_interval(scores.mean(axis), confidence, SCORE) for axis in (1, 0))
    return Measured(each, corpora, draws)


def subtract(a: Cells, b: Cells, confidence: float = 0.95) -> Difference:
    """Return a - b, on the corpora that both have.

    Raises:
      InputError: no such corpus; draws or test parts that are not the same for both.
    """
    both = [name for name in a if name in b]
    for name in both:
        check_same_draws(a[name], b[name])
    ours, theirs = (_table({name: of[name] for name in both}) for of in (a, b))
    each = dict(zip(both, (ours - theirs).mean(1).tolist(), strict=True))
    corpora = paired_test(ours.mean(1), theirs.mean(1), confidence)
    return Difference(each, corpora, paired_test(ours.mean(0), theirs.mean(0), confidence))


def share_below(cells: Cells, zero: Cells) -> float:
    """Return in how many of the corpora's draws, as a share, a point is below what the method had without shots."""
    pairs = [(cells[name].per_draw("macro_f1"), zero[name].per_draw("macro_f1")) for name in cells if name in zero]
    return float(np.mean([a < b for ours, theirs in pairs for a, b in zip(ours, theirs, strict=True)]))


def best_elsewhere(candidates: Mapping[str, Mapping[Any, Cells]]) -> dict[str, str]:
    """Return corpus -> the candidate that is best on the other corpora, mean over its points.

    Args:
      candidates: name -> its points, as the values of by_point.
    """
    corpora = list(dict.fromkeys(corpus for cells in next(iter(candidates.values())).values() for corpus in cells))

    def elsewhere(name: str, left_out: str) -> float:
        """Return a candidate's mean over the other corpora of its means over points."""
        others, points = [corpus for corpus in corpora if corpus != left_out], candidates[name].values()
        means = [np.mean([at[corpus].macro_f1.mean for at in points if corpus in at]) for corpus in others]
        return float(np.mean(means))

    return {corpus: max(candidates, key=lambda name: elsewhere(name, corpus)) for corpus in corpora}


def _table(cells: Cells) -> np.ndarray:
    """Return macro F1 [corpus, draw]."""
    scores = [one.per_draw("macro_f1") for one in cells.values()]
    if not scores or len({len(row) for row in scores}) > 1:
        numbers = {name: len(one.draws) for name, one in cells.items()}
        raise InputError(f"Over corpora: got draws of {numbers or 'no corpus'}, expected as many of each.")
    return np.array(scores)
