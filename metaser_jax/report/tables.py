"""Tables of summaries. No number is shown without its spread and what that is over."""

import re
from collections import defaultdict
from collections.abc import Hashable, Sequence
from typing import Literal

from metaser_jax.errors import check_choice
from metaser_jax.results.series import ADAPT_NAMES, method_name, split_name, varying
from metaser_jax.results.summaries import Summary

SCORE_NAMES = {
    "macro_f1": "macro F1",
    "uar": "UAR",
    "accuracy": "accuracy",
    "weighted_f1": "weighted F1",
    "speaker_oracle_macro_f1": "speaker oracle",
}
MAIN_SCORES = ("macro_f1", "uar", "speaker_oracle_macro_f1")
STYLES = ("text", "markdown")
ABSENT = "not recorded"
OVER = "± over"
RIGHT_ALIGNED = ("shots", "fraction", OVER)
# A score in a cell, alone or before its spread or interval.
SCORE = re.compile(r"[+-]?\d\.\d{3}\b")


def table(
    summaries: Sequence[Summary],
    style: Literal["text", "markdown"] = "text",
    scores: Sequence[str] = MAIN_SCORES,
) -> str:
    """Return an aligned table, one line of it for each summary; the last line has no newline.

    Args:
      summaries: of `summarise`.
      style: "text" for a terminal, "markdown".
      scores: which of Summary's scores to show, in this order.

    Raises:
      InputError: unknown style.
    """
    check_choice("style", style, STYLES)
    header, body = cells(summaries, scores)
    return markdown_table(header, body) if style == "markdown" else text_table(header, body)


def best_of(
    header: Sequence[str], body: Sequence[Sequence[str]], columns: Sequence[str], groups: Sequence[Hashable] = ()
) -> frozenset[tuple[int, int]]:
    """Return (row, column) of the highest score of each of these columns, as they are printed: all that share it.

    Args:
      groups: of each row; only rows of one group are compared. Without it all are.
    """
    rows: dict[Hashable, list[int]] = defaultdict(list)
    for number in range(len(body)):
        rows[groups[number] if groups else None].append(number)
    found = set()
    for column in (header.index(name) for name in columns if name in header):
        for group in rows.values():
            scores = {row: float(m[0]) for row in group if (m := SCORE.match(body[row][column]))}
            # Alone in its group, nothing is the best.
            if len(scores) > 1:
                found |= {(row, column) for row, score in scores.items() if score == max(scores.values())}
    return frozenset(found)


def best_in_rows(body: Sequence[Sequence[str]], columns: Sequence[int]) -> frozenset[tuple[int, int]]:
    """Return (row, column) of the highest score of each row among these columns, as they are printed."""
    turned = list(zip(*body, strict=True))
    names = [str(row) for row in range(len(body))]
    found = best_of(names, [turned[column] for column in columns], names) if body else ()
    return frozenset((row, columns[number]) for number, row in found)


def markdown_table(header: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """Return an aligned Markdown table; bars and tags in cells are escaped."""
    body = [[cell.replace("|", "\\|").replace("<", "&lt;") for cell in line] for line in body]
    rule, *lines = _aligned(header, body)
    rule = [r[:-1] + ":" if name in RIGHT_ALIGNED else r for r, name in zip(rule, header, strict=True)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (lines[0], rule, *lines[1:]))


def text_table(header: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """Return an aligned table for a terminal."""
    rule, *lines = _aligned(header, body)
    return "\n".join("  ".join(line).rstrip() for line in (lines[0], rule, *lines[1:]))


def _aligned(header: Sequence[str], body: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return a rule, the header and the body, each column padded to its width."""
    # A Markdown rule needs three dashes.
    widths = [max(3, *map(len, column)) for column in zip(header, *body, strict=True)]
    right = [name in RIGHT_ALIGNED for name in header]
    padded = [
        [c.rjust(w) if r else c.ljust(w) for c, w, r in zip(line, widths, right, strict=True)]
        for line in (header, *body)
    ]
    return [["-" * w for w in widths], *padded]


def cells(summaries: Sequence[Summary], scores: Sequence[str] = MAIN_SCORES) -> tuple[list[str], list[list[str]]]:
    """Return header and body of `table`, not yet aligned.

    Sources and normalisation have a column only where they differ.
    """
    with_shots = {s.shots is not None for s in summaries}
    amount_header = "shots" if with_shots == {True} else "fraction" if with_shots == {False} else "training data"
    _, several_sources, several_normalise = varying(s.series for s in summaries)
    columns = {
        "method": lambda s: method_name(s.series),
        "target": lambda s: s.target,
        "split": lambda s: split_name(s.split, s.folds) or ABSENT,
        amount_header: lambda s: _amount_cell(s.shots, s.fraction, short=amount_header != "training data"),
        "adapt": lambda s: ADAPT_NAMES.get(s.series.adapt, s.series.adapt or "n/a"),
    }
    if several_sources:
        columns["sources"] = lambda s: " + ".join(s.series.sources) or "none"
    if several_normalise:
        columns["normalise"] = lambda s: s.series.normalise or ABSENT
    for score in scores:
        columns[SCORE_NAMES[score]] = lambda s, score=score: str(getattr(s, score) or ABSENT)
    columns[OVER] = lambda s: s.over
    return list(columns), [[cell(s) for cell in columns.values()] for s in summaries]


def _amount_cell(shots: int | None, fraction: float | None, short: bool = False) -> str:
    if shots is not None:
        return f"{shots:g}" if short else f"{shots:g} shots"
    if fraction is None:
        return "all"
    return f"{fraction:g}" if short else f"fraction {fraction:g}"
