"""A report as a page, as LaTeX with what LaTeX would misread escaped, and as text; and what it says to cite."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import jax
import numpy as np
import pytest
import yaml

from metaser_jax.errors import InputError
from metaser_jax.report import summarise, write_report
from metaser_jax.report.content import Bullets, Code, Content, Picture, Section, Table, best_in_rows, best_of, narrowed
from metaser_jax.report.latex_page import latex_page, latex_table
from metaser_jax.report.page import cite_section, corpora_of
from metaser_jax.report.tables import score_tables
from metaser_jax.report.text_page import text_page
from metaser_jax.results.run_dir import environment

VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Checks that elements nest, and collects text, cells, attributes."""

    def __init__(self, path):
        super().__init__()
        self.open, self.attributes, self.text, self.tags = [], [], "", []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def report(tmp_path_factory, many_rows, metrics):
    return write_report(
        tmp_path_factory.mktemp("report") / "new",
        many_rows,
        title="Title <script>alert(1)</script> & more",
        intro="First paragraph.\n\nSecond <b>paragraph</b>.",
        command='run --x="<1>"',
        training=metrics,
        notes=["Note <i>one</i>", "A|B"],
        device="3 x Imaginary <GPU>",
    )


def test_a_report_of_many_rows(report, many_rows):
    """Its files; strings as they are; every number, as text and as Markdown; nothing that is outside."""
    names = ("adaptation_curve", "confusion_matrix", "training")
    files = {f"{name}.{suffix}" for name in names for suffix in ("pdf", "png")}
    assert {path.name for path in report.parent.iterdir()} == files | {"report.html", "report.md", "tables.tex"}
    page, markdown = Page(report), report.with_name("report.md").read_text()
    for text in ("Title <script>alert(1)</script> & more", "Note <i>one</i>", "3 x Imaginary <GPU>"):
        assert text in page.text
    assert not {"b", "i", "script", "link", "iframe"} & set(page.tags)
    assert r"\<script\>" in markdown
    assert r"A\|B" in markdown
    shown = ["0123456789abcdef", 'run --x="<1>"', jax.__version__, "librosa", "UTC", "Second"]
    for summary in summarise(many_rows):
        of = (summary.target, summary.series.method, summary.shots)
        rows = [row for row in many_rows if (row["target"], row["method"], row["shots"]) == of]
        for score in ("macro_f1", "uar", "accuracy", "weighted_f1", "speaker_oracle_macro_f1"):
            values = [row[score] for row in rows]
            shown.append(f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}")
            assert str(getattr(summary, score)) == shown[-1]
    assert [text for text in shown if text not in page.text or text not in markdown] == []
    assert environment()["device"].startswith(f"{jax.device_count()} x {jax.devices()[0].device_kind}")

    references = [value for name, value in page.attributes if name in ("src", "href", "srcset", "action", "data")]
    inside = {f"#{value}" for name, value in page.attributes if name == "id"}
    assert {value for value in references if value.startswith("#")} == inside - {"#contents"}, "the table of contents"
    references = [value for value in references if not value.startswith("#")]
    pictures = [report.with_name(f"{name}.png").read_bytes() for name in names]
    assert references == [f"data:image/png;base64,{base64.b64encode(data).decode()}" for data in pictures]
    assert not re.search(r"https?:|url\(|@import", report.read_text())


def test_single_draws_and_folds(tmp_path, make_row):
    of = {"title": "t", "intro": "i", "command": "c", "device": "cpu"}
    page = Page(write_report(tmp_path / "one", [make_row()], **of)).text
    assert "(one draw)" in page
    assert re.search(r"\d ± \d", page) is None
    assert "Notes" not in page
    assert not (tmp_path / "one" / "training.png").exists()
    rows = [make_row(0, split="speaker", folds=2, fold=f, split_digest=f"digest{f}") for f in range(2)]
    page = Page(write_report(tmp_path / "folds", rows, **of)).text
    for text in ("speaker, 2 folds: fold 0", "speaker, 2 folds: fold 1", "digest0", "digest1", "one draw of 2 folds"):
        assert text in page
    assert "the draw's score is the mean over them" in page
    for rows in ([], [make_row(macro_f1=None)], [make_row(), make_row(macro_f1=0.1)]):
        with pytest.raises(InputError):
            write_report(tmp_path / "none", rows, **of)
    assert not (tmp_path / "none").exists()


BODY = [
    ["A_1 & b", "0.663 ± 0.089", "-0.012 to +0.035"],
    ["50 % {x}", "0.701 ± 0.010", "-0.010"],
    ["c", "not recorded", "1,234"],
]
TEX = r"""\begin{table}
\centering
\caption{Scores: of \#1}\label{tab:3}
\begin{tabular}{lll}
\toprule
method & macro F1 & $\pm$ \\
\midrule
A\_1 \& b & $0.663 \pm 0.089$ & $-0.012$ to $+0.035$ \\
50 \% \{x\} & $\mathbf{0.701 \pm 0.010}$ & $-0.010$ \\
c & not recorded & $1{,}234$ \\
\bottomrule
\end{tabular}
\end{table}
"""


def test_a_table():
    best = best_of(["method", "macro F1", "±"], BODY, ["macro F1", "a column that is not there"])
    assert best == {(1, 1)}
    assert latex_table(Table(["method", "macro F1", "±"], BODY, "of #1", best), "Scores", 3) == TEX


def test_a_long_table_goes_over_pages_and_a_long_text_over_lines():
    page = latex_page(Content("T", "", (Section("S", ("text", Table(["n", "what"], [["1", "word " * 20]] * 50))),)))
    assert r"\usepackage{booktabs}, \usepackage{longtable}" in page
    assert r"\begin{longtable}{rp{0.5\linewidth}}" in page
    assert page.count(r"\begin") == page.count(r"\end{") == 1


def test_the_best_of_each_group_as_printed():
    body = [["0.500", "a"], ["0.500 (one draw)", "a"], ["0.400", "a"], ["0.300", "b"], ["-", "c"], ["0.1", "c"]]
    assert best_of(["s", "g"], body, ["s"], [line[1] for line in body]) == {(0, 0), (1, 0)}
    assert best_in_rows([["5", "0.500", "0.600"], ["9", "0.700", "-"]], [1, 2]) == {(0, 2)}


def test_columns_that_say_nothing_are_in_the_name():
    table = Table(["a", "b", "c"], [["1", "x", "0.100"], ["1", "y", "0.200"]], best=frozenset({(1, 2)}))
    assert narrowed(table, "T") == Table(
        ["b", "c"], [["x", "0.100"], ["y", "0.200"]], "T; in every row: a 1", frozenset({(1, 1)})
    )
    assert narrowed(table._replace(body=[["1", "x", "2"]], best=frozenset())).header == ["a", "b", "c"]


def test_every_number_of_a_report(many_rows):
    for main in score_tables(summarise(many_rows)):
        page = latex_page(Content("T", "", (Section("S", (main,)),)))
        assert all(score in page for score in re.findall(r"\d\.\d{3}", str(main.body)))
        assert page.count(r"\mathbf") == len(main.best) >= 6


CONTENT = Content(
    "Title",
    "One two three four five.\n\nSix.",
    (
        Section("First", ("a paragraph", Bullets(("one two three four five six", "seven")), Code("x = 1\n\ny"))),
        Section("Second", (Table(["what", "n"], [["a thing", "1"]]), Picture("p.png", b"", 1, "A picture."))),
    ),
)
TEXT_PAGE = [
    *("Title", "One two three\nfour five.", "Six.", "First\n-----", "a paragraph"),
    *("- one two three\n  four five six\n- seven", "    x = 1\n\n    y", "Second\n------"),
    *("what     n\n-------  ---\na thing  1", "[p.png: A picture.]\n"),
]


def test_every_block_as_text():
    """A wide table is wrapped."""
    assert text_page(CONTENT, width=15) == "\n\n".join(TEXT_PAGE)
    table = Table(["a", "what it is", "b"], [["1", "twenty letters and more than that", "2"], ["3", "", "4"]])
    lines = text_page(Content("", "", (Section("", (table,)),)), width=30).splitlines()
    assert lines[-5:] == [
        "a    what it is          b",
        "---  ------------------  ---",
        "1    twenty letters and  2",
        "     more than that",
        "3                        4",
    ]


def test_as_citation_cff_has_it():
    of = yaml.safe_load((Path(__file__).parents[2] / "CITATION.cff").read_text())
    (code,) = [block for block in cite_section([]).blocks if isinstance(block, Code)]
    software, paper_entry = code.text.split("\n\n")
    (paper,) = of["references"]
    for value in (paper["title"], paper["doi"], str(paper["year"]), f"{paper['start']}--{paper['end']}"):
        assert f"{{{value}}}" in paper_entry
    names = " and ".join(f"{one['family-names']}, {one['given-names']}" for one in paper["authors"])
    assert f"author = {{{names}}}" in paper_entry
    plain = re.sub(r"[{}\\]", "", software)
    for value in (of["title"], of["authors"][0]["name"], of["version"], of["license"]):
        assert f" = {value}," in plain


def test_every_corpus_that_was_used(make_row):
    rows = [make_row(target="emodb", sources=["tess", "folder/mine", "demo_italian"]), make_row(sources=None)]
    assert corpora_of(rows) == ["demo_italian", "emodb", "folder/mine", "tess", "urdu"]
    section = cite_section(corpora_of(rows))
    (code,) = [block for block in section.blocks if isinstance(block, Code)]
    for key in ("@software{metaser_jax,", "chopra2021metaser", "burkhardt2005emodb", "pichorafuller2020tess", "latif2"):
        assert code.text.count(key) == 1
    assert any("Cite folder/mine as whoever recorded them asks" in block for block in section.blocks)
    assert "demo" not in str(section.blocks)
