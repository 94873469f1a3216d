"""From result rows to numbers with their spread: mean and sample standard deviation over draws."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from metaser_jax.results.draws import Setting, by_setting, draw_scores, draws_of, order, setting, taken
from metaser_jax.results.rows import SCORES, Row, completed
from metaser_jax.scores.significance import SCORE, Seeds, seed_interval


@dataclasses.dataclass(frozen=True)
class Summary(Setting):
    """All draws of one setting.

    Attributes:
      seeds: ascending.
      macro_f1, uar, accuracy, weighted_f1, speaker_oracle_macro_f1: over draws, a draw's score being the mean over its
        folds; None unless every row has it.
      seconds, start_size, device: as draws.Taken.
    """

    seeds: tuple[int, ...]
    macro_f1: Seeds
    uar: Seeds | None
    accuracy: Seeds | None
    weighted_f1: Seeds | None
    speaker_oracle_macro_f1: Seeds | None
    seconds: float | None = None
    start_size: int | None = None
    device: str | None = None

    @property
    def over(self) -> str:
        """What the spread is over: "5 draws", "5 draws of 3 folds"."""
        draws = "one draw" if self.macro_f1.n == 1 else f"{self.macro_f1.n} draws"
        return f"{draws} of {self.folds} folds" if self.folds else draws


def summarise(rows: Iterable[dict[str, Any]]) -> list[Summary]:
    """Summarise rows that differ in nothing but seed and fold, sorted by target, split, amount of data and method.

    Raises:
      InputError: a row that `rows.complete` refuses; what draws_of refuses.
    """
    all_rows = completed(rows)
    groups = by_setting(all_rows)
    found = []
    for key in sorted(groups, key=order):
        found.append(_summary([all_rows[number] for number in groups[key]]))
    return found


def _summary(rows: Sequence[Row]) -> Summary:
    draws = draws_of(rows)
    scores: dict[str, Any] = {score: _over_draws(draw_scores(rows, score, draws)) for score in SCORES}
    return Summary(**vars(setting(rows[0])), seeds=tuple(seed for _, seed in draws), **scores, **taken(rows)._asdict())


def _over_draws(values: Sequence[float | None]) -> Seeds | None:
    return None if None in values else seed_interval([v for v in values if v is not None], ends=SCORE)
