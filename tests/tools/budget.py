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
    docstrings: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        body = getattr(node, "body", None)
        for child in body if isinstance(body, list) else []:
            if isinstance(child, ast.Expr) and isinstance(getattr(child.value, "value", None), str):
                docstrings.update(range(child.lineno, child.end_lineno + 1))
    code: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _LAYOUT:
            code.update(range(token.start[0], token.end[0] + 1))
    return len(code - docstrings)


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
    now, over = measured(), 0
    for room, (code, files) in now.items():
        most_code, most_files = budget.get(room, [0, 0])
        if code > most_code or files > most_files:
            print(f"{room}: {code} lines of code in {files} files, expected at most {most_code} in {most_files}")
            over += 1
    if "--shrink" in sys.argv[1:]:
        kept = {room: [min(pair) for pair in zip(now[room], budget.get(room, now[room]), strict=True)] for room in now}
        head = "# Room = [lines of code, files], at most. They may shrink only (tests/tools/budget.py --shrink).\n"
        TABLE.write_text(head + "".join(f"{room} = {pair}\n" for room, pair in kept.items()), encoding="utf-8")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
