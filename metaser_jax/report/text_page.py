"""A report's text for a terminal; pictures are named only."""

import textwrap

from metaser_jax.report.content import Block, Bullets, Code, Content, Picture, Table
from metaser_jax.report.tables import text_table


def text_page(content: Content, width: int = 100) -> str:
    """Paragraphs are wrapped at `width`, tables are as wide as they are."""
    blocks = [content.title, *(textwrap.fill(p, width) for p in content.paragraphs)]
    for section in content.sections:
        blocks += [f"{section.heading}\n{'-' * len(section.heading)}", *(_block(b, width) for b in section.blocks)]
    return "\n\n".join(blocks) + "\n"


def _block(block: Block, width: int) -> str:
    match block:
        case Table():
            return text_table(*block)
        case Picture():
            return f"[{block.name}: {block.caption}]"
        case Bullets():
            return "\n".join(
                textwrap.fill(item, width, initial_indent="- ", subsequent_indent="  ") for item in block.items
            )
        case Code():
            return textwrap.indent(block.text, "    ")
        case str():
            return textwrap.fill(block, width)
