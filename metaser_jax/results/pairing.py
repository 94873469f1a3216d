"""Which adaptations are one setting and one draw of it, whether two methods had the same, and their confusions by unit.

A draw is one seed on one split. With folds it has a run for each fold, whose predictions are pooled here.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from metaser_jax.errors import InputError
from metaser_jax.results.scored import Scored
from metaser_jax.results.series import Series, amount, amount_name, method_name, series, series_order
from metaser_jax.scores.bootstrap import Units, choose_units, confusions

Draws = dict[tuple[int, int], list[Scored]]
"""(split_seed, seed) -> the runs of this draw, one for each fold, in the order of folds."""


class Setting(NamedTuple):
    """What rows of one table cell, or of one point of a curve, share; shots or fraction, or neither for all."""

    series: Series
    target: str
    split: str | None
    folds: int | None
    shots: int | None
    fraction: float | None


def setting(row: dict[str, Any]) -> Setting:
    """The setting of a completed row."""
    return Setting(series(row), row["target"], row["split"], row["folds"], row["shots"], row["fraction"])


def setting_name(s: Setting) -> str:
    """For messages: method, adapted layers, sources, target, split, amount."""
    key = s.series
    source = f" from {' + '.join(key.sources)}" if key.sources else ""
    adapt = f", adapt {key.adapt}" if key.adapt else ""
    split = f"{s.split} split" + (f", {s.folds} folds" if s.folds else "")
    data = amount_name(*amount({"shots": s.shots, "fraction": s.fraction}))
    return f"{method_name(key)}{source}{adapt} on {s.target} ({split}, {data}, normalise {key.normalise})"


def by_setting(runs: Iterable[Scored]) -> dict[Setting, list[Scored]]:
    """The runs of each setting, in the order in which they come."""
    groups = defaultdict(list)
    for run in runs:
        groups[setting(run.row)].append(run)
    return dict(groups)


def draws_of(key: Setting, runs: Sequence[Scored]) -> Draws:
    """The draws of one setting, sorted; a run that is there twice with the same result counts once.

    Raises:
      InputError: two results of one draw, or a draw that lacks a fold.
    """
    kept: dict[tuple, Scored] = {}
    for run in runs:
        row = run.row
        where = (row.get("split_seed") or 0, row["seed"], row["fold"])
        other = kept.setdefault(where, run)
        if row["split_digest"] != other.row["split_digest"] or not np.array_equal(run.predicted, other.predicted):
            raise InputError(
                f"{setting_name(key)}: seed {row['seed']} is there twice, with different results. Report two runs "
                "apart, or leave one out."
            )
    draws: Draws = defaultdict(list)
    for (split_seed, seed, _), run in sorted(kept.items(), key=lambda item: tuple(v or 0 for v in item[0])):
        draws[split_seed, seed].append(run)
    for (_, seed), group in draws.items():
        if key.folds and len(group) != key.folds:
            missing = sorted(set(range(key.folds)) - {run.row["fold"] for run in group})
            raise InputError(
                f"{setting_name(key)}: seed {seed} lacks fold {', '.join(map(str, missing))}, expected all. Run it "
                "again, or leave that seed out."
            )
    return dict(draws)


def check_same_draws(key_a: Setting, a: Draws, key_b: Setting, b: Draws) -> None:
    """Raises an InputError that names what differs unless both had the same seeds, splits and test utterances."""

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
    """Confusions of each draw by what the bootstrap resamples, its folds summed.

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


def per_draw(draws: Draws, score: str) -> list[float]:
    """A score of each draw: the mean over its folds."""
    return [float(np.mean([run.row[score] for run in runs])) for runs in draws.values()]


def order(s: Setting) -> tuple:
    """Sort key: target, split, amount of data, method."""
    kind, value = amount({"shots": s.shots, "fraction": s.fraction})
    return s.target, s.split or "", s.folds or 0, kind != "shots", value, series_order(s.series)


def _digest(files: np.ndarray, labels: np.ndarray) -> str:
    sha = hashlib.sha256("\0".join(f"{f}\0{k}" for f, k in zip(files, labels, strict=True)).encode())
    return f"{len(files)} (digest {sha.hexdigest()[:8]})"
