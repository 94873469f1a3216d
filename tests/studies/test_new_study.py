"""A study that the package does not have, from cells to a report; what its matrix of cells keeps and refuses."""

import functools
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from fakes import fake_corpus
from jax.experimental.compilation_cache import compilation_cache

from metaser_jax import InputError
from metaser_jax.data.splits import split
from metaser_jax.data.target import Target
from metaser_jax.report import summarise
from metaser_jax.report.content import Section
from metaser_jax.results.metrics import scores
from metaser_jax.results.outcomes import Amount, Outcome, Scored, outcome
from metaser_jax.results.rows import complete, series_label
from metaser_jax.specs import FinetuneSpec
from metaser_jax.specs.studies import Figure2Config, StudySpec
from metaser_jax.studies import tables
from metaser_jax.studies.cells import Cell, Run, run_cells, safe
from metaser_jax.studies.driver import comparisons_of, compute, lines_of, write
from metaser_jax.studies.study import open_study
from metaser_jax.studies.sweep import text_of
from metaser_jax.studies.tables import comparison_line, line_of


def run_alone(config, command, corpora):
    """Compare what learns from the target's clips alone."""
    study = open_study(config, command, corpora)
    at = study.places(study.spec.targets)
    cells = [study.cell(place, "svm") for place in at]
    cells += [study.cell(place, "scratch", adapted) for place in at for adapted in study.spec.adapt]
    found = compute(study, cells, lambda series: series.method == "scratch")
    shown = [tables.by_amount(of, place) for place, of in tables.by_place(found.summaries).items()]
    main = (Section("Scores", tuple(shown)), *tables.comparison_section({"": found}, study.spec.confidence))
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
    for shown in (tables.all_scores({"": [one]}), tables.comparisons("", [compared]), tables.by_amount([one])):
        assert "MetaSER" not in str(shown)
        assert "Meta-SGD" in str(shown)


def test_a_sweep_has_a_row_per_setting():
    same = {"train_seeds": [0, 1], "stopped_seeds": [], "valid_query_loss": 0.5, "valid_query_loss_deviation": 0.01}
    text = text_of([{"setting": {"meta_lr": rate}, "chosen": rate == 0.1} | same for rate in (0.1, 0.2)])
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    assert cells[0] == ["meta_lr", "training seeds", "validation loss on the sources"]
    assert cells[2:] == [["0.1", "2", "0.500 ± 0.010 (chosen)"], ["0.2", "2", "0.500 ± 0.010"]]


SMALL = fake_corpus("c", per_emotion=3)


def outcome_of(seed):
    test = np.arange(len(SMALL))
    predicted = np.random.default_rng(seed).integers(0, 4, len(test))
    row = {"method": "m", "target": "c", "seed": seed, **scores(SMALL.label[test], predicted, 4)}
    return Outcome(row, test, predicted)


class Study:
    """Five cells, of which two share a run, and a log of what was computed; one of them may fail."""

    def __init__(self, fails=None, error=None, identity=1):
        self.done = []

        def do(name, result=None):
            if name == fails:
                raise error
            self.done.append(name)
            return result

        runs = [Run(name, functools.partial(do, name), {}) for name in ("run0", "run1")]
        needs = {"cell0": (runs[0],), "cell1": tuple(runs), "cell2": (), "cell3": (), "cell4": ()}
        self.cells = [
            Cell(name, "m", {"lr": {"is": identity}}, functools.partial(do, name, (SMALL, [outcome_of(i)])), of)
            for i, (name, of) in enumerate(needs.items())
        ]


def test_a_killed_study_runs_only_what_is_missing(tmp_path, capsys):
    whole, killed, again, third = Study(), Study("cell2", KeyboardInterrupt()), Study(), Study()
    expected = run_cells(tmp_path / "whole", whole.cells)
    assert whole.done == ["run0", "cell0", "run1", "cell1", "cell2", "cell3", "cell4"]
    with pytest.raises(KeyboardInterrupt):
        run_cells(tmp_path / "twice", killed.cells)
    assert "2 of 5 cells are finished and kept; the same command goes on with cell2." in capsys.readouterr().out
    # What a kill in the middle of writing leaves is not a finished cell.
    (tmp_path / "twice" / "cells" / ".cell2.tmp").mkdir()
    found = run_cells(tmp_path / "twice", again.cells)
    assert again.done == ["cell2", "cell3", "cell4"]
    assert capsys.readouterr().out.startswith("2 of 5 cells in ")
    for one, other in zip(found, expected, strict=True):
        assert (one.key, [run.row for run in one.runs]) == (other.key, [run.row for run in other.runs])
        np.testing.assert_array_equal(one.runs[0].predicted, other.runs[0].predicted)
    assert sorted(path.name for path in (tmp_path / "twice" / "cells").iterdir()) == [f"cell{i}" for i in range(5)]
    run_cells(tmp_path / "twice", third.cells)
    assert third.done == []


def test_programs_are_shared_whatever_was_compiled_before(tmp_path, request):
    # As where no cache of programs is configured.
    cache = jax.config.jax_compilation_cache_dir
    request.addfinalizer(compilation_cache.reset_cache)
    request.addfinalizer(lambda: jax.config.update("jax_compilation_cache_dir", cache))
    jax.config.update("jax_compilation_cache_dir", None)
    compilation_cache.reset_cache()
    jax.jit(lambda x: x + 1)(1.0)
    kept = []

    def compute():
        jax.jit(lambda x: x + 2)(1.0)
        kept.extend(Path(jax.config.jax_compilation_cache_dir).iterdir())
        return SMALL, [outcome_of(0)]

    run_cells(tmp_path, [Study().cells[2]._replace(compute=compute)])
    assert kept
    assert jax.config.jax_compilation_cache_dir is None
    assert not kept[0].exists()


def test_an_error_keeps_what_is_finished(tmp_path):
    with pytest.raises(InputError, match="diverged"):
        run_cells(tmp_path, Study("cell1", InputError("diverged")).cells)
    again = Study()
    run_cells(tmp_path, again.cells)
    assert again.done == ["run0", "run1", "cell1", "cell2", "cell3", "cell4"], "a run is asked again, and returns"


def test_a_finished_cell_of_other_settings_is_an_error(tmp_path):
    run_cells(tmp_path, Study().cells)
    with pytest.raises(InputError, match=r"cell0 is of other settings or recordings: lr.is \(was 1, now 2\)"):
        run_cells(tmp_path, Study(identity=2).cells)
    path = tmp_path / "cells" / "cell3" / "cell.json"
    path.write_text("{")
    with pytest.raises(InputError, match=r"cell\.json: damaged"):
        run_cells(tmp_path, Study().cells)
    path.write_text(json.dumps({"identity": {"lr": {"is": 1}}, "seconds": 1.0}))
    (path.parent / "results.jsonl").write_text("")
    with pytest.raises(InputError, match="no rows"):
        run_cells(tmp_path, Study().cells)


def test_keys_are_names_of_folders(tmp_path):
    assert safe("folder/saraiki_a+b=1.0") == "folder.saraiki_a+b=1.0"
    cells = Study().cells
    for bad in ([cells[0], cells[0]], [cells[0]._replace(key="a/b")]):
        with pytest.raises(ValueError, match="got the keys"):
            run_cells(tmp_path, bad)
