"""The report of a run: report.html, which is one file that needs no other, report.md, pictures and tables.tex."""

import importlib.resources
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from metaser_jax.errors import InputError
from metaser_jax.extras import version
from metaser_jax.report import style
from metaser_jax.report.content import Block, Code, Content, Picture, Section, bullets_section, run_section
from metaser_jax.report.html_page import html_page
from metaser_jax.report.latex_page import latex_page
from metaser_jax.report.plots import adaptation_figure, confusion_figure, training_figure
from metaser_jax.report.tables import score_tables, split_table
from metaser_jax.report.text_page import markdown_page
from metaser_jax.results.rows import Row, completed, method_name
from metaser_jax.results.summary import summarise

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PACKAGE = importlib.resources.files("metaser_jax")
# Corpora of the user's own recordings, whose entry would be this software's; and synthetic voices, of this software.
_OWN, _DEMO = "folder", "demo_"
_FILES = _PACKAGE / "report"
EXPLANATIONS = tomllib.loads(_FILES.joinpath("texts.toml").read_text(encoding="utf-8"))["explanations"]


def write_report(
    folder: str | Path,
    rows: Iterable[Row],
    *,
    title: str,
    intro: str,
    command: str,
    training: Sequence[Row] | None = None,
    notes: Sequence[str] = (),
    device: str | None = None,
) -> Path:
    """Write report.html, report.md, tables.tex, and adaptation_curve, confusion_matrix and, with training, training.

    The pictures are PNG, which the page shows, and PDF, for a paper.

    Args:
      folder: where to; made if it is not there.
      rows: results, of `read_results`.
      title, intro: plain text; an empty line in intro starts a paragraph.
      command: what was run.
      training: rows of metrics.jsonl of the meta-training.
      notes: what a reader must know besides, plain text.
      device: what ran it; by default the devices that jax sees here.

    Returns:
      Path of report.html.

    Raises:
      InputError: no rows, bad rows, or no matplotlib. Nothing is written then.
    """
    rows, folder = completed(rows), Path(folder)
    if not rows:
        raise InputError("write_report: got no rows, expected results. Run the evaluation first.")
    summaries = summarise(rows)
    scores, other_scores = score_tables(summaries)
    summed = "draws and folds" if any(row["folds"] for row in rows) else "draws"
    confusion = f"Confusion with the most target data, summed over {summed}."
    figures = [
        ("adaptation_curve.png", "Macro F1 against the amount of target data.", adaptation_figure(summaries)),
        ("confusion_matrix.png", confusion, confusion_figure(summaries)),
    ]
    if training is not None:
        keys = [key for key in dict.fromkeys(one.series for one in summaries) if key.algorithm and key.sources]
        learned = dict.fromkeys(f"{method_name(key)}, learned from {' + '.join(key.sources)}" for key in keys)
        figure = training_figure(training, "; ".join(learned))
        figures.append(("training.png", "Losses of meta-training against episodes.", figure))
    sections = (
        Section("Results", (scores, *EXPLANATIONS, *(picture(folder, *figure) for figure in figures))),
        *bullets_section("Notes", notes),
        Section("Other scores", (other_scores,)),
        Section("Splits", (split_table(rows),)),
        run_section(command, device),
        cite_section(corpora_of(rows)),
    )
    return write_page(folder, Content(title, intro, sections))


def picture(folder: Path, name: str, caption: str, figure: "Figure", *, svg: bool = False) -> Picture:
    """Save the figure as folder/name (PNG), to be shown in a report there, and as PDF, and SVG, beside it."""
    for suffix in (".pdf", ".svg") if svg else (".pdf",):
        style.save(figure, (folder / name).with_suffix(suffix))
    # CSS pixels, 96 to the inch: text has its nominal size.
    width = round(96 * figure.get_figwidth())
    return Picture(name, style.save(figure, folder / name).read_bytes(), width, caption)


def write_page(folder: Path, content: Content) -> Path:
    """Write report.html, report.md and tables.tex into the folder, which is made; return the path of report.html."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, write in (("report.md", markdown_page), ("tables.tex", latex_page), ("report.html", html_page)):
        (folder / name).write_text(write(content), encoding="utf-8")
    return folder / "report.html"


def corpora_of(rows: Iterable[Row]) -> list[str]:
    """Return the corpora that rows are of: targets and sources, sorted."""
    return sorted({name for row in rows for name in (row["target"], *(row["sources"] or ()))})


def cite_section(corpora: Iterable[str]) -> Section:
    """Return what to cite, as BibTeX. corpora: names that were used, as flags take them."""
    # As CITATION.cff has them, which is no part of the package.
    own = (_FILES / "software.bib").read_text(encoding="utf-8").strip()
    entries, without = [own.replace("VERSION", version("metaser_jax"))], []
    for name in dict.fromkeys(corpora):
        folder = name.partition("/")[0]
        entry = _PACKAGE / "datasets" / folder / "CITATIONS.bib"
        if folder != _OWN and entry.is_file():
            entries.append(entry.read_text(encoding="utf-8").strip())
        elif not name.startswith(_DEMO):
            without.append(name)
    blocks: list[Block] = ["The software, the paper whose method it is, and every corpus that was used."]
    if without:
        blocks.append(f"Cite {', '.join(without)} as whoever recorded them asks: no entry for them is known here.")
    return Section("How to cite", (*blocks, Code("\n\n".join(dict.fromkeys(entries)))))
