"""Files of a run: rows that are checked and completed, a directory that is made, recognised, or refused."""

import errno
import json
import os

import pytest

from metaser_jax.errors import InputError
from metaser_jax.report import read_metrics, read_results
from metaser_jax.results.rows import Series, series_names
from metaser_jax.results.run_dir import claim, hold, read_config, read_lines, write_text


@pytest.fixture
def written(tmp_path):
    def write(*lines):
        path = tmp_path / "results.jsonl"
        path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines) + "\n")
        return path

    return write


def test_rows_are_read_and_completed(written, make_row):
    row = make_row(3, learning_rate=0.1)
    assert read_results(written(row, "", make_row(4)))[0] == row
    (old,) = read_results(written({name: row[name] for name in ("method", "target", "seed", "macro_f1", "confusion")}))
    assert (old["split"], old["uar"], old["emotions"]) == (None, None, ["angry", "happy", "neutral", "sad"])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        *[({field: None}, f"{field} is missing") for field in ("method", "target", "seed", "macro_f1", "confusion")],
        ({"macro_f1": 61.2}, "macro_f1: got 61.2, expected a number from 0 to 1"),
        ({"uar": float("nan")}, "uar: got nan"),
        ({"seed": "1"}, "seed: got '1'"),
        ({"shots": -1}, "shots: got -1"),
        ({"fraction": 1.5}, "fraction: got 1.5"),
        ({"confusion": [[1, 2], [3]]}, "confusion: got"),
        ({"confusion": [[1, -2], [3, 4]]}, "confusion: got"),
        ({"fold": 0}, "fold: got 0 of folds None"),
        ({"fold": 3, "folds": 3}, "fold: got 3 of folds 3"),
        ({"fold": None, "folds": 3}, "fold: got None of folds 3"),
        ({"emotions": ["angry"]}, "emotions: got .* expected 4 names"),
    ],
)
def test_bad_field_is_refused(written, make_row, fields, message):
    with pytest.raises(InputError, match=rf"results\.jsonl, line 2: {message}"):
        read_results(written(make_row(), make_row() | fields))


def test_bad_lines_and_files(tmp_path, written):
    for read in (read_results, read_metrics):
        for line in ('{"episode": 1, "target": "ur', "[1, 2]", "[" * 100_000):
            with pytest.raises(InputError, match=r"results\.jsonl, line 1: got .* expected a JSON object"):
                read(written(line))
    with pytest.raises(InputError, match="cannot be read"):
        read_results(tmp_path / "none.jsonl")
    with pytest.raises(InputError, match="got no rows"):
        read_results(written(""))


def test_metrics_count_episodes_or_epochs(written):
    for line in ({"episode": 10, "support_loss": 1.0}, {"total_epoch": 7, "epoch": 2, "train_loss": None}):
        assert read_metrics(written(line)) == [line]
    for lines, message in (
        ([{"support_loss": 1.0}], "line 1: episode: got None"),
        ([{"episode": "4"}], "line 1: episode: got '4'"),
        ([{"episode": 1}, {"episode": True}], "line 2: episode: got True"),
        ([{"total_epoch": None}], "line 1: total_epoch: got None"),
        ([{"total_epoch": 7}, {"episode": 8}], "line 2: total_epoch: got None"),
    ):
        with pytest.raises(InputError, match=message):
            read_metrics(written(*lines))
    with pytest.raises(InputError, match=r"line 1: episode: got 7\.5"):
        read_lines(written({"episode": 7.5}), "episode")


def test_names_say_only_what_differs():
    one = Series("metaser", "first", "all", ("tess",), "speaker")
    assert series_names([one, Series("scratch", None, "all", (), "speaker")])[one] == "MetaSER (first order)"
    assert series_names([one, one._replace(adapt="head")])[one] == "MetaSER (first order), all layers"
    assert series_names([one, one._replace(sources=("tess", "emodb"))])[one] == "MetaSER (first order), from tess"


def test_claim(tmp_path):
    (tmp_path / "config.json.tmp").write_text("{")  # of a start that was killed
    claim(tmp_path, {"seed": 1})
    assert read_config(tmp_path) == {"seed": 1}
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty and holds no run"):
        claim(tmp_path / "else", {"seed": 1})
    assert [path.name for path in (tmp_path / "else").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("make", [lambda lock: None, os.mkfifo])
def test_one_process_at_a_time(tmp_path, make, capsys):
    """A lock that is a pipe is waited for by nobody."""
    make(tmp_path / "lock")
    refused = pytest.raises(InputError, match="is being written by another process")
    with hold(tmp_path, 0), refused, hold(tmp_path, 0.01):
        pass
    assert "waiting for its end" in capsys.readouterr().out
    with hold(tmp_path, 0):
        pass
    (tmp_path / "lock").unlink()
    (tmp_path / "lock").symlink_to("nowhere/lock")
    with pytest.raises(InputError, match=r"lock cannot be opened"), hold(tmp_path, 0):
        pass


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[" * 100_000, "not JSON .brackets in brackets"),
        (b'{"seed": 1' + b"0" * 400 + b"}", "not JSON .a whole number of 401 digits"),
        (b"\xff", "not JSON"),
        (b"[]", "got a JSON list, expected an object"),
        (None, "cannot be read: 6,442,450,944 bytes, expected at most"),
    ],
)
def test_a_config_that_is_none(tmp_path, content, said):
    with (tmp_path / "config.json").open("wb") as file:
        file.write(content or b"")
        file.truncate(6 * 2**30 if content is None else None)
    with pytest.raises(InputError, match=f"config.json:? {said}"):
        claim(tmp_path, {"seed": 1})


def test_a_full_disk_leaves_the_file_before_and_is_told_by_name(tmp_path):
    write_text(tmp_path / "a.json", "before")
    (tmp_path / "a.json.tmp").symlink_to("/dev/full")
    with pytest.raises(OSError, match=r"No space left on device: .*a\.json'") as caught:
        write_text(tmp_path / "a.json", "after")
    assert caught.value.errno == errno.ENOSPC
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.json", "before")]
