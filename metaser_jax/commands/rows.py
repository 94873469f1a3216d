"""Formats of predictions: an aligned table, CSV, or a JSON object per recording."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from metaser_jax.data.together import Voice
    from metaser_jax.recogniser.predictor import Prediction

_WIDEST_NAME = 60
_SILENT = "(silent)"


class Rows(NamedTuple):
    """A format's rows; all texts end with a newline, or are empty.

    Attributes:
      header: what comes before the first row.
      of: (name of the recording, prediction, its voice where it was labelled together) -> its row, or rows.
      failed: (name, reason) -> the row of a recording that could not be read.
    """

    header: str
    of: Callable[[str, Prediction, Voice | None], str]
    failed: Callable[[str, str], str]


def make_rows(
    format: str, emotions: Sequence[str], names: Sequence[str], *, track: bool, together: bool = False
) -> Rows:
    """Return the rows of "table", "csv" or "json".

    Args:
      emotions: the classes, in the order of the probabilities.
      names: of all recordings that will come, for the width of a column.
      track: whether table and CSV have a row per window; JSON has both.
      together: whether CSV has a column for which recordings were labelled together; JSON always has it.
    """
    if format == "table":
        return _table(emotions, names, track)
    return _csv(emotions, track, together) if format == "csv" else _json(emotions)


def _table(emotions: Sequence[str], names: Sequence[str], track: bool) -> Rows:
    widest = min(max((len(_printable(name)) for name in names), default=4), _WIDEST_NAME)
    of_label = max(len(_SILENT), *map(len, emotions))
    columns = "  ".join([f"{{:<{widest}}}  {{:<{of_label}}}", *(f"{{:>{max(4, len(e))}}}" for e in emotions)])
    line = f"{columns}  {{:>7}}  {{:>7}}\n".format

    def of(name: str, prediction: Prediction, voice: Voice | None) -> str:
        return "".join(
            line(_printable(name), label or _SILENT, *(f"{p:.2f}" for p in shares), f"{start:.2f}", f"{end:.2f}")
            for label, shares, start, end, _ in _lines(emotions, prediction, track)
        )

    # What is wrong with a recording is on stderr; a table is for eyes.
    return Rows(line("file", "emotion", *emotions, "start s", "end s"), of, lambda name, reason: "")


def _csv(emotions: Sequence[str], track: bool, together: bool) -> Rows:
    def text(*row: Any) -> str:
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerow(row)
        return out.getvalue()

    def of(name: str, prediction: Prediction, voice: Voice | None) -> str:
        beside = ["false" if voice is None else "true"] * together
        return "".join(
            text(
                *(name, label, *(f"{p:.6f}" for p in shares), f"{start:.3f}", f"{end:.3f}"),
                *([int(silent)] * track + beside),
                "",
            )
            for label, shares, start, end, silent in _lines(emotions, prediction, track)
        )

    header = text("file", "label", *emotions, "start", "end", *["silent"] * track, *["together"] * together, "error")
    empty = [""] * (len(emotions) + 3 + track + together)
    return Rows(header, of, lambda name, reason: text(name, *empty, reason))


def _json(emotions: Sequence[str]) -> Rows:
    def text(**fields: Any) -> str:
        return json.dumps(fields, ensure_ascii=False) + "\n"

    def shares(probabilities: np.ndarray) -> dict[str, float]:
        return {emotion: round(float(p), 6) for emotion, p in zip(emotions, probabilities, strict=True)}

    def of(name: str, prediction: Prediction, voice: Voice | None) -> str:
        track = [
            {**_span(window), "silent": window.silent, "probabilities": shares(window.probabilities)}
            for window in prediction.track
        ]
        found: dict[str, Any] = {"label": prediction.label, "probabilities": shares(prediction.probabilities)}
        found["together"] = voice is not None
        if voice is not None:
            mix = {emotion: round(share, 6) for emotion, share in voice.mix.items()}
            found["voice"] = {"name": voice.name, "clips": voice.clips, "mix": mix, "doubts": list(voice.doubts)}
        return text(file=name, **found, **_span(prediction), notes=list(prediction.notes), track=track)

    return Rows("", of, lambda name, reason: text(file=name, error=reason))


def _lines(emotions: Sequence[str], prediction: Prediction, track: bool) -> Iterator[tuple]:
    """Yield label ("" of a silent window), probabilities, start, end, silent: of the recording, or of each window."""
    if not track:
        yield prediction.label, prediction.probabilities, prediction.start, prediction.end, False
        return
    for window in prediction.track:
        label = "" if window.silent else emotions[int(window.probabilities.argmax())]
        yield label, window.probabilities, window.start, window.end, window.silent


def _span(of: Any) -> dict[str, float]:
    return {"start": round(of.start, 3), "end": round(of.end, 3)}


def _printable(name: str) -> str:
    """Return a name in one line: a terminal would obey the control characters in it."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)
