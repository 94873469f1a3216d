"""Result rows, the lines of results.jsonl and metrics.jsonl: read, checked and completed."""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from metaser_jax.emotions import FOUR_EMOTIONS
from metaser_jax.errors import InputError

Row = dict[str, Any]

REQUIRED = ("method", "target", "seed", "macro_f1", "confusion")
SCORES = ("macro_f1", "uar", "accuracy", "weighted_f1", "speaker_oracle_macro_f1")
# Older files lack some of these; null then means "was not recorded".
OPTIONAL = (
    *("order", "sources", "language", "split", "split_digest", "fold", "folds", "shots", "fraction", "adapt"),
    *("normalise", "emotions", "n_train", "n_valid", "n_test", "seconds", *SCORES),
)
# The most that a number may be.
_RANGES = dict.fromkeys(SCORES, 1) | {"shots": math.inf, "fraction": 1}


def read_results(path: str | Path) -> list[Row]:
    """Read the lines of results.jsonl, each checked and completed (see `complete`).

    Raises:
      InputError: no such file; no rows; a line that is not a JSON object or lacks a field. Names the file and the line.
    """
    rows = [complete(row, where) for where, row in _json_lines(path)]
    if not rows:
        raise InputError(f"{path}: got no rows, expected one result on each line. Run the evaluation first.")
    return rows


def read_metrics(path: str | Path) -> list[Row]:
    """Read the lines of metrics.jsonl; a value that is null was not recorded.

    Raises:
      InputError: no such file; a line that has neither episode nor total_epoch; lines of which some have the other.
        Names the file and the line.
    """
    rows: list[Row] = []
    for where, row in _json_lines(path):
        step = step_of(row)
        if not isinstance(row.get(step), int):
            raise InputError(f"{where}: {step}: got {row.get(step)!r}, expected a whole number.")
        if rows and step_of(rows[0]) != step:
            raise InputError(f"{where}: got {step}, expected {step_of(rows[0])}, as the first line has.")
        rows.append(row)
    return rows


def step_of(row: Row) -> str:
    """Return what a line of metrics.jsonl counts: "total_epoch" in pre-training, "episode" in meta-training."""
    return "total_epoch" if "total_epoch" in row else "episode"


def complete(row: Row, where: str) -> Row:
    """Return a copy of the row with every field that was not recorded as None, and with emotions named.

    Args:
      row: one result; scores in [0, 1], confusion [classes][classes] counts, rows true, columns predicted.
      where: how messages call it.

    Raises:
      InputError: a required field is missing, or a field is not what it should be.
    """
    for field in REQUIRED:
        if row.get(field) is None:
            raise InputError(f"{where}: {field} is missing, expected each row to have {', '.join(REQUIRED)}.")
    row = dict.fromkeys(OPTIONAL) | row
    for field, upper in _RANGES.items():
        if row[field] is not None and not _is_number(row[field], upper):
            raise InputError(f"{where}: {field}: got {row[field]!r}, expected a number from 0 to {upper}, or null.")
    if type(row["seed"]) is not int:
        raise InputError(f"{where}: seed: got {row['seed']!r}, expected a whole number.")
    fold, folds = row["fold"], row["folds"]
    if (fold, folds) != (None, None) and not (type(fold) is type(folds) is int and 0 <= fold < folds):
        raise InputError(f"{where}: fold: got {fold!r} of folds {folds!r}, expected a number from 0 to folds - 1.")
    confusion, emotions = row["confusion"], row["emotions"]
    square = isinstance(confusion, list) and all(isinstance(r, list) and len(r) == len(confusion) for r in confusion)
    if not square or not confusion or not all(_is_number(c) for r in confusion for c in r):
        raise InputError(f"{where}: confusion: got {str(confusion)[:80]}, expected a square list of lists of counts.")
    if emotions is None and len(confusion) == len(FOUR_EMOTIONS):
        row["emotions"] = list(FOUR_EMOTIONS)
    elif not isinstance(emotions, list) or len(emotions) != len(confusion):
        raise InputError(f"{where}: emotions: got {emotions!r}, expected {len(confusion)} names, as confusion has.")
    return row


def completed(rows: Iterable[Row]) -> list[Row]:
    """Return `complete` for rows that did not come from a file."""
    return [complete(row, f"row {number}") for number, row in enumerate(rows, 1)]


def _json_lines(path: str | Path) -> Iterable[tuple[str, Row]]:
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}), expected a file of JSON lines.") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            row = None
        if not isinstance(row, dict):
            raise InputError(
                f"{where}: got {line[:60]!r}, expected a JSON object. A run that was killed leaves half a line; delete "
                "it."
            )
        yield where, row


def _is_number(value: Any, most: float = math.inf) -> bool:
    # NaN fails the comparison.
    return not isinstance(value, bool) and isinstance(value, int | float) and 0 <= value <= most
