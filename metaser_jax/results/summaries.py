"""From result rows to numbers with their spread: the sample standard deviation over seeds, and folds if there are."""

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from metaser_jax.errors import InputError
from metaser_jax.results.rows import SCORES, Row, completed
from metaser_jax.results.series import Series, amount, amount_name, series, series_order
from metaser_jax.scores.metrics import mean_and_deviation


class Spread(NamedTuple):
    """Mean and sample standard deviation over n seeds, or folds times seeds; one alone has 0, saying nothing."""

    mean: float
    deviation: float
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.3f} (one seed)" if self.n == 1 else f"{self.mean:.3f} ± {self.deviation:.3f}"


@dataclasses.dataclass(frozen=True)
class Summary:
    """All seeds, and all folds, of one setting.

    Attributes:
      series: method, order, adapt, sources, normalise.
      target, split: as in the rows; split None was not recorded.
      folds: number of folds, each the test part once with each seed; None is one split.
      shots, fraction: one of the two, or neither for the whole training part.
      seeds: ascending.
      macro_f1, uar, accuracy, weighted_f1, speaker_oracle_macro_f1: None unless every seed has it.
    """

    series: Series
    target: str
    split: str | None
    folds: int | None
    shots: int | None
    fraction: float | None
    seeds: tuple[int, ...]
    macro_f1: Spread
    uar: Spread | None
    accuracy: Spread | None
    weighted_f1: Spread | None
    speaker_oracle_macro_f1: Spread | None


def summarise(rows: Iterable[Row]) -> list[Summary]:
    """Groups rows that differ in nothing but seed and fold, sorted by target, split, amount of data and method.

    Raises:
      InputError: what `distinct` raises.
    """
    groups: dict[tuple, list[Row]] = defaultdict(list)
    for row in distinct(rows):
        groups[_setting(row)].append(row)
    summaries = [
        Summary(
            *key,
            # Every fold has the same.
            seeds=tuple(sorted(row["seed"] for row in group if row["fold"] in (None, 0))),
            **{score: _spread([row[score] for row in group]) for score in SCORES},
        )
        for key, group in groups.items()
    ]
    return sorted(summaries, key=_order)


def distinct(rows: Iterable[Row]) -> list[Row]:
    """Completed rows, each run once: one that was run again to the same result counts once.

    Raises:
      InputError: a row that `rows.complete` refuses; two different results of one setting, split digest and seed, which
        a mean would take for two seeds; seeds of a setting that some of its folds lack.
    """
    kept: dict[tuple, Row] = {}
    for row in completed(rows):
        where = (series(row), row["target"], row["split"], row["split_digest"], row["folds"], row["fold"])
        other = kept.setdefault((*where, *amount(row), row["seed"]), row)
        if other["confusion"] != row["confusion"] or other["macro_f1"] != row["macro_f1"]:
            data = amount_name(*amount(row))
            raise InputError(
                f"{row['method']} on {row['target']} ({data}), seed {row['seed']}: got macro F1 "
                f"{other['macro_f1']:.4f} and {row['macro_f1']:.4f}, expected one result of each seed. Two runs were "
                "written to one file: delete the lines of one, or report them apart."
            )
    _check_folds(kept.values())
    return list(kept.values())


def _setting(row: Row) -> tuple:
    return series(row), row["target"], row["split"], row["folds"], row["shots"], row["fraction"]


def _check_folds(rows: Iterable[Row]) -> None:
    """Speakers differ more than seeds do: a mean without some fold would be one over other speakers."""
    settings: dict[tuple, list[Row]] = defaultdict(list)
    for row in rows:
        if row["folds"]:
            settings[_setting(row)].append(row)
    for group in settings.values():
        row = group[0]
        seeds = [{r["seed"] for r in group if r["fold"] == fold} for fold in range(row["folds"])]
        missing = [
            f"fold {fold} of seed {seed}"
            for seed in sorted(set.union(*seeds))
            for fold, s in enumerate(seeds)
            if seed not in s
        ]
        if missing:
            raise InputError(
                f"{row['method']} on {row['target']} ({amount_name(*amount(row))}, {row['folds']} folds): got no "
                f"{', '.join(missing)}, expected each fold with the same seeds. Run it again, or leave that seed out."
            )


def _spread(values: Sequence[float | None]) -> Spread | None:
    return None if None in values else Spread(*mean_and_deviation(values), len(values))


def _order(s: Summary) -> tuple:
    kind, value = amount({"shots": s.shots, "fraction": s.fraction})
    return s.target, s.split or "", s.folds or 0, kind != "shots", value, s.shots or 0, series_order(s.series)
