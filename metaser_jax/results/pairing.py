"""Whether two methods had the same draws, and their confusions by what the bootstrap resamples."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from metaser_jax.errors import InputError
from metaser_jax.results import draws
from metaser_jax.results.draws import Setting, setting_name
from metaser_jax.results.scored import Scored
from metaser_jax.scores.bootstrap import Units, choose_units, confusions

Draws = dict[tuple[int, int], list[Scored]]
"""(split_seed, seed) -> the runs of this draw, one for each fold, in the order of folds."""


def by_setting(runs: Iterable[Scored]) -> dict[Setting, list[Scored]]:
    """Return the runs of each setting, in the order in which they come."""
    runs = list(runs)
    groups = draws.by_setting(run.row for run in runs)
    return {key: [runs[number] for number in numbers] for key, numbers in groups.items()}


def draws_of(runs: Sequence[Scored]) -> Draws:
    """Return the draws of one setting; raises InputError as results.draws.draws_of."""
    of_rows = draws.draws_of([run.row for run in runs])
    return {draw: [runs[number] for number in numbers] for draw, numbers in of_rows.items()}


def per_draw(of: Draws, score: str) -> list[float]:
    """Return a score of each draw: the mean over its folds."""
    rows = [run.row for runs in of.values() for run in runs]
    values = draws.draw_scores(rows, score)
    return [value for value in values if value is not None]


def check_same_draws(key_a: Setting, a: Draws, key_b: Setting, b: Draws) -> None:
    """Raise an InputError that names what differs unless both had the same seeds, splits and test utterances."""

    def differ(what: str, got_a: Any, got_b: Any) -> InputError:
        return InputError(
            f"{setting_name(key_a)} and {setting_name(key_b)} cannot be compared draw by draw: {what} {got_a} and "
            f"{got_b}, expected the same. Run both with the same --seeds, --split_seed and corpus."
        )

    if a.keys() != b.keys():
        splits = [sorted({split for split, _ in draws}) for draws in (a, b)]
        if splits[0] != splits[1]:
            raise differ("split seeds", *splits)
        raise differ("seeds", *(sorted({seed for _, seed in draws}) for draws in (a, b)))
    for draw, runs in a.items():
        for one, other in zip(runs, b[draw], strict=True):
            digests = one.row["split_digest"], other.row["split_digest"]
            if digests[0] != digests[1]:
                raise differ(f"seed {draw[1]}, split digests", *digests)
            files = [run.of.path[run.test] for run in (one, other)]
            labels = [run.of.label[run.test] for run in (one, other)]
            if not np.array_equal(*files) or not np.array_equal(*labels):
                raise differ(f"seed {draw[1]}, test utterances (files or labels)", *map(_digest, files, labels))


def pooled(*methods: Sequence[Sequence[Scored]]) -> tuple[Units, list[np.ndarray]]:
    """Return confusions of each draw by what the bootstrap resamples, its folds summed.

    Args:
      methods: of each method its draws, of each draw its runs.

    Returns:
      units, the same for all; of each method [draw, unit, class, class].
    """
    runs = [run for draws in methods for fold_runs in draws for run in fold_runs]
    classes = len(runs[0].row["emotions"])
    # Runs of several folders have tables of utterances of their own: told apart by their files.
    tested = {}
    for run in runs:
        of = run.of
        tested |= dict(zip(of.path[run.test], zip(of.label[run.test], of.speaker[run.test], strict=True), strict=True))
    number = {path: i for i, path in enumerate(tested)}
    label, speaker = map(np.array, zip(*tested.values(), strict=True))
    units = choose_units(label, speaker)

    def of_draw(fold_runs: Sequence[Scored]) -> np.ndarray:
        total = np.zeros((units.number, classes, classes))
        for run in fold_runs:
            at = np.array([number[path] for path in run.of.path[run.test]])
            total += confusions(label[at], run.predicted, units.of[at], classes, units.number)
        return total

    return units, [np.stack([of_draw(fold_runs) for fold_runs in draws]) for draws in methods]


def _digest(files: np.ndarray, labels: np.ndarray) -> str:
    sha = hashlib.sha256("\0".join(f"{f}\0{k}" for f, k in zip(files, labels, strict=True)).encode())
    return f"{len(files)} (digest {sha.hexdigest()[:8]})"
