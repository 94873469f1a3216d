"""The report of a run: report.html, which is one file that needs no other, report.md, pictures and tables.tex."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from metaser_jax.errors import InputError
from metaser_jax.report import style
from metaser_jax.report.adaptation import adaptation_figure
from metaser_jax.report.citation import cite_section, corpora_of
from metaser_jax.report.confusion import confusion_figure
from metaser_jax.report.content import (
    EXPLANATIONS,
    Content,
    Picture,
    Section,
    notes_section,
    run_section,
    score_tables,
    split_table,
)
from metaser_jax.report.html_page import html_page
from metaser_jax.report.latex_page import latex_page
from metaser_jax.report.markdown_page import markdown_page
from metaser_jax.report.training import training_figure
from metaser_jax.results.rows import Row, completed
from metaser_jax.results.series import method_name, series
from metaser_jax.results.summaries import summarise

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
    scores, other_scores = score_tables(summarise(rows))
    summed = "draws and folds" if any(row["folds"] for row in rows) else "draws"
    figures = [
        ("adaptation_curve.png", "Macro F1 against the amount of target data.", adaptation_figure(rows)),
        ("confusion_matrix.png", f"Confusion with the most target data, summed over {summed}.", confusion_figure(rows)),
    ]
    if training is not None:
        figures.append(
            ("training.png", "Losses of meta-training against episodes.", training_figure(training, _of(rows)))
        )
    explained = (scores, *EXPLANATIONS, *(picture(folder, *figure) for figure in figures))
    sections = (
        Section("Results", explained),
        *notes_section(notes),
        Section("Other scores", (other_scores,)),
        Section("Splits", (split_table(rows),)),
        run_section(command, device),
        cite_section(corpora_of(rows)),
    )
    return write_page(folder, Content(title, intro, sections))


def _of(rows: Sequence[Row]) -> str:
    """Return what of the rows was meta-trained: "FOMAML, learned from tess + emodb"."""
    keys = [key for key in dict.fromkeys(map(series, rows)) if key.algorithm and key.sources]
    learned = dict.fromkeys(f"{method_name(key)}, learned from {' + '.join(key.sources)}" for key in keys)
    return "; ".join(learned)


def picture(folder: Path, name: str, caption: str, figure: "Figure") -> Picture:
    """Save the figure as folder/name (PNG), to be shown in a report there, and as PDF beside it."""
    style.save(figure, (folder / name).with_suffix(".pdf"))
    return Picture(name, style.save(figure, folder / name).read_bytes(), style.screen_width(figure), caption)


def write_page(folder: Path, content: Content) -> Path:
    """Write report.html, report.md and tables.tex into the folder, which is made; return the path of report.html."""
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / "report.html"
    page.write_text(html_page(content), encoding="utf-8")
    (folder / "report.md").write_text(markdown_page(content), encoding="utf-8")
    (folder / "tables.tex").write_text(latex_page(content), encoding="utf-8")
    return page
