"""Methods over corpora, each of which in turn was the unseen language: what another language would give.

A method's score on a corpus is its mean over draws (results.draws). An interval over corpora is Student's t of these
scores: languages are what a new one is drawn from. One over draws is of each draw's mean over corpora, of these corpora
alone.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from metaser_jax.errors import InputError
from metaser_jax.results.draws import Setting
from metaser_jax.results.pairing import Draws, by_setting, check_same_draws, draws_of, per_draw
from metaser_jax.results.scored import Scored
from metaser_jax.results.series import Series
from metaser_jax.scores.significance import SCORE, Paired, Seeds, paired_test, seed_interval

# What stands for the sources of a method that has some: of each corpus they are all others.
OTHERS = "the others"


class Point(NamedTuple):
    """A method with an amount of data. Attributes: method, whose sources are (OTHERS,) or (); shots."""

    method: Series
    shots: int


class Cell(NamedTuple):
    """A point on one corpus. Attributes: setting; draws, the runs of each, one for each fold."""

    setting: Setting
    draws: Draws

    @property
    def scores(self) -> list[float]:
        """Macro F1 of each draw, the mean over its folds."""
        return per_draw(self.draws, "macro_f1")


Cells = Mapping[str, Cell]
"""corpus -> a point there."""


class Measured(NamedTuple):
    """A point. Attributes: each, corpus -> over its draws; corpora: of their means; draws: of each draw's mean."""

    each: dict[str, Seeds]
    corpora: Seeds
    draws: Seeds


class Difference(NamedTuple):
    """One point minus another on the same draws. Attributes: each, corpus -> difference; corpora, draws: paired."""

    each: dict[str, float]
    corpora: Paired
    draws: Paired


def method_of(series: Series) -> Series:
    """Return what is one method over all corpora, though its sources are others for each."""
    return series._replace(sources=(OTHERS,) if series.sources else ())


def by_point(runs: Iterable[Scored]) -> dict[Point, Cells]:
    """Return the runs of each method and number of shots, by corpus.

    Raises:
      InputError: what draws_of refuses.
    """
    found: dict[Point, dict[str, Cell]] = {}
    for setting, group in by_setting(runs).items():
        point = Point(method_of(setting.series), setting.shots or 0)
        found.setdefault(point, {})[setting.target] = Cell(setting, draws_of(group))
    return dict(found)


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
        check_same_draws(a[name].setting, a[name].draws, b[name].setting, b[name].draws)
    ours, theirs = (_table({name: of[name] for name in both}) for of in (a, b))
    each = dict(zip(both, (ours - theirs).mean(1).tolist(), strict=True))
    corpora = paired_test(ours.mean(1), theirs.mean(1), confidence)
    return Difference(each, corpora, paired_test(ours.mean(0), theirs.mean(0), confidence))


def share_below(cells: Cells, zero: Cells) -> float:
    """Return in how many of the corpora's draws, as a share, a point is below what the method had without shots."""
    pairs = [(cells[name].scores, zero[name].scores) for name in cells if name in zero]
    return float(np.mean([a < b for ours, theirs in pairs for a, b in zip(ours, theirs, strict=True)]))


def confusion(cells: Cells) -> np.ndarray:
    """Return the confusion matrix of a point, [class, class], summed over corpora, draws and folds."""
    runs = [run for cell in cells.values() for of_draw in cell.draws.values() for run in of_draw]
    return np.sum([run.row["confusion"] for run in runs], axis=0)


def best_elsewhere(candidates: Mapping[str, Mapping[Point, Cells]]) -> dict[str, str]:
    """Return corpus -> the candidate that is best on the other corpora, mean over its points.

    Args:
      candidates: name -> what by_point gives of it.
    """
    mean: dict[str, dict[str, float]] = {}
    for name, points in candidates.items():
        of_corpus: dict[str, list[float]] = {}
        for cells in points.values():
            for corpus, cell in cells.items():
                of_corpus.setdefault(corpus, []).append(float(np.mean(cell.scores)))
        mean[name] = {corpus: float(np.mean(scores)) for corpus, scores in of_corpus.items()}
    corpora = list(next(iter(mean.values())))

    def elsewhere(name: str, corpus: str) -> float:
        return float(np.mean([score for other, score in mean[name].items() if other != corpus]))

    return {corpus: max(mean, key=lambda name: elsewhere(name, corpus)) for corpus in corpora}


def _table(cells: Cells) -> np.ndarray:
    """Return scores [corpus, draw]."""
    scores = [cell.scores for cell in cells.values()]
    if not scores or len({len(row) for row in scores}) > 1:
        numbers = {name: len(cell.draws) for name, cell in cells.items()}
        raise InputError(f"Over corpora: got draws of {numbers or 'no corpus'}, expected as many of each.")
    return np.array(scores)
