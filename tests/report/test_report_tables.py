import random

import numpy as np
import pytest

from metaser_jax.errors import InputError
from metaser_jax.report import summarise, table
from metaser_jax.report.tables import score_tables


def test_what_differs_is_not_averaged(make_row):
    others = {"method": "scratch", "order": "first", "target": "emodb", "split": "speaker", "shots": 10}
    others |= {"adapt": "head", "sources": ["tess"], "normalise": "none"}
    for fields in ({"shots": None, "fraction": 0.5}, *({name: value} for name, value in others.items())):
        summaries = summarise([make_row(0), make_row(1), make_row(0, **fields)])
        assert sorted(len(s.seeds) for s in summaries) == [1, 2], fields


@pytest.fixture
def of_folds(make_row):
    """3 folds with 2 seeds."""
    of = {"split": "speaker", "folds": 3}
    return [make_row(seed, **of, fold=f, split_digest=f"digest{f}") for f in range(3) for seed in range(2)]


def test_folds_are_averaged_and_said(make_row, of_folds):
    one = [make_row(seed, split="speaker") for seed in range(3)]
    summaries = summarise([*of_folds, *one])
    assert [(s.folds, s.seeds, s.macro_f1.n) for s in summaries] == [(None, (0, 1, 2), 3), (3, (0, 1), 2)]
    # A draw's score is the mean over its folds.
    values = [np.mean([row["macro_f1"] for row in of_folds if row["seed"] == seed]) for seed in range(2)]
    assert summaries[1].macro_f1.mean == pytest.approx(np.mean(values))
    assert summaries[1].macro_f1.deviation == pytest.approx(np.std(values, ddof=1))
    lines = table(summaries, style="markdown").splitlines()[2:]
    cells = [[cell.strip() for cell in line.split("|")] for line in lines]
    assert [(c[3], c[-2]) for c in cells] == [("speaker", "3 draws"), ("speaker, 3 folds", "2 draws of 3 folds")]
    assert summarise(of_folds * 2) == summarise(of_folds), "run again to the same result"


def test_a_fold_twice_or_missing_is_refused(of_folds):
    with pytest.raises(InputError, match=r"on urdu .*: seed 0 is there twice"):
        summarise([*of_folds, of_folds[0] | {"macro_f1": 0.123}])
    row = of_folds.pop(3)
    message = rf"MetaSER from .* on urdu \(.*3 folds, 5 shots.*\): seed {row['seed']} lacks fold {row['fold']}"
    with pytest.raises(InputError, match=message):
        summarise(of_folds)


def test_what_an_adaptation_takes(make_row):
    rows = [make_row(s, shots=k, seconds=k + s / 2, start_size=45000, device="d") for s in range(2) for k in (1, 5)]
    one, five = summarise([*rows, make_row(2, shots=5)])
    assert (one.seconds, one.start_size, one.device) == (1.25, 45000, "d")
    assert (five.seconds, five.start_size, five.device) == (pytest.approx((5 + 5.5 + 1.5) / 3), 45000, "d")
    _, others = score_tables(summarise(rows))
    assert others.header[-1] == "seconds"
    assert [line[-1] for line in others.body] == ["1.250", "5.250"]
    assert others.name.endswith("starts from 45,000, hardware d")
    assert "hardware" not in str(score_tables(summarise([make_row(s) for s in range(2)])))


def test_text_is_aligned_and_does_not_depend_on_the_order_of_rows(many_rows):
    shuffled = random.Random(0).sample(many_rows, len(many_rows))
    expected = summarise(many_rows)
    found = summarise(shuffled)
    keys = [(s.target, s.shots, s.series.method) for s in found]
    assert keys == sorted(keys)
    assert table(found) == table(expected)
    lines = table(found).splitlines()
    assert len(lines) == 2 + 12
    assert " ".join(lines[0].split()) == "method target split shots adapt macro F1 UAR speaker oracle ± over"
    assert len({len(line) for line in lines}) == 1
    gaps = [i for i, c in enumerate(lines[1]) if c == " "]
    assert all(line[i] == " " for line in lines for i in gaps)


def test_amounts(make_row):
    def header_and_cells(*rows):
        lines = table(summarise(rows), style="markdown").splitlines()
        cells = [line.split("|")[4].strip() for line in lines]
        return cells[0], cells[2:]

    fraction = make_row(shots=None, fraction=0.3)
    whole = make_row(shots=None)
    assert header_and_cells(make_row()) == ("shots", ["5"])
    assert header_and_cells(fraction, whole) == ("fraction", ["0.3", "all"])
    assert header_and_cells(make_row(), fraction, whole) == ("training data", ["5 shots", "fraction 0.3", "all"])


def test_style_sources_and_scores_that_one_seed_lacks(make_row):
    (summary,) = summarise([make_row(0), make_row(1, uar=None)])
    assert summary.uar is None
    assert "not recorded" in table([summary])
    with pytest.raises(InputError, match="style: got 'latex'"):
        table(summarise([make_row()]), style="latex")
    lines = table(summarise([make_row(seed, target="a|b<i>") for seed in range(2)]), style="markdown").splitlines()
    assert r"a\|b&lt;i>" in lines[2]
    assert "sources" not in table(summarise([make_row(), make_row(method="scratch", sources=[])]))
    assert "tess + emodb" in table(summarise([make_row(), make_row(sources=["tess"])]))
