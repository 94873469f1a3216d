"""A run directory is made, recognised, or refused."""

import errno
import os

import pytest

from metaser_jax import InputError
from metaser_jax.results.run_dir import claim, hold, read_config, read_lines, write_text


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


def test_a_lock_that_is_a_pipe_is_waited_for_by_nobody(tmp_path):
    os.mkfifo(tmp_path / "lock")
    refused = pytest.raises(InputError, match="is being written by another process")
    with hold(tmp_path, 0), refused, hold(tmp_path, 0.01, lambda line: None):
        pass
    (tmp_path / "lock").unlink()
    (tmp_path / "lock").symlink_to("nowhere/lock")
    with (
        pytest.raises(InputError, match=r"lock cannot be opened: No such file or directory\. Remove it"),
        hold(tmp_path, 0),
    ):
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


@pytest.mark.parametrize(
    "line", [b'{"episode": "4"}', b'{"episode": null}', b'{"episode": true}', b"[" * 100_000, b"4"]
)
def test_metrics_of_another_type(tmp_path, line):
    (tmp_path / "metrics.jsonl").write_bytes(b'{"episode": 2}\n' + line + b"\n")
    with pytest.raises(InputError, match="a line is not what the program wrote"):
        read_lines(tmp_path / "metrics.jsonl", "episode")


def test_a_full_disk_leaves_the_file_before_and_is_told_by_name(tmp_path):
    write_text(tmp_path / "a.json", "before")
    (tmp_path / "a.json.tmp").symlink_to("/dev/full")
    with pytest.raises(OSError, match=r"No space left on device: .*a\.json'") as caught:
        write_text(tmp_path / "a.json", "after")
    assert caught.value.errno == errno.ENOSPC
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.json", "before")]
