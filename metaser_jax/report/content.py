"""Content of a report, whatever its format: sections of paragraphs, tables, pictures and lists."""

import datetime
import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from metaser_jax.results.run_dir import environment

ABSENT = "not recorded"
OVER = "± over"
RIGHT_ALIGNED = ("shots", "fraction", OVER)
# A score in a cell, alone or before its spread or interval.
SCORE = re.compile(r"[+-]?\d\.\d{3}\b")
T = TypeVar("T")


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
      best: (row, column) of what is bold, see best_of.
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


def bullets_section(heading: str, items: Iterable[str]) -> tuple[Section, ...]:
    """Return a section with a list, or no section where there are no items."""
    items = tuple(items)
    return (Section(heading, (Bullets(items),)),) if items else ()


def run_section(command: str, device: str | None = None) -> Section:
    """Return what was run, when, with which versions.

    Args:
      command: what the user ran.
      device: what ran it; by default the devices that jax sees here.
    """
    date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    facts = [["date", date], *map(list, environment(device).items())]
    return Section("What was run", (Code(command), Table(["what", "when this report was written"], facts)))


def table_of(
    columns: Mapping[str, Callable[[T], str]],
    items: Iterable[T],
    name: str = "",
    best: Sequence[str] = (),
    groups: Sequence[Hashable] = (),
) -> Table:
    """Return a table with a row for each item.

    Args:
      columns: header -> item -> its cell.
      best: columns whose highest score is bold. groups: as best_of's.
    """
    header, body = list(columns), [[cell(item) for cell in columns.values()] for item in items]
    return Table(header, body, name, best_of(header, body, best, groups))


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


def narrowed(table: Table, name: str = "") -> Table:
    """Return the table without columns whose cells are all the same, which its name says instead."""
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
