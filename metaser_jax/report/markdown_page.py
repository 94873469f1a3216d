"""A report as Markdown, with its pictures beside it."""

from metaser_jax.report.content import EXPLANATIONS, Content
from metaser_jax.report.tables import markdown_table

# A backslash before these makes them plain in every dialect; _ between letters is plain already, and reads better bare.
_SPECIAL = str.maketrans({c: f"\\{c}" for c in "\\`*[]<>#|"})


def markdown_page(content: Content) -> str:
    command = "\n".join(f"    {line}" for line in content.command.splitlines())
    blocks = [
        f"# {_plain(content.title)}",
        *map(_plain, content.paragraphs),
        "## Results",
        markdown_table(*content.scores),
        *EXPLANATIONS,
        *(f"![{picture.caption}]({picture.name})" for picture in content.pictures),
        *(("## Notes", "\n".join(f"- {_plain(note)}" for note in content.notes)) if content.notes else ()),
        "## Other scores",
        markdown_table(*content.other_scores),
        "## Splits",
        markdown_table(*content.splits),
        "## What was run",
        command,
        markdown_table(*content.facts),
    ]
    return "\n\n".join(blocks) + "\n"


def _plain(text: str) -> str:
    return " ".join(text.split()).translate(_SPECIAL)
