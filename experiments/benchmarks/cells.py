"""Results that are kept one by one, a line of JSON per cell of a table: a call goes on where another stopped."""

import json
from pathlib import Path
from typing import Any

Cell = tuple[Any, ...]


class Results:
    """The file of a table's cells.

    Attributes:
      of: cell -> what was found.
    """

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        # A call that was ended while it wrote leaves half a line, whose cell is done again.
        self.of = {tuple(entry["cell"]): entry["found"] for line in lines if (entry := _entry(line))}

    def add(self, cell: Cell, found: dict[str, Any]) -> None:
        self.of[cell] = found
        ended = not self._path.exists() or self._path.read_bytes()[-1:] in (b"", b"\n")
        with self._path.open("a", encoding="utf-8") as file:
            file.write(("" if ended else "\n") + json.dumps({"cell": cell, "found": found}) + "\n")


def _entry(line: str) -> dict[str, Any] | None:
    try:
        return json.loads(line)
    except ValueError:
        return None


def table(columns: list[str], rows: list[list[str]]) -> list[str]:
    """The lines of a Markdown table."""
    return [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|", *(f"| {' | '.join(row)} |" for row in rows)]
