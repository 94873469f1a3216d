"""A report as LaTeX, with what LaTeX would misread escaped, as text for a terminal; and what it says to cite."""

import re
from pathlib import Path

import pytest
import yaml

from metaser_jax.report import summarise
from metaser_jax.report.content import (
    Bullets,
    Code,
    Content,
    Picture,
    Section,
    Table,
    best_in_rows,
    best_of,
    narrowed,
)
from metaser_jax.report.latex_page import latex_page, latex_table
from metaser_jax.report.page import cite_section, corpora_of
from metaser_jax.report.tables import score_tables
from metaser_jax.report.text_page import text_page

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


@pytest.mark.parametrize("number", [0, 1])
def test_every_number_of_a_report(many_rows, number):
    main = score_tables(summarise(many_rows))[number]
    page = latex_page(Content("T", "", (Section("S", (main,)),)))
    for line in main.body:
        for cell in line:
            for score in re.findall(r"\d\.\d{3}", cell):
                assert score in page
    assert page.count(r"\mathbf") == len(main.best) >= 6


PAGE = Content(
    "Title",
    "One two three four five.\n\nSix.",
    (
        Section("First", ("a paragraph", Bullets(("one two three four five six", "seven")), Code("x = 1\n\ny"))),
        Section("Second", (Table(["what", "n"], [["a thing", "1"]]), Picture("p.png", b"", 1, "A picture."))),
    ),
)
TEXT_PAGE = """\
Title

One two three
four five.

Six.

First
-----

a paragraph

- one two three
  four five six
- seven

    x = 1

    y

Second
------

what     n
-------  ---
a thing  1

[p.png: A picture.]
"""


def test_every_block():
    assert text_page(PAGE, width=15) == TEXT_PAGE


def test_a_wide_table_is_wrapped():
    table = Table(["a", "what it is", "b"], [["1", "twenty letters and more than that", "2"], ["3", "", "4"]])
    lines = text_page(Content("", "", (Section("", (table,)),)), width=30).splitlines()
    assert lines[-5:] == [
        "a    what it is          b",
        "---  ------------------  ---",
        "1    twenty letters and  2",
        "     more than that",
        "3                        4",
    ]


ROOT = Path(__file__).parents[2]


def test_as_citation_cff_has_it():
    of = yaml.safe_load((ROOT / "CITATION.cff").read_text())
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
