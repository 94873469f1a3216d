"""The numbers of a study: a line for each setting, with what its score would be on other draws and on other speakers.

A setting is a method at a place with an amount of data. A line is flat and JSON-able: the tables, the CSV, the JSON and
the report are made of it, so they agree.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from metaser_jax.bootstrap import SCORES, bootstrap
from metaser_jax.report.rows import Row, completed
from metaser_jax.report.series import series, series_order
from metaser_jax.runs.outcomes import Predictions
from metaser_jax.statistics import seed_interval
from metaser_jax.studies.cells import Finished

Line = dict[str, Any]
ORACLE = "speaker_oracle_macro_f1"


class Setting(NamedTuple):
    """Everything that was run with one method, place and amount.

    Attributes:
      rows: [seed * fold].
      seeds: ascending.
      label, speaker: [n] of the test utterances, of all folds where there are folds.
      predicted: [seed, n] int.
    """

    rows: list[Row]
    seeds: tuple[int, ...]
    label: np.ndarray
    speaker: np.ndarray
    predicted: np.ndarray

    def by_seed(self, score: str) -> np.ndarray:
        """[seed] the score of each draw; where there are folds, its mean over them."""
        return np.array([np.mean([row[score] for row in self.rows if row["seed"] == seed]) for seed in self.seeds])


def settings_of(finished: Iterable[Finished]) -> list[Setting]:
    """The settings of all cells, sorted by target, split, amount and method."""
    found = []
    for cell in finished:
        rows = completed(cell.rows)
        groups: dict[tuple, list[int]] = defaultdict(list)
        for number, row in enumerate(rows):
            groups[row["shots"], row["fraction"]].append(number)
        found += [_setting(rows, numbers, cell.predictions) for numbers in groups.values()]
    return sorted(found, key=lambda setting: _order(setting.rows[0]))


def _setting(rows: list[Row], numbers: list[int], predictions: Predictions) -> Setting:
    seeds = tuple(sorted({rows[n]["seed"] for n in numbers}))
    utterances, predicted = [], []
    for seed in seeds:
        own = np.isin(predictions.row, [n for n in numbers if rows[n]["seed"] == seed])
        order = np.argsort(predictions.utterance[own], kind="stable")
        utterances.append(predictions.utterance[own][order])
        predicted.append(predictions.predicted[own][order])
    test = utterances[0]
    return Setting(
        [rows[n] for n in numbers], seeds, predictions.label[test], predictions.speaker[test], np.stack(predicted)
    )


def line_of(setting: Setting, confidence: float, resamples: int) -> Line:
    """The numbers of a setting; scores from 0 to 1, intervals as [low, high], None where one draw says nothing."""
    rows, first = setting.rows, setting.rows[0]
    line: Line = {name: first[name] for name in ("target", "language", "split", "folds", "shots", "fraction")}
    line |= {name: first[name] for name in ("method", "order", "adapt", "sources", "normalise")}
    line |= {"validation": first.get("validation"), "seeds": list(setting.seeds)}
    line["init_seeds"] = sorted({row["init_seed"] for row in rows if row.get("init_seed") is not None})
    line["split_digests"] = list(dict.fromkeys(row["split_digest"] for row in rows))
    for score in SCORES:
        over_draws = seed_interval(setting.by_seed(score), confidence)
        line |= {score: over_draws.mean, f"{score}_deviation": over_draws.deviation}
        if score == "macro_f1":
            line["macro_f1_draws"] = over_draws.interval and list(over_draws.interval[:2])
    test = bootstrap(
        setting.label,
        setting.predicted,
        setting.speaker,
        classes=len(first["emotions"]),
        confidence=confidence,
        resamples=resamples,
    )
    line |= {"macro_f1_test": list(test.interval[:2]), "resampled": test.by, "resampled_units": test.units}
    line |= {ORACLE: float(np.mean([row[ORACLE] for row in rows])), "confidence": confidence}
    # Of folds: the smallest and the largest.
    for name in ("n_train", "n_valid", "n_test"):
        line[name] = sorted({row[name] for row in rows})[:: max(1, len({row[name] for row in rows}) - 1)]
    line["seconds"] = float(np.mean([row["seconds"] for row in rows])) if first["seconds"] is not None else None
    line["confusion"] = np.sum([row["confusion"] for row in rows], axis=0).tolist()
    line["emotions"] = first["emotions"]
    return line


def flat(line: Mapping[str, Any]) -> dict[str, Any]:
    """The line for a CSV: lists by spaces, intervals as two columns, no confusion matrix."""
    cells: dict[str, Any] = {}
    for name, value in line.items():
        if name in ("macro_f1_draws", "macro_f1_test"):
            cells |= dict(zip((f"{name}_low", f"{name}_high"), value or (None, None), strict=True))
        elif name != "confusion":
            cells[name] = " ".join(map(str, value)) if isinstance(value, list) else value
    return cells


def _order(row: Row) -> tuple:
    kind, value = ("shots", row["shots"]) if row["shots"] is not None else ("fraction", row["fraction"])
    sources = tuple(row["sources"] or ())
    return row["target"], row["split"], kind == "fraction", value, -len(sources), sources, series_order(series(row))
