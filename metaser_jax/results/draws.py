"""Seeds, folds and draws: which rows are one setting and one draw of it, and a score of each draw.

A draw is one seed on one split. With folds it has a row for each, and its score is their mean: every spread in tables,
pictures and reports is over draws, of which this is the only code.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from metaser_jax.errors import InputError
from metaser_jax.results.rows import Row, completed
from metaser_jax.results.series import Series, amount, amount_name, method_name, series, series_order

Draws = dict[tuple[int, int], list[int]]
"""(split_seed, seed) -> the numbers of this draw's rows, one for each fold, in the order of folds."""


@dataclasses.dataclass(frozen=True)
class Setting:
    """What rows of one table cell, or of one point of a curve, share.

    Attributes:
      series: method, order, adapt, sources, normalise.
      target, split: as in the rows; split None was not recorded.
      folds: number of folds, each the test part once with each seed; None is one split.
      shots, fraction: one of the two, or neither for the whole training part.
    """

    series: Series
    target: str
    split: str | None
    folds: int | None
    shots: int | None
    fraction: float | None


def setting(row: Row) -> Setting:
    """Return the setting of a completed row."""
    return Setting(series(row), row["target"], row["split"], row["folds"], row["shots"], row["fraction"])


def setting_name(s: Setting) -> str:
    """Return a setting's name for messages: method, adapted layers, sources, target, split, amount."""
    key = s.series
    source = f" from {' + '.join(key.sources)}" if key.sources else ""
    adapt = f", adapt {key.adapt}" if key.adapt else ""
    split = f"{s.split} split" + (f", {s.folds} folds" if s.folds else "")
    data = amount_name(*amount({"shots": s.shots, "fraction": s.fraction}))
    return f"{method_name(key)}{source}{adapt} on {s.target} ({split}, {data}, normalise {key.normalise})"


def order(s: Setting) -> tuple:
    """Return a sort key: target, split, amount of data, method."""
    kind, value = amount({"shots": s.shots, "fraction": s.fraction})
    return s.target, s.split or "", s.folds or 0, kind != "shots", value, series_order(s.series)


def by_setting(rows: Iterable[Row]) -> dict[Setting, list[int]]:
    """Return the numbers of the completed rows of each setting, in the order in which they come."""
    groups: dict[Setting, list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        groups[setting(row)].append(number)
    return dict(groups)


def draws_of(rows: Sequence[Row]) -> Draws:
    """Return the draws of one setting, sorted; a row that is there twice with the same result counts once.

    Args:
      rows: completed, of one setting.

    Raises:
      InputError: two results of one draw, or a draw that lacks a fold.
    """
    key = setting(rows[0])
    kept: dict[tuple[int, int, int | None], int] = {}
    for number, row in enumerate(rows):
        where = (row.get("split_seed") or 0, row["seed"], row["fold"])
        other = rows[kept.setdefault(where, number)]
        if any(row[name] != other[name] for name in ("split_digest", "macro_f1", "confusion")):
            raise InputError(
                f"{setting_name(key)}: seed {row['seed']} is there twice, with different results: macro F1 "
                f"{other['macro_f1']:.4f} and {row['macro_f1']:.4f}. Report two runs apart, or leave one out."
            )
    draws: Draws = defaultdict(list)
    for (split_seed, seed, _), number in sorted(kept.items(), key=lambda item: tuple(v or 0 for v in item[0])):
        draws[split_seed, seed].append(number)
    for (_, seed), numbers in draws.items():
        if key.folds and len(numbers) != key.folds:
            missing = sorted(set(range(key.folds)) - {rows[number]["fold"] for number in numbers})
            raise InputError(
                f"{setting_name(key)}: seed {seed} lacks fold {', '.join(map(str, missing))}, expected all. Run it "
                "again, or leave that seed out."
            )
    return dict(draws)


def draw_scores(rows: Sequence[Row], score: str, draws: Draws | None = None) -> list[float | None]:
    """Return a score of each draw, the mean over its folds; None of a draw in which a row lacks it.

    Args:
      rows: completed, of one setting.
      score: a field of the rows.
      draws: of the rows, where they are known.
    """
    values = [[rows[number][score] for number in one] for one in (draws or draws_of(rows)).values()]
    return [None if None in of_draw else float(np.mean(of_draw)) for of_draw in values]


class Taken(NamedTuple):
    """What an adaptation takes, of the rows of one setting; None: not recorded.

    Attributes:
      seconds: mean over rows.
      start_size: numbers that it starts from: parameters and learned rates, or features of the sources.
      device: that ran it, or several.
    """

    seconds: float | None
    start_size: int | None
    device: str | None


def taken(rows: Sequence[Row]) -> Taken:
    """Return what the adaptations of one setting took."""
    seconds = [row["seconds"] for row in rows]
    return Taken(
        None if None in seconds else float(np.mean(seconds)),
        max((row["start_size"] for row in rows if row.get("start_size")), default=None),
        " and ".join(sorted({row["device"] for row in rows if row.get("device")})) or None,
    )


def distinct(rows: Iterable[dict[str, Any]]) -> list[Row]:
    """Return the rows, completed, each run once: one that was run again to the same result counts once.

    Raises:
      InputError: a row that `rows.complete` refuses; what draws_of refuses.
    """
    all_rows = completed(rows)
    kept = set()
    for numbers in by_setting(all_rows).values():
        for one in draws_of([all_rows[number] for number in numbers]).values():
            kept |= {numbers[at] for at in one}
    return [all_rows[number] for number in sorted(kept)]
