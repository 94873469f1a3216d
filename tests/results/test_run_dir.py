"""A run directory is made, recognised, or refused."""

import pytest

from metaser_jax import InputError
from metaser_jax.results.run_dir import claim, hold, read_config


def test_a_start_that_was_killed_leaves_the_way_free(tmp_path):
    (tmp_path / "config.json.tmp").write_text("{")
    claim(tmp_path, {"seed": 1})
    assert read_config(tmp_path) == {"seed": 1}


def test_files_of_something_else_are_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty and holds no run"):
        claim(tmp_path, {"seed": 1})
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_one_process_at_a_time(tmp_path):
    said = []
    refused = pytest.raises(InputError, match="is being written by another process")
    with hold(tmp_path, 0), refused, hold(tmp_path, 0.01, said.append):
        pass
    assert "waiting for its end" in said[0]
    with hold(tmp_path, 0):
        pass
