"""What a report says, whatever its format."""

from typing import NamedTuple

from metaser_jax.report.rows import Row
from metaser_jax.report.series import split_name
from metaser_jax.report.summaries import Summary
from metaser_jax.report.tables import ABSENT, MAIN_SCORES, cells

OTHER_SCORES = ("accuracy", "weighted_f1")
EXPLANATIONS = (
    "Each score is the mean ± the sample standard deviation over seeds. One seed has no spread: a difference from it "
    "says little. Where a split has folds, each is the test part once with each seed, and mean and deviation are over "
    "all of these: the deviation is then between speakers as well as between seeds.",
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
    header: list[str]
    body: list[list[str]]


class Content(NamedTuple):
    """Texts are plain, as the caller gave them: each format escapes them. An empty line in intro starts a paragraph."""

    title: str
    intro: str
    scores: Table
    other_scores: Table
    splits: Table
    pictures: tuple[Picture, ...]
    notes: tuple[str, ...]
    command: str
    facts: Table

    @property
    def paragraphs(self) -> list[str]:
        return [p.strip() for p in self.intro.split("\n\n") if p.strip()]


def score_tables(summaries: list[Summary]) -> tuple[Table, Table]:
    return Table(*cells(summaries, MAIN_SCORES)), Table(*cells(summaries, OTHER_SCORES))


def split_table(rows: list[Row]) -> Table:
    """Each split that the rows were scored on, once, with the seeds that it was used for."""
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
