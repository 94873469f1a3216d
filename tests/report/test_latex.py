"""Tables for a paper: booktabs, the best in bold, what LaTeX would misread escaped."""

import re

import pytest

from metaser_jax.report import summarise
from metaser_jax.report.content import Content, Section, Table, best_in_rows, best_of, narrowed
from metaser_jax.report.latex_page import latex_page, latex_table
from metaser_jax.report.tables import score_tables

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
