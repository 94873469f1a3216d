"""Tables of summaries. No number is shown without its spread and what that is over."""

from collections.abc import Callable, Collection, Sequence
from itertools import groupby
from typing import Literal

from metaser_jax.errors import check_choice
from metaser_jax.report.content import ABSENT, OVER, Table, narrowed, table_of
from metaser_jax.report.text_page import markdown_table, text_table
from metaser_jax.results.rows import ADAPT_NAMES, Row, method_name, split_name, varying
from metaser_jax.results.summary import Summary

SCORE_NAMES = {
    "macro_f1": "macro F1",
    "uar": "UAR",
    "accuracy": "accuracy",
    "weighted_f1": "weighted F1",
    "speaker_oracle_macro_f1": "speaker oracle",
}
ORACLE = SCORE_NAMES["speaker_oracle_macro_f1"]
MAIN_SCORES = ("macro_f1", "uar", "speaker_oracle_macro_f1")
OTHER_SCORES = ("accuracy", "weighted_f1")


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
    aligned = {"text": text_table, "markdown": markdown_table}
    shown = table_of(_columns(summaries, scores), summaries)
    return aligned[check_choice("style", style, aligned)](shown.header, shown.body)


def score_tables(summaries: Sequence[Summary]) -> tuple[Table, Table]:
    """Return the table of the main scores, and that of the others; the best of each place and amount is bold."""
    same = [(s.place, s.amount) for s in summaries]
    best = [name for name in SCORE_NAMES.values() if name != ORACLE]
    others = _columns(summaries, OTHER_SCORES)
    others |= {name: cell for name, cell in costs().items() if any(cell(s) != ABSENT for s in summaries)}
    return (
        narrowed(table_of(_columns(summaries, MAIN_SCORES), summaries, "", best, same), "Main scores"),
        narrowed(table_of(others, summaries, "", best, same), "Other scores, and what an adaptation takes"),
    )


def _columns(summaries: Sequence[Summary], scores: Sequence[str]) -> dict[str, Callable[[Summary], str]]:
    """Return the columns; sources and normalisation have one only where they differ."""
    with_shots = {s.shots is not None for s in summaries}
    amounts = "shots" if with_shots == {True} else "fraction" if with_shots == {False} else "training data"
    _, several_sources, several_normalise = varying(s.series for s in summaries)

    def amount(s: Summary) -> str:
        if s.shots is None and s.fraction is None:
            return "all"
        if amounts != "training data":
            return f"{s.amount[1]:g}"
        return f"fraction {s.fraction:g}" if s.shots is None else f"{s.shots:g} shots"

    columns: dict[str, Callable[[Summary], str]] = {
        "method": lambda s: method_name(s.series),
        "target": lambda s: s.target,
        "split": lambda s: split_name(s.split, s.folds) or ABSENT,
        amounts: amount,
        "adapt": lambda s: ADAPT_NAMES.get(s.series.adapt or "", s.series.adapt or "n/a"),
    }
    if several_sources:
        columns["sources"] = lambda s: " + ".join(s.series.sources) or "none"
    if several_normalise:
        columns["normalise"] = lambda s: s.series.normalise or ABSENT
    for score in scores:
        columns[SCORE_NAMES[score]] = lambda s, score=score: str(getattr(s, score) or ABSENT)
    return columns | {OVER: lambda s: s.over}


def costs() -> dict[str, Callable[[Summary], str]]:
    """Return the columns of what an adaptation takes: numbers that it starts from, seconds, and the hardware."""
    return {
        "starts from": lambda s: ABSENT if s.start_size is None else f"{s.start_size:,}",
        "seconds": lambda s: ABSENT if s.seconds is None else f"{s.seconds:.3f}",
        "hardware": lambda s: s.device or ABSENT,
    }


def split_table(rows: Sequence[Row]) -> Table:
    """Return each split that the rows were scored on, once, with the seeds that it was used for."""
    seeds: dict[tuple[str, ...], set[int]] = {}
    for row in rows:
        test = ABSENT if row["n_test"] is None else str(row["n_test"])
        labels = " + ".join(str(row[n]) for n in ("n_train", "n_valid") if row[n]) or ABSENT
        split = split_name(row["split"], row["folds"]) or ABSENT
        if row["folds"]:
            split += f": fold {row['fold']}"
        seeds.setdefault((row["target"], split, labels, test, row["split_digest"] or ABSENT), set()).add(row["seed"])
    header = ["target", "split", "labels: train + valid", "test utterances", "digest of the split", "used for seeds"]
    return Table(header, [[*line, _ranges(used)] for line, used in sorted(seeds.items())])


def _ranges(numbers: Collection[int]) -> str:
    """Return whole numbers with those that follow each other together: "0 to 9, 12"."""
    # Numbers that follow each other are as far ahead of their places.
    parts = groupby(enumerate(sorted(numbers)), lambda at: at[1] - at[0])
    found = [[number for _, number in part] for _, part in parts]
    return ", ".join(f"{r[0]} to {r[-1]}" if len(r) > 2 else ", ".join(map(str, r)) for r in found)
