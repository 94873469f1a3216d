"""A report's tables for a paper: LaTeX with booktabs, the best in bold, ± as measured.

Our own few lines: pandas' Styler, which does the same, would bring pandas and Jinja for them.
"""

import re

from metaser_jax.report.content import Content, Table

_HEAD = """\
% The tables of: {title}
% In the preamble: \\usepackage{{booktabs}}{long}
"""
_SPECIAL = {
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{c: f"${c}$" for c in "<>|"},
    "±": r"$\pm$",
    "\u00d7": r"$\times$",
}
_NUMBER = re.compile(r"^[+-]?\d[\d,]*(\.\d+)?( ± \d+(\.\d+)?)?$")
# Sizes of a page: what is longer goes over pages, a longer text over lines.
_LONG_TABLE, _LONG_TEXT = 45, 50


def latex_page(content: Content) -> str:
    """Return every table of a report, each with its caption and label, to be pasted into a paper."""
    tables = [
        (section.heading, block) for section in content.sections for block in section.blocks if isinstance(block, Table)
    ]
    long = ", \\usepackage{longtable}" if any(len(table.body) > _LONG_TABLE for _, table in tables) else ""
    head = _HEAD.format(title=" ".join(content.title.split()), long=long)
    return "\n".join([head, *(latex_table(table, name, number) for number, (name, table) in enumerate(tables, 1))])


def latex_table(table: Table, heading: str, number: int) -> str:
    """Return one table; heading: of its section, before its name in the caption; number: of its label."""
    caption = ": ".join(filter(None, (heading, table.name)))
    columns = "".join(map(_column, zip(*table.body, strict=True))) if table.body else "l" * len(table.header)
    header = [*("\\toprule", _line(map(_text, table.header)), "\\midrule")]
    body = [
        _line(_cell(cell, (i, j) in table.best) for j, cell in enumerate(line)) for i, line in enumerate(table.body)
    ]
    named = f"\\caption{{{_text(caption)}}}\\label{{tab:{number}}}"
    if len(table.body) > _LONG_TABLE:
        first = [f"\\begin{{longtable}}{{{columns}}}", f"{named}\\\\", *header, "\\endhead"]
        return "\n".join([*first, *body, "\\bottomrule", "\\end{longtable}", ""])
    start = ["\\begin{table}", "\\centering", named, f"\\begin{{tabular}}{{{columns}}}"]
    return "\n".join([*start, *header, *body, "\\bottomrule", "\\end{tabular}", "\\end{table}", ""])


def _column(cells: tuple[str, ...]) -> str:
    if max(map(len, cells)) > _LONG_TEXT:
        return r"p{0.5\linewidth}"
    return "r" if all(_NUMBER.match(cell) or not cell for cell in cells) else "l"


def _line(cells) -> str:
    return " & ".join(cells) + r" \\"


def _cell(cell: str, best: bool) -> str:
    if _NUMBER.match(cell):
        # A minus, and not a hyphen; a comma of thousands is no list.
        number = cell.replace("±", r"\pm").replace(",", "{,}")
        return f"$\\mathbf{{{number}}}$" if best else f"${number}$"
    return f"\\textbf{{{_text(cell)}}}" if best else _text(cell)


def _text(text: str) -> str:
    # A negative number within words, an interval say.
    escaped = "".join(_SPECIAL.get(c, c) for c in " ".join(text.split()))
    return re.sub(r"(?<![\w.)-])([+-]\d[\d.]*)", r"$\1$", escaped)
