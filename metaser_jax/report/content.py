"""What a report says, whatever its format: sections of paragraphs, tables, pictures and lists."""

import datetime
from collections.abc import Sequence
from typing import NamedTuple

from metaser_jax.report.tables import ABSENT, MAIN_SCORES, cells
from metaser_jax.results.environment import environment
from metaser_jax.results.rows import Row
from metaser_jax.results.series import split_name
from metaser_jax.results.summaries import Summary

OTHER_SCORES = ("accuracy", "weighted_f1")
EXPLANATIONS = (
    "Each score is the mean ± the sample standard deviation over draws: a draw is one seed, and where a split has "
    "folds, each of which is the test part once, the draw's score is the mean over them. One draw has no spread: a "
    "difference from it says little. The deviation says what other draws would give on the same speakers, and not what "
    "other speakers would.",
    "The speaker oracle guesses each speaker's most frequent training emotion and hears nothing. What it scores is "
    "what the split gives away by its speakers: on a random split, a score that does not exceed it is no evidence that "
    "emotion was recognised. On a speaker-disjoint split it can only guess the most frequent emotion.",
    "Chance is the macro F1 of guessing each emotion equally often.",
)


class Picture(NamedTuple):
    """Attributes: name of the PNG, its bytes, width on a screen in CSS pixels, a sentence about it."""

    name: str
    data: bytes
    width: int
    caption: str


class Table(NamedTuple):
    """A table: its header, and rows of as many cells."""

    header: list[str]
    body: list[list[str]]


class Bullets(NamedTuple):
    """A list of items."""

    items: tuple[str, ...]


class Code(NamedTuple):
    """Text in a fixed width."""

    text: str


Block = str | Table | Picture | Bullets | Code


class Section(NamedTuple):
    """A heading and what is below it, in that order; a str is a paragraph."""

    heading: str
    blocks: tuple[Block, ...]


class Content(NamedTuple):
    """Texts are plain, as the caller gave them: each format escapes them. An empty line in intro starts a paragraph."""

    title: str
    intro: str
    sections: tuple[Section, ...]

    @property
    def paragraphs(self) -> list[str]:
        """The introduction, paragraph by paragraph."""
        return [p.strip() for p in self.intro.split("\n\n") if p.strip()]


def notes_section(notes: Sequence[str]) -> tuple[Section, ...]:
    """Return the section of notes, or no section."""
    return (Section("Notes", (Bullets(tuple(notes)),)),) if notes else ()


def run_section(command: str, device: str | None = None) -> Section:
    """Return what was run, when, with which versions.

    Args:
      command: what the user ran.
      device: what ran it; by default the devices that jax sees here.
    """
    date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    facts = [["date", date], *map(list, environment(device).items())]
    return Section("What was run", (Code(command), Table(["what", "when this report was written"], facts)))


def score_tables(summaries: list[Summary]) -> tuple[Table, Table]:
    """Return the table of the main scores, and that of the others."""
    return Table(*cells(summaries, MAIN_SCORES)), Table(*cells(summaries, OTHER_SCORES))


def split_table(rows: list[Row]) -> Table:
    """Return each split that the rows were scored on, once, with the seeds that it was used for."""
    seeds: dict[tuple, set[int]] = {}
    for row in rows:
        test = ABSENT if row["n_test"] is None else str(row["n_test"])
        labels = " + ".join(str(row[n]) for n in ("n_train", "n_valid") if row[n]) or ABSENT
        split = split_name(row["split"], row["folds"]) or ABSENT
        if row["folds"]:
            split += f": fold {row['fold']}"
        line = row["target"], split, labels, test, row["split_digest"] or ABSENT
        seeds.setdefault(line, set()).add(row["seed"])
    header = [
        "target",
        "split",
        "labels: train + valid",
        "test utterances",
        "digest of the split",
        "used for seeds",
    ]
    return Table(header, [[*line, ", ".join(map(str, sorted(used)))] for line, used in sorted(seeds.items())])
