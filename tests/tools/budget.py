"""The budget of lines: no room of the package, nor the tests, may grow beyond its line in budget.toml (`make lint`).

A line of code is one that is not blank, not a comment and not a docstring. `--shrink` writes what rooms have become
smaller by; to let a room grow, edit its line, and say in the commit what for.
"""

import ast
import io
import sys
import tokenize
import tomllib
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TABLE = Path(__file__).with_name("budget.toml")
_LAYOUT = (tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER, tokenize.COMMENT)


def code_lines(source: str) -> int:
    """Return the number of lines of code in a module."""
    code: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _LAYOUT:
            code.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(getattr(node.value, "value", None), str):
            code.difference_update(range(node.lineno, node.end_lineno + 1))
    return len(code)


def measured() -> dict[str, list[int]]:
    """Return [lines of code, files] of each room; modules directly in the package are the ground."""
    lines, files = Counter(), Counter()
    for path in sorted(file for top in ("metaser_jax", "tests", "experiments") for file in (ROOT / top).rglob("*.py")):
        top, *folders = path.relative_to(ROOT).parts[:-1]
        room = top if top != "metaser_jax" else folders[0] if folders else "ground"
        lines[room] += code_lines(path.read_text(encoding="utf-8"))
        files[room] += 1
    return {room: [lines[room], files[room]] for room in sorted(lines)}


def main() -> int:
    """Print each room that is over its budget; return the exit status."""
    budget = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    now = measured()
    most = {room: budget.get(room, [0, 0]) for room in now}
    over = [room for room in now if now[room][0] > most[room][0] or now[room][1] > most[room][1]]
    for room in over:
        print(f"{room}: {now[room]} lines of code and files, expected at most {most[room]}")
    if "--shrink" in sys.argv[1:]:
        kept = {room: [*map(min, now[room], budget.get(room, now[room]))] for room in now}
        head = "# Room = [lines of code, files], at most. They may shrink only (tests/tools/budget.py --shrink).\n"
        TABLE.write_text(head + "".join(f"{room} = {pair}\n" for room, pair in kept.items()), encoding="utf-8")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
