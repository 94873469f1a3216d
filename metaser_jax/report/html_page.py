"""A report as one HTML file: pictures and style are in it, it refers to nothing outside and runs nothing."""

import base64
import re
from html import escape

from metaser_jax.report.content import Block, Bullets, Code, Content, Picture, Table
from metaser_jax.report.tables import RIGHT_ALIGNED

_SCORE = re.compile(r"[+-]?\d\.\d{3}\b")
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 60rem; margin: 2rem auto;
  padding: 0 1rem; }
p, li { max-width: 46rem; }
h1 { line-height: 1.2; }
h2 { margin-top: 2.2rem; border-bottom: 1px solid #ccc; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.88rem; font-variant-numeric: tabular-nums; margin: 1rem 0; }
th, td { text-align: left; padding: 0.25rem 0.7rem; border-bottom: 1px solid #e3e3e3; vertical-align: top; }
thead th { border-bottom: 2px solid #555; }
.number { text-align: right; }
.score { white-space: nowrap; }
.first td { border-top: 2px solid #999; }
img { max-width: 100%; height: auto; }
figure { margin: 1.5rem 0; }
figcaption { color: #444; font-size: 0.9rem; }
pre { background: #f5f5f5; padding: 0.7rem; white-space: pre-wrap; overflow-wrap: anywhere; font-size: 0.85rem; }
@media print {
  body { margin: 0; max-width: none; font-size: 11pt; }
  figure, tr, pre { break-inside: avoid; }
  h2 { break-after: avoid; }
  table { font-size: 8.5pt; }
  th, td { padding: 0.15rem 0.4rem; }
  .wide { overflow: visible; }
}
"""


def html_page(content: Content) -> str:
    """Return a self-contained page: pictures are in it, and nothing is fetched."""
    parts = [_element("h1", content.title), *(_element("p", paragraph) for paragraph in content.paragraphs)]
    for section in content.sections:
        parts += [_element("h2", section.heading), *map(_block, section.blocks)]
    head = [
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        _element("title", content.title),
        f"<style>{_STYLE}</style>",
    ]
    lines = ["<!DOCTYPE html>", '<html lang="en">', "<head>", *head, "</head>", "<body>", *parts, "</body>", "</html>"]
    return "\n".join(lines) + "\n"


def _block(block: Block) -> str:
    match block:
        case Table():
            return _table(block)
        case Picture():
            return _picture(block)
        case Bullets():
            return "\n".join(["<ul>", *(_element("li", item) for item in block.items), "</ul>"])
        case Code():
            return _element("pre", block.text)
        case str():
            return _element("p", block)


def _element(tag: str, text: str, kind: str = "") -> str:
    attribute = f' class="{kind}"' if kind else ""
    return f"<{tag}{attribute}>{escape(text)}</{tag}>"


def _table(table: Table) -> str:
    kinds = ["number" if name in RIGHT_ALIGNED else "" for name in table.header]
    lines = ["".join(_element("th", *cell) for cell in zip(table.header, kinds, strict=True))]
    previous = None
    for line in table.body:
        target = line[table.header.index("target")] if "target" in table.header else None
        row = "".join(
            # A score stays on one line with its spread or interval.
            _element("td", cell, kind or ("score" if _SCORE.match(cell) else ""))
            for cell, kind in zip(line, kinds, strict=True)
        )
        lines.append(f'<tr class="first">{row}</tr>' if previous not in (None, target) else f"<tr>{row}</tr>")
        previous = target
    body = "\n".join(lines[1:])
    return f'<div class="wide"><table><thead><tr>{lines[0]}</tr></thead><tbody>\n{body}\n</tbody></table></div>'


def _picture(picture: Picture) -> str:
    data = base64.b64encode(picture.data).decode("ascii")
    caption = escape(picture.caption)
    source = f"data:image/png;base64,{data}"
    image = f'<img alt="{caption}" width="{picture.width}" src="{source}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"
