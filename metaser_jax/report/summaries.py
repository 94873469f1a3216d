"""From result rows to numbers with their spread: the sample standard deviation over seeds."""

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from metaser_jax.errors import InputError
from metaser_jax.metrics import mean_and_deviation
from metaser_jax.report.rows import SCORES, Row, completed
from metaser_jax.report.series import Series, amount, amount_name, series, series_order


class Spread(NamedTuple):
    """Mean and sample standard deviation over n seeds; the deviation of a single one is 0 and says nothing."""

    mean: float
    deviation: float
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.3f} (one seed)" if self.n == 1 else f"{self.mean:.3f} ± {self.deviation:.3f}"


@dataclasses.dataclass(frozen=True)
class Summary:
    """All seeds of one setting.

    Attributes:
      series: method, order, adapt, sources, normalise.
      target, split: as in the rows; split None was not recorded.
      shots, fraction: one of the two, or neither for the whole training part.
      seeds: ascending.
      macro_f1, uar, accuracy, weighted_f1, speaker_oracle_macro_f1: None unless every seed has it.
    """

    series: Series
    target: str
    split: str | None
    shots: int | None
    fraction: float | None
    seeds: tuple[int, ...]
    macro_f1: Spread
    uar: Spread | None
    accuracy: Spread | None
    weighted_f1: Spread | None
    speaker_oracle_macro_f1: Spread | None


def summarise(rows: Iterable[Row]) -> list[Summary]:
    """Groups rows that differ in nothing but the seed, sorted by target, split, amount of data and method.

    Raises:
      InputError: a row that `rows.complete` refuses; different results of one setting and one seed.
    """
    groups: dict[tuple, list[Row]] = defaultdict(list)
    for row in distinct(rows):
        groups[series(row), row["target"], row["split"], row["shots"], row["fraction"]].append(row)
    summaries = [
        Summary(
            *key,
            seeds=tuple(sorted(row["seed"] for row in group)),
            **{score: _spread([row[score] for row in group]) for score in SCORES},
        )
        for key, group in groups.items()
    ]
    return sorted(summaries, key=_order)


def distinct(rows: Iterable[Row]) -> list[Row]:
    """Completed rows, each run once: one that was run again to the same result counts once.

    Raises:
      InputError: two different results of one setting, split digest and seed, which a mean would take for two seeds.
    """
    kept: dict[tuple, Row] = {}
    for row in completed(rows):
        setting = (series(row), row["target"], row["split"], row["split_digest"], *amount(row), row["seed"])
        other = kept.setdefault(setting, row)
        if other["confusion"] != row["confusion"] or other["macro_f1"] != row["macro_f1"]:
            data = amount_name(*amount(row))
            raise InputError(
                f"{row['method']} on {row['target']} ({data}), seed {row['seed']}: got macro F1 "
                f"{other['macro_f1']:.4f} and {row['macro_f1']:.4f}, expected one result of each seed. Two runs were "
                "written to one file: delete the lines of one, or report them apart."
            )
    return list(kept.values())


def _spread(values: Sequence[float | None]) -> Spread | None:
    return None if None in values else Spread(*mean_and_deviation(values), len(values))


def _order(s: Summary) -> tuple:
    kind, value = amount({"shots": s.shots, "fraction": s.fraction})
    return s.target, s.split or "", kind != "shots", value, s.shots or 0, series_order(s.series)
