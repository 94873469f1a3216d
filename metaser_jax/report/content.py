"""What a report says, whatever its format: sections of paragraphs, tables, pictures and lists."""

import datetime
from collections.abc import Collection, Sequence
from typing import NamedTuple

from metaser_jax.report.tables import ABSENT, MAIN_SCORES, SCORE_NAMES, best_of, cells
from metaser_jax.results.environment import environment
from metaser_jax.results.rows import Row
from metaser_jax.results.series import split_name
from metaser_jax.results.summaries import Summary

OTHER_SCORES = ("accuracy", "weighted_f1")
ORACLE = "speaker_oracle_macro_f1"
EXPLANATIONS = (
    "Each score is the mean ± the sample standard deviation over draws: a draw is one seed, and where a split has "
    "folds, each of which is the test part once, the draw's score is the mean over them. One draw has no spread: a "
    "difference from it says little. The deviation says what other draws would give on the same speakers, and not what "
    "other speakers would.",
    "The speaker oracle guesses each speaker's most frequent training emotion and hears nothing. What it scores is "
    "what the split gives away by its speakers: on a random split, a score that does not exceed it is no evidence that "
    "emotion was recognised. On a speaker-disjoint split it can only guess the most frequent emotion.",
    "Chance is the macro F1 of guessing each emotion equally often. Bold is the highest mean of one target, split and "
    "amount of data, whether or not its difference from the others can be told from chance.",
)


class Picture(NamedTuple):
    """Attributes: name of the PNG, its bytes, width on a screen in CSS pixels, a sentence about it."""

    name: str
    data: bytes
    width: int
    caption: str


class Table(NamedTuple):
    """A table.

    Attributes:
      header: of its columns. body: rows of as many cells.
      name: what it shows, above it.
      best: (row, column) of what is bold, see tables.best_of.
      folded: whether a page shows it on demand only.
    """

    header: list[str]
    body: list[list[str]]
    name: str = ""
    best: frozenset[tuple[int, int]] = frozenset()
    folded: bool = False


class Bullets(NamedTuple):
    """A list of items."""

    items: tuple[str, ...]


class Code(NamedTuple):
    """Text in a fixed width. Attributes: text; name, of what it is."""

    text: str
    name: str = ""


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
    """Return the table of the main scores, and that of the others; the best of each place and amount is bold."""
    same = [(s.target, s.split, s.folds, s.shots, s.fraction) for s in summaries]
    main, others = (Table(*cells(summaries, scores)) for scores in (MAIN_SCORES, OTHER_SCORES))
    names = [SCORE_NAMES[name] for name in (*MAIN_SCORES, *OTHER_SCORES) if name != ORACLE]
    main, others = (t._replace(best=best_of(t.header, t.body, names, same)) for t in (main, others))
    for name, field in (("starts from", "start_size"), ("seconds", "seconds"), ("hardware", "device")):
        if any(getattr(s, field) is not None for s in summaries):
            others.header.append(name)
            for line, s in zip(others.body, summaries, strict=True):
                line.append(taken(getattr(s, field)))
    return narrowed(main, "Main scores"), narrowed(others, "Other scores, and what an adaptation takes")


def taken(value: float | str | None) -> str:
    """Return what an adaptation takes as text: numbers that it starts from, seconds, or a device."""
    if value is None:
        return ABSENT
    return value if isinstance(value, str) else f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


def narrowed(table: Table, name: str = "") -> Table:
    """Return the table without columns whose cells are all the same, which its name says instead."""
    if len(table.body) < 2:
        return table._replace(name=name)
    columns = list(zip(*table.body, strict=True))
    kept = [i for i, column in enumerate(columns) if len(set(column)) > 1]
    # A table whose rows are all alike stays as it is.
    if not kept:
        return table._replace(name=name)
    same = [f"{header} {columns[i][0]}" for i, header in enumerate(table.header) if i not in kept]
    place = {column: number for number, column in enumerate(kept)}
    return table._replace(
        header=[table.header[i] for i in kept],
        body=[[line[i] for i in kept] for line in table.body],
        name=f"{name}; in every row: {', '.join(same)}" if name and same else ", ".join(filter(None, (name, *same))),
        best=frozenset((row, place[column]) for row, column in table.best if column in place),
    )


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
    return Table(header, [[*line, _ranges(used)] for line, used in sorted(seeds.items())])


def _ranges(numbers: Collection[int]) -> str:
    """Return whole numbers with those that follow each other together: "0 to 9, 12"."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and number == found[-1][-1] + 1:
            found[-1].append(number)
        else:
            found.append([number])
    return ", ".join(f"{r[0]} to {r[-1]}" if len(r) > 2 else ", ".join(map(str, r)) for r in found)
