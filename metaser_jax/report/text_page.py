"""A report's text for a terminal; pictures are named only."""

import textwrap

from metaser_jax.report.content import Block, Bullets, Code, Content, Picture, Table
from metaser_jax.report.tables import text_table

# A column is not wrapped to less.
_NARROWEST = 20


def text_page(content: Content, width: int = 100) -> str:
    """Return the page as text; all but code is wrapped at `width`, of a table its widest column."""
    blocks = [content.title, *(textwrap.fill(p, width) for p in content.paragraphs)]
    for section in content.sections:
        blocks += [f"{section.heading}\n{'-' * len(section.heading)}", *(_block(b, width) for b in section.blocks)]
    return "\n\n".join(blocks) + "\n"


def _block(block: Block, width: int) -> str:
    match block:
        case Table():
            name = f"{textwrap.fill(block.name, width)}\n\n" if block.name else ""
            return name + _table(block, width)
        case Picture():
            return f"[{block.name}: {block.caption}]"
        case Bullets():
            return "\n".join(
                textwrap.fill(item, width, initial_indent="- ", subsequent_indent="  ") for item in block.items
            )
        case Code():
            name = f"{block.name}\n\n" if block.name else ""
            return name + textwrap.indent(block.text, "    ")
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
