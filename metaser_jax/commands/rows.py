"""How predictions are printed: as an aligned table, as CSV, or as a JSON object per recording."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from metaser_jax.errors import check_choice

if TYPE_CHECKING:
    from metaser_jax.recogniser.predictor import Prediction

_WIDEST_NAME = 60
_SILENT = "(silent)"


class Rows(NamedTuple):
    """How a format shows its rows; all texts end with a newline, or are empty.

    Attributes:
      header: what comes before the first row.
      of: (name of the recording, prediction) -> its row, or rows.
      failed: (name, reason) -> the row of a recording that could not be read.
    """

    header: str
    of: Callable[[str, Prediction], str]
    failed: Callable[[str, str], str]


def make_rows(format: str, emotions: Sequence[str], names: Sequence[str], *, track: bool) -> Rows:
    """Return the rows of "table", "csv" or "json".

    Args:
      emotions: the classes, in the order of the probabilities.
      names: of all recordings that will come, for the width of a column.
      track: whether table and CSV have a row per window; JSON has both.

    Raises:
      InputError: unknown format.
    """
    make = {"table": _table, "csv": _csv, "json": _json}
    return make[check_choice("--format", format, make)](emotions, names, track)


def _table(emotions: Sequence[str], names: Sequence[str], track: bool) -> Rows:
    widest = min(max((len(_shown(name)) for name in names), default=4), _WIDEST_NAME)
    of_label = max(len(_SILENT), *map(len, emotions))
    of_class = [max(4, len(emotion)) for emotion in emotions]

    def line(name: str, label: str, numbers: Sequence[str], start: str, end: str) -> str:
        columns = [c.rjust(w) for c, w in zip(numbers, of_class, strict=True)]
        return "  ".join([name.ljust(widest), label.ljust(of_label), *columns, start.rjust(7), end.rjust(7)]) + "\n"

    def of(name: str, prediction: Prediction) -> str:
        return "".join(
            line(_shown(name), label or _SILENT, [f"{p:.2f}" for p in shares], f"{start:.2f}", f"{end:.2f}")
            for label, shares, start, end, _ in _lines(emotions, prediction, track)
        )

    # What is wrong with a recording is on stderr; a table is for eyes.
    return Rows(line("file", "emotion", list(emotions), "start s", "end s"), of, lambda name, reason: "")


def _csv(emotions: Sequence[str], names: Sequence[str], track: bool) -> Rows:
    del names

    def text(row: Sequence[Any]) -> str:
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerow(row)
        return out.getvalue()

    def of(name: str, prediction: Prediction) -> str:
        return "".join(
            text(
                [name, label, *(f"{p:.6f}" for p in shares), f"{start:.3f}", f"{end:.3f}", *([int(silent)] * track), ""]
            )
            for label, shares, start, end, silent in _lines(emotions, prediction, track)
        )

    more = ["silent"] if track else []
    return Rows(
        text(["file", "label", *emotions, "start", "end", *more, "error"]),
        of,
        lambda name, reason: text([name, "", *[""] * len(emotions), "", "", *[""] * track, reason]),
    )


def _json(emotions: Sequence[str], names: Sequence[str], track: bool) -> Rows:
    del names, track

    def shares(probabilities: np.ndarray) -> dict[str, float]:
        return {emotion: round(float(p), 6) for emotion, p in zip(emotions, probabilities, strict=True)}

    def of(name: str, prediction: Prediction) -> str:
        windows = [
            {**_span(window.start, window.end), "silent": window.silent, "probabilities": shares(window.probabilities)}
            for window in prediction.track
        ]
        found = {"label": prediction.label, "probabilities": shares(prediction.probabilities)}
        span, notes = _span(prediction.start, prediction.end), list(prediction.notes)
        return _object({"file": name, **found, **span, "notes": notes, "track": windows})

    return Rows("", of, lambda name, reason: _object({"file": name, "error": reason}))


def _lines(emotions: Sequence[str], prediction: Prediction, track: bool) -> Iterator[tuple]:
    """Return label ("" of a silent window), probabilities, start, end, silent: of the recording, or of each window."""
    if not track:
        yield prediction.label, prediction.probabilities, prediction.start, prediction.end, False
        return
    for window in prediction.track:
        label = "" if window.silent else emotions[int(window.probabilities.argmax())]
        yield label, window.probabilities, window.start, window.end, window.silent


def _span(start: float, end: float) -> dict[str, float]:
    return {"start": round(start, 3), "end": round(end, 3)}


def _object(values: dict[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=False) + "\n"


def _shown(name: str) -> str:
    """Return a name in one line: a terminal would obey the control characters in it."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)
