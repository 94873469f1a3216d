"""Table 2 and Figure 2, whole but tiny: files that agree, corpora that are not prepared, other settings, a restart."""

import csv
import json
import re
from pathlib import Path

import pytest
from fakes import fake_corpus

from metaser_jax import InputError
from metaser_jax.results.rows import Series
from metaser_jax.results.significance import seed_interval
from metaser_jax.results.summary import Summary
from metaser_jax.specs.studies import Figure2Config, Table2Config
from metaser_jax.studies.paper import crossings_of, run_figure2, run_table2
from metaser_jax.studies.tables import interval_text as interval
from metaser_jax.studies.tables import unknown

COMMON = {"data_dir": "data", "seeds": 2, "resamples": 50, "pretrain_seeds": 1, "splits": ("random",)}


def table2_config(out, **changes):
    values = {"source_sets": ("ravdess+emodb", "tess+ravdess", "emodb+urdu"), "targets": ("urdu", "emovo")}
    return Table2Config(**COMMON | values | {"out": str(out), "shots": (2,), "fractions": (0.5,)} | changes)


@pytest.fixture(scope="module")
def table2(tmp_path_factory, tiny, runs):
    out = tmp_path_factory.mktemp("table2")
    run_table2(table2_config(out, runs=runs), "python experiments/table2.py --x='<1>'", corpora=tiny)
    return out


def content(path):
    return json.loads(path.read_text())


def numbers_in(lines, comparisons):
    """What the report must show of the JSON."""
    for line in lines:
        for score in ("macro_f1", "uar", "accuracy", "weighted_f1"):
            yield f"{line[score]:.3f} ± {line[f'{score}_deviation']:.3f}"
        yield from (interval(line["draws"]), interval(line["test"]), *line["split_digests"])
        yield f"{line['speaker_oracle_macro_f1']:.3f}"
    for line in comparisons:
        yield f"{line['difference']:+.3f} ± {line['difference_deviation']:.3f}"
        yield from (interval(line["difference_draws"], "+"), interval(line["difference_test"], "+"))
        tests = (line["p_t"], line["p_holm"], line["p_wilcoxon"])
        yield from (f"{p:.3f}" for p in tests if p is not None and p > 0.001)


def test_table2_is_complete(table2):
    found = content(table2 / "table2.json")
    both = ("ravdess", "emodb")
    methods = {(both, m, a) for m in ("metaser", "transser", "multiser") for a in ("head", "all")}
    methods |= {((), "scratch", "head"), ((), "scratch", "all"), (both, "svm", None), ((), "svm", None)}
    expected = {(*of, shots, fraction) for of in methods for shots, fraction in ((2, None), (None, 0.5))}
    lines = found["lines"]
    assert {(tuple(x["sources"]), x["method"], x["adapt"], x["shots"], x["fraction"]) for x in lines} == expected
    assert len(lines) == len(expected)
    # MetaSER, adapted in two ways, against three networks adapted in two ways, and SVM in two, with two amounts.
    assert len(found["comparisons"]) == 2 * (3 * 2 + 2) * 2
    assert found["config"]["seeds"] == 2


def test_a_report_has_each_number(table2):
    found = content(table2 / "table2.json")
    page, markdown = (table2 / "report.html").read_text(), (table2 / "report.md").read_text()
    for number in numbers_in(found["lines"], found["comparisons"]):
        assert number in page
        assert number in markdown
    assert "python experiments/table2.py" in page
    assert not re.search(r"https?:|url\(|@import", page)
    short = (table2 / "table2.md").read_text()
    for line in found["lines"]:
        assert f"{line['macro_f1']:.3f} ± {line['macro_f1_deviation']:.3f}" in short
        assert line["split_digests"][0] in short
    assert "## What these numbers do not say" in short
    for text in ("hidden_dim 4", "FOMAML: learning from sources", "episodes 4", "TransSER: adaptation", "kernel rbf"):
        assert text in page


def test_what_is_left_out_is_in_every_format(table2):
    with (table2 / "table2.csv").open() as file:
        rows = list(csv.DictReader(file))
    measured, left = [r for r in rows if not r["left_out"]], [r for r in rows if r["left_out"]]
    for row, line in zip(measured, content(table2 / "table2.json")["lines"], strict=True):
        assert float(row["macro_f1"]) == line["macro_f1"]
        assert [float(row["test_low"]), float(row["test_high"])] == line["test"]
        assert (row["sources"], row["method"]) == ("+".join(line["sources"]), line["method"])
    assert {(r["sources"], r["target"], r["left_out"]) for r in left} >= {
        ("tess+ravdess", "urdu", "not prepared: tess"),
        ("emodb+urdu", "urdu", "is a source"),
        ("ravdess+emodb", "emovo", "not prepared"),
    }
    for name in ("table2.md", "report.md"):
        text = (table2 / name).read_text().replace("\\", "")
        for command in ("--corpora=tess --manual_dir=RECORDINGS --data_dir=data", "--corpora=emovo"):
            assert f" prepare {command}" in text


def test_nothing_is_computed_again(table2, tiny, runs):
    before = {name: (table2 / name).read_text() for name in ("table2.csv", "table2.json")}
    cells = {path: path.stat().st_mtime_ns for path in (table2 / "cells").rglob("*")}
    run_table2(table2_config(table2, runs=runs), "python experiments/table2.py --x='<1>'", corpora=tiny)
    assert {name: (table2 / name).read_text() for name in before} == before
    assert {path: path.stat().st_mtime_ns for path in (table2 / "cells").rglob("*")} == cells
    with pytest.raises(InputError, match=r"another configuration: max_epochs \(was None, now 2\)"):
        run_table2(table2_config(table2, max_epochs=2, runs=runs), "c", corpora=tiny)
    other = fake_corpus("emodb", per_emotion=24, seed=9, noise=1.0)
    anew = tiny._replace(load=lambda name, data_dir: other if name == "emodb" else tiny.load(name, data_dir))
    with pytest.raises(InputError, match=r"is of other settings or recordings: sources.emodb \(was "):
        run_table2(table2_config(table2, runs=runs), "c", corpora=anew)


def test_what_the_input_knew_is_said():
    of = {"auto": "half of the emotions or more", "speaker": "per speaker, by their own", "none": "paper's own numbers"}
    for normalise, says in of.items():
        assert says in unknown(table2_config("out"), [{"validation": "none", "normalise": normalise}])[-1]


def test_nothing_possible_is_an_error(tmp_path, tiny):
    for changes, message in (
        ({"targets": ("emovo",)}, r"No target can be adapted to(.|\n)*--corpora=emovo"),
        ({"source_sets": ("tess", "urdu")}, r"No source set can be used with any target(.|\n)*--corpora=tess"),
        ({"targets": ("urdoo",)}, "urdoo"),
    ):
        with pytest.raises(InputError, match=message):
            run_table2(table2_config(tmp_path / "x", **changes), "c", corpora=tiny)
    assert not (tmp_path / "x").exists()


def test_figure2(tmp_path, table2, tiny, runs):
    values = {"sources": ("ravdess", "emodb"), "targets": ("urdu",), "shots": (1, 2, 50), "fractions": (0.5, 1.0)}
    times = {path: path.stat().st_mtime_ns for path in Path(runs).rglob("metrics.jsonl")}
    page = run_figure2(Figure2Config(**COMMON, **values, out=str(tmp_path), runs=runs), "c", corpora=tiny)
    assert page == tmp_path / "report.html"
    assert {path: path.stat().st_mtime_ns for path in Path(runs).rglob("metrics.jsonl")} == times, "runs are shared"
    for kind in ("fractions", "shots"):
        assert (tmp_path / f"figure2_{kind}.png").read_bytes()[:4] == b"\x89PNG"
        assert "<svg" in (tmp_path / f"figure2_{kind}.svg").read_text()
    found, shown = content(tmp_path / "figure2.json"), page.read_text()
    amounts = {(line["shots"], line["fraction"]) for line in found["lines"]}
    assert amounts == {(1, None), (2, None), (None, 0.5), (None, 1)}
    assert [left["what"] for left in found["left_out"]] == ["urdu, random split, shots 50"]
    # MetaSER, adapted in two ways, along two kinds, against three networks adapted in two ways, and SVM in two.
    assert len(found["crossovers"]) == 2 * 2 * (3 * 2 + 2)
    assert all(number in shown for number in numbers_in(found["lines"], found["comparisons"]))
    with pytest.raises(InputError, match="--sources=tess: not prepared"):
        run_figure2(Figure2Config(**COMMON, out="x", sources=("tess",)), "c", corpora=tiny)


def test_crossings():
    def point(method, fraction, score):
        of = Series(method, None, "all", (), None, "maml" if method == "metaser" else None)
        return Summary(of, "t", "random", None, None, fraction, (0,), seed_interval([score]), *[None] * 4)

    curves = {"metaser": (0.3, 0.5, 0.6), "multiser": (0.4, 0.4, 0.4), "scratch": (0.1, 0.1, 0.1)}
    points = [point(name, *at) for name, curve in curves.items() for at in zip((0.2, 0.4, 1.0), curve, strict=True)]
    multiser, scratch = crossings_of(points)
    assert [one.line()["other_method"] for one in (multiser, scratch)] == ["multiser", "scratch"]
    (met,) = multiser.met
    assert (met.x, met.y, met.ahead) == (pytest.approx(0.3), pytest.approx(0.4), "a")
    assert (scratch.met, scratch.above) == ([], "metaser")
