"""A report as Markdown, with its pictures beside it."""

from metaser_jax.report.content import Block, Bullets, Code, Content, Picture, Table
from metaser_jax.report.tables import markdown_table

# A backslash before these makes them plain in every dialect; _ between letters is plain already, and reads better bare.
_SPECIAL = str.maketrans({c: f"\\{c}" for c in "\\`*[]<>#|"})


def markdown_page(content: Content) -> str:
    """Return the page as Markdown; pictures are files beside it."""
    blocks = [f"# {_plain(content.title)}", *map(_plain, content.paragraphs)]
    for section in content.sections:
        blocks += [f"## {_plain(section.heading)}", *map(_block, section.blocks)]
    return "\n\n".join(blocks) + "\n"


def _block(block: Block) -> str:
    match block:
        case Table():
            body = [
                [f"**{cell}**" if (i, j) in block.best else cell for j, cell in enumerate(line)]
                for i, line in enumerate(block.body)
            ]
            name = f"{_plain(block.name)}:\n\n" if block.name else ""
            return name + markdown_table(block.header, body)
        case Picture():
            return f"![{_plain(block.caption)}]({block.name})"
        case Bullets():
            return "\n".join(f"- {_plain(item)}" for item in block.items)
        case Code():
            name = f"{_plain(block.name)}:\n\n" if block.name else ""
            return name + "\n".join(f"    {line}" for line in block.text.splitlines())
        case str():
            return _plain(block)


def _plain(text: str) -> str:
    return " ".join(text.split()).translate(_SPECIAL)
