"""A report as text for a terminal, whose pictures are named only, and as Markdown, with its pictures beside it."""

import textwrap
from collections.abc import Sequence

from metaser_jax.report.content import RIGHT_ALIGNED, Block, Bullets, Code, Content, Picture, Table

# A column is not wrapped to less.
_NARROWEST = 20
# A backslash before these makes them plain in every dialect; _ between letters is plain already, and reads better bare.
_SPECIAL = str.maketrans({c: f"\\{c}" for c in "\\`*[]<>#|"})


def text_page(content: Content, width: int = 100) -> str:
    """Return the page as text; all but code is wrapped at `width`, of a table its widest column."""
    blocks = [content.title, *(textwrap.fill(p, width) for p in content.paragraphs)]
    for section in content.sections:
        blocks += [f"{section.heading}\n{'-' * len(section.heading)}", *(_text(b, width) for b in section.blocks)]
    return "\n\n".join(blocks) + "\n"


def _text(block: Block, width: int) -> str:
    match block:
        case Table(name=name):
            return (f"{textwrap.fill(name, width)}\n\n" if name else "") + _table(block, width)
        case Picture():
            return f"[{block.name}: {block.caption}]"
        case Bullets():
            items = (textwrap.fill(i, width, initial_indent="- ", subsequent_indent="  ") for i in block.items)
            return "\n".join(items)
        case Code(name=name):
            return (f"{name}\n\n" if name else "") + textwrap.indent(block.text, "    ")
        case str():
            return textwrap.fill(block, width)


def _table(table: Table, width: int) -> str:
    widths = [max(3, *map(len, column)) for column in zip(table.header, *table.body, strict=True)]
    widest = widths.index(max(widths))
    left = max(_NARROWEST, widths[widest] - (sum(widths) + 2 * (len(widths) - 1) - width))
    body = []
    for line in table.body:
        first, *rest = textwrap.wrap(line[widest], left) or [""]
        body.append([*line[:widest], first, *line[widest + 1 :]])
        body += [[""] * widest + [part] + [""] * (len(line) - widest - 1) for part in rest]
    return text_table(table.header, body)


def markdown_page(content: Content) -> str:
    """Return the page as Markdown; pictures are files beside it."""
    blocks = [f"# {_plain(content.title)}", *map(_plain, content.paragraphs)]
    for section in content.sections:
        blocks += [f"## {_plain(section.heading)}", *map(_markdown, section.blocks)]
    return "\n\n".join(blocks) + "\n"


def _markdown(block: Block) -> str:
    match block:
        case Table(name=name):
            body = [list(line) for line in block.body]
            for i, j in block.best:
                body[i][j] = f"**{body[i][j]}**"
            return (f"{_plain(name)}:\n\n" if name else "") + markdown_table(block.header, body)
        case Picture():
            return f"![{_plain(block.caption)}]({block.name})"
        case Bullets():
            return "\n".join(f"- {_plain(item)}" for item in block.items)
        case Code(name=name):
            code = "\n".join(f"    {line}" for line in block.text.splitlines())
            return (f"{_plain(name)}:\n\n" if name else "") + code
        case str():
            return _plain(block)


def _plain(text: str) -> str:
    return " ".join(text.split()).translate(_SPECIAL)


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
