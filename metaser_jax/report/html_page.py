"""A report as one HTML file: pictures and style are in it, it refers to nothing outside and runs nothing.

Landmarks, a table of contents, tables that scroll by keyboard, and colours by what the reader's system asks for, light
or dark; on paper is what the screen shows, folded tables if they are opened. tests/report/test_report_browser.py looks
at it in Chromium, with axe.
"""

import base64
import importlib.resources
import re
from collections.abc import Sequence
from html import escape

from metaser_jax.report.content import RIGHT_ALIGNED, SCORE, Block, Bullets, Code, Content, Picture, Section, Table

_FILES = importlib.resources.files("metaser_jax.report")
# A text that is longer may wrap; a shorter name does not.
_LONG, _NAME = 40, 34


def html_page(content: Content) -> str:
    """Return a self-contained page: pictures are in it, and nothing is fetched."""
    ids = _ids([section.heading for section in content.sections])
    sections = list(zip(ids, content.sections, strict=True))
    items = "".join(f'<li><a href="#{id_}">{escape(section.heading)}</a></li>' for id_, section in sections)
    contents = f'<nav aria-labelledby="contents"><h2 id="contents">Contents</h2><ul>{items}</ul></nav>'
    main = [
        *([contents] if len(content.sections) > 1 else []),
        *("<main>", *(_element("p", paragraph) for paragraph in content.paragraphs)),
        *(*(_section(id_, section) for id_, section in sections), "</main>"),
    ]
    page, style = (_FILES.joinpath(name).read_text(encoding="utf-8") for name in ("page.html", "page.css"))
    return page.format(title=escape(content.title), style=style, main="\n".join(main))


def _ids(headings: Sequence[str]) -> list[str]:
    """Return an id for each heading, of its letters and digits; the same heading again gets a number."""
    found: list[str] = []
    for number, heading in enumerate(headings):
        plain = re.sub(r"\W+", "-", heading.lower()).strip("-") or "section"
        found.append(plain if plain not in (*found, "contents") else f"{plain}-{number}")
    return found


def _section(id_: str, section: Section) -> str:
    blocks = "\n".join(_block(block, section.heading) for block in section.blocks)
    return f'<section>\n<h2 id="{id_}">{escape(section.heading)}</h2>\n{blocks}\n</section>'


def _block(block: Block, heading: str) -> str:
    match block:
        case Table():
            return _table(block, heading)
        case Picture():
            return _picture(block)
        case Bullets():
            return "\n".join(["<ul>", *(_element("li", item) for item in block.items), "</ul>"])
        case Code():
            name = _element("p", f"{block.name}:") if block.name else ""
            return name + _element("pre", block.text)
        case str():
            return _element("p", block)


def _element(tag: str, text: str, kind: str = "", **attributes: str) -> str:
    given = {**({"class": kind} if kind else {}), **attributes}
    inside = "".join(f' {name}="{value}"' for name, value in given.items())
    return f"<{tag}{inside}>{escape(text)}</{tag}>"


def _table(table: Table, heading: str) -> str:
    kinds = _kinds(table)
    header = "".join(_element("th", *cell, scope="col") for cell in zip(table.header, kinds, strict=True))
    lines, previous = [], None
    for i, line in enumerate(table.body):
        target = line[table.header.index("target")] if "target" in table.header else None
        cells = []
        for j, (cell, kind) in enumerate(zip(line, kinds, strict=True)):
            kind = " ".join(filter(None, (kind, "best" if (i, j) in table.best else "")))
            # A row is called by its first cell.
            cells.append(_element("th", cell, kind, scope="row") if j == 0 and cell else _element("td", cell, kind))
        first = ' class="first"' if previous not in (None, target) else ""
        lines.append(f"<tr{first}>{''.join(cells)}</tr>")
        previous = target
    body = "\n".join(lines)
    label = escape(table.name or heading, quote=True)
    # What scrolls sideways must be reached by keyboard.
    whole = (
        f'<div class="wide" role="group" aria-label="{label}" tabindex="0"><table>'
        f"<thead><tr>{header}</tr></thead><tbody>\n{body}\n</tbody></table></div>"
    )
    if table.folded:
        return f"<details>{_element('summary', table.name or heading)}\n{whole}</details>"
    # Not a table's caption, which would scroll away with it.
    return f'<figure class="table">{_element("figcaption", table.name)}{whole}</figure>' if table.name else whole


def _kinds(table: Table) -> list[str]:
    """Return each column's class: what is right-aligned, a score, which keeps to one line, a name, or a long text."""
    found = []
    for name, column in zip(table.header, zip(*table.body, strict=True) if table.body else (), strict=False):
        longest = max(map(len, column))
        if name in RIGHT_ALIGNED:
            found.append("number")
        elif any(SCORE.match(cell) for cell in column):
            # A difference with its interval in brackets may have the brackets on a line of their own.
            found.append("pair" if any(" to " in cell and "(" in cell for cell in column) else "score")
        else:
            found.append("long" if longest > _LONG else "name" if longest <= _NAME else "")
    return found or [""] * len(table.header)


def _picture(picture: Picture) -> str:
    caption, data = escape(picture.caption), base64.b64encode(picture.data).decode("ascii")
    image = f'<img alt="{caption}" width="{picture.width}" src="data:image/png;base64,{data}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"
