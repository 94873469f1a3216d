"""The matrix of cells: what is finished is kept, what is missing is computed, other settings are refused."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest
from fakes import fake_corpus
from jax.experimental.compilation_cache import compilation_cache

from metaser_jax import InputError
from metaser_jax.results.metrics import scores
from metaser_jax.results.outcomes import Outcome
from metaser_jax.studies.cells import Cell, Run, run_cells, safe

CORPUS = fake_corpus("c", per_emotion=3)


def outcome(seed):
    test = np.arange(len(CORPUS))
    predicted = np.random.default_rng(seed).integers(0, 4, len(test))
    row = {"method": "m", "target": "c", "seed": seed, **scores(CORPUS.label[test], predicted, 4)}
    return Outcome(row, test, predicted)


class Study:
    """Five cells, of which two share a run, and a log of what was computed."""

    def __init__(self, fails=None, error=None, identity=1):
        self.done = []

        def job(name, result):
            def do():
                if name == fails:
                    raise error
                self.done.append(name)
                return result

            return do

        self.runs = [Run(f"run{i}", job(f"run{i}", None), {}) for i in range(2)]
        needs = [(self.runs[0],), tuple(self.runs), (), (), ()]
        self.cells = [
            Cell(f"cell{i}", "m", {"lr": {"is": identity}}, job(f"cell{i}", (CORPUS, [outcome(i)])), needs[i])
            for i in range(5)
        ]


def test_a_killed_study_runs_only_what_is_missing(tmp_path, capsys):
    whole = Study()
    expected = run_cells(tmp_path / "whole", whole.cells)
    assert whole.done == ["run0", "cell0", "run1", "cell1", "cell2", "cell3", "cell4"]

    killed = Study("cell2", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        run_cells(tmp_path / "twice", killed.cells)
    assert "2 of 5 cells are finished and kept; the same command goes on with cell2." in capsys.readouterr().out
    # What a kill in the middle of writing leaves is not a finished cell.
    (tmp_path / "twice" / "cells" / ".cell2.tmp").mkdir()
    again = Study()
    found = run_cells(tmp_path / "twice", again.cells)
    assert again.done == ["cell2", "cell3", "cell4"]
    assert capsys.readouterr().out.startswith("2 of 5 cells in ")
    for one, other in zip(found, expected, strict=True):
        assert (one.key, [run.row for run in one.runs]) == (other.key, [run.row for run in other.runs])
        np.testing.assert_array_equal(one.runs[0].predicted, other.runs[0].predicted)
    assert sorted(path.name for path in (tmp_path / "twice" / "cells").iterdir()) == [f"cell{i}" for i in range(5)]

    third = Study()
    run_cells(tmp_path / "twice", third.cells)
    assert third.done == []


@pytest.fixture
def no_cache():
    """As where no cache of programs is configured, every program worth keeping."""
    options = {"jax_compilation_cache_dir": None, "jax_persistent_cache_min_compile_time_secs": 0.0}
    before = {name: getattr(jax.config, name) for name in options}
    for values in (options, before):
        for name, value in values.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()
        if values is options:
            yield


@pytest.mark.usefixtures("no_cache")
def test_programs_are_shared_whatever_was_compiled_before(tmp_path):
    jax.jit(lambda x: x + 1)(1.0)
    kept = []

    def compute():
        jax.jit(lambda x: x + 2)(1.0)
        kept.extend(Path(jax.config.jax_compilation_cache_dir).iterdir())
        return CORPUS, [outcome(0)]

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
