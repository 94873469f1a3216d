"""A study that the package does not have: a configuration, the cells and the tables that it wants."""

import json

from metaser_jax.report.content import Section
from metaser_jax.specs.studies import Figure2Config
from metaser_jax.studies import sections, tables
from metaser_jax.studies.driver import compute, lines_of, write
from metaser_jax.studies.places import cell, places
from metaser_jax.studies.study import open_study


def run_alone(config, command, corpora):
    """Compare what learns from the target's clips alone."""
    study = open_study(config, command, corpora)
    at = places(study, study.spec.targets)
    cells = [cell(study, place, "svm") for place in at]
    cells += [cell(study, place, "scratch", adapted) for place in at for adapted in study.spec.adapt]
    found = compute(study, cells, lambda series: series.method == "scratch")
    shown = [tables.by_amount(of, place) for place, of in tables.by_place(found.summaries).items()]
    main = (Section("Scores", tuple(shown)), *sections.comparison_section({"": found}, study.spec.confidence))
    lines, comparisons = lines_of(study, found)
    return write(study, "alone", "Without sources", "Two methods.", main, {"lines": lines, "with": comparisons}, lines)


def test_from_cells_to_a_report(tiny, tmp_path):
    same = {"data_dir": "data", "out": str(tmp_path), "seeds": 2, "resamples": 20, "splits": ("random",)}
    config = Figure2Config(**same, targets=("urdu", "shemo"), shots=(2, 5), fractions=())
    page = run_alone(config, "the command", tiny).read_text()
    found = json.loads((tmp_path / "alone.json").read_text())
    assert [line["method"] for line in found["lines"]] == ["svm", "scratch", "scratch"] * 2
    assert len(found["with"]) == 4
    assert all(f"{line['macro_f1']:.3f}" in page for line in found["lines"])
    assert [left["what"] for left in found["left_out"]] == ["shemo"]
