"""A study that the package does not have: a configuration, the cells and the tables that it wants; what it compares."""

import json

import numpy as np
from fakes import fake_corpus

from metaser_jax.data.splits import split
from metaser_jax.data.target import Target
from metaser_jax.report import summarise
from metaser_jax.report.content import Section
from metaser_jax.results.outcomes import Amount, Scored, outcome
from metaser_jax.results.rows import complete, series_label
from metaser_jax.specs import FinetuneSpec
from metaser_jax.specs.studies import Figure2Config, StudySpec
from metaser_jax.studies import sections, tables
from metaser_jax.studies.driver import comparisons_of, compute, lines_of, write
from metaser_jax.studies.places import cell, places
from metaser_jax.studies.study import open_study
from metaser_jax.studies.sweep import text_of
from metaser_jax.studies.tables import comparison_line, line_of


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


CORPUS = fake_corpus("c", per_emotion=15)


def runs(method, *sources, adapt="all", **more):
    source = {"method": method, "order": None, "sources": list(sources)} | more
    part = split(CORPUS, "random", 0)
    of = FinetuneSpec(adapt=adapt), Target(CORPUS, part, "digest"), source, Amount("shots", 2)
    label, drawn = CORPUS.label[part.test], (part.train[:8], part.valid)
    predicted = [np.random.default_rng(seed).permutation(label) for seed in range(2)]
    found = [outcome(*of, seed, drawn, p, seconds=0.0) for seed, p in enumerate(predicted)]
    part = CORPUS.take(part.test)
    return [Scored(complete(one.row, ""), part.file, part.speaker, part.label, one.predicted) for one in found]


def test_against_the_same_sources_and_against_none():
    of = [*runs("metaser", "a"), *runs("metaser", "a", adapt="head"), *runs("metaser", "a", "b")]
    of += [*runs("multiser", "a"), *runs("multiser", "a", "b"), *runs("scratch")]
    found = [comparison_line(one, 0.95) for one in comparisons_of(summarise(of), StudySpec(resamples=10))]
    pairs = {(tuple(x["sources"]), x["adapt"], x["other_method"], tuple(x["other_sources"])) for x in found}
    assert pairs == {
        *((("a",), adapt, *other) for adapt in ("all", "head") for other in (("multiser", ("a",)), ("scratch", ()))),
        *((("a", "b"), "all", *other) for other in (("multiser", ("a", "b")), ("scratch", ()))),
    }
    assert len(found) == len(pairs)


def test_a_study_keeps_its_name_on_disk_and_shows_what_ran():
    of = [*runs("metaser", "a", algorithm="meta_sgd", order="second"), *runs("scratch")]
    one, other = summarise(of, resamples=10)
    (compared,) = comparisons_of([one, other], StudySpec(resamples=10))
    lines = line_of(one, 0.95), comparison_line(compared, 0.95)
    assert series_label(one.series) == "Meta-SGD, all layers"
    for line in lines:
        assert (line["method"], line["algorithm"], line["order"]) == ("metaser", "meta_sgd", "second")
    assert (lines[1]["other_method"], lines[1]["other_algorithm"]) == ("scratch", None)
    for shown in (tables.all_scores({"": [one]}), tables.comparisons({"": [compared]}), tables.by_amount([one])):
        assert "MetaSER" not in str(shown)
        assert "Meta-SGD" in str(shown)


def test_a_sweep_has_a_row_per_setting():
    lines = [
        {
            "setting": {"meta_lr": rate},
            "chosen": rate == 0.1,
            "train_seeds": [0, 1],
            "stopped_seeds": [],
            "valid_query_loss": 0.5,
            "valid_query_loss_deviation": 0.01,
        }
        for rate in (0.1, 0.2)
    ]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text_of(lines).splitlines()]
    assert cells[0] == ["meta_lr", "training seeds", "validation loss on the sources"]
    assert cells[2:] == [["0.1", "2", "0.500 ± 0.010 (chosen)"], ["0.2", "2", "0.500 ± 0.010"]]
