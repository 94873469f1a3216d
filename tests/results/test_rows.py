import json

import pytest

from metaser_jax.errors import InputError
from metaser_jax.report import read_metrics, read_results
from metaser_jax.results.series import Series, series_names


@pytest.fixture
def written(tmp_path):
    def write(*lines):
        path = tmp_path / "results.jsonl"
        path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines) + "\n")
        return path

    return write


def test_reads_what_was_written(written, make_row):
    row = make_row(3, learning_rate=0.1)
    assert read_results(written(row, "", make_row(4)))[0] == row


def test_fields_of_older_files_are_null(written, make_row):
    full = make_row()
    old = {name: full[name] for name in ("method", "target", "seed", "macro_f1", "confusion")}
    (row,) = read_results(written(old))
    assert row["split"] is None
    assert row["uar"] is None
    assert row["emotions"] == ["angry", "happy", "neutral", "sad"]


@pytest.mark.parametrize("field", ["method", "target", "seed", "macro_f1", "confusion"])
def test_missing_field_is_named_with_file_and_line(written, make_row, field):
    row = make_row()
    del row[field]
    with pytest.raises(InputError, match=rf"results\.jsonl, line 2: {field} is missing"):
        read_results(written(make_row(), row))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"macro_f1": 61.2}, "macro_f1: got 61.2, expected a number from 0 to 1"),
        ({"uar": float("nan")}, "uar: got nan"),
        ({"seed": "1"}, "seed: got '1'"),
        ({"shots": -1}, "shots: got -1"),
        ({"fraction": 1.5}, "fraction: got 1.5"),
        ({"confusion": [[1, 2], [3]]}, "confusion: got .* expected a square list"),
        ({"confusion": [[1, -2], [3, 4]]}, "confusion: got"),
        ({"fold": 0}, "fold: got 0 of folds None, expected a number from 0 to folds - 1"),
        ({"fold": 3, "folds": 3}, "fold: got 3 of folds 3"),
        ({"fold": None, "folds": 3}, "fold: got None of folds 3"),
        ({"emotions": ["angry"]}, "emotions: got .* expected 4 names"),
    ],
)
def test_bad_field_is_refused(written, make_row, fields, message):
    with pytest.raises(InputError, match=f"line 1: {message}"):
        read_results(written(make_row() | fields))


@pytest.mark.parametrize("read", [read_results, read_metrics])
@pytest.mark.parametrize("line", ['{"episode": 1, "target": "ur', "[1, 2]"])
def test_malformed_line_is_named(written, read, line):
    with pytest.raises(InputError, match=r"results\.jsonl, line 1: got .* expected a JSON object"):
        read(written(line))


def test_absent_and_empty_files(tmp_path, written):
    with pytest.raises(InputError, match="cannot be read"):
        read_results(tmp_path / "none.jsonl")
    with pytest.raises(InputError, match="got no rows"):
        read_results(written(""))


def test_metrics_need_an_episode(written):
    assert read_metrics(written({"episode": 10, "support_loss": 1.0})) == [{"episode": 10, "support_loss": 1.0}]
    with pytest.raises(InputError, match="line 1: episode: got None"):
        read_metrics(written({"support_loss": 1.0}))


def test_metrics_of_pre_training(written):
    line = {"total_epoch": 7, "epoch": 2, "train_loss": None}
    assert read_metrics(written(line)) == [line]
    with pytest.raises(InputError, match="line 1: total_epoch: got None"):
        read_metrics(written({"total_epoch": None}))
    with pytest.raises(InputError, match="line 2: got episode, expected total_epoch"):
        read_metrics(written(json.dumps(line) + "\n" + json.dumps({"episode": 8})))


def test_names_say_only_what_differs():
    one = Series("metaser", "first", "all", ("tess",), "speaker")
    assert series_names([one, Series("scratch", None, "all", (), "speaker")])[one] == "MetaSER (first order)"
    assert series_names([one, one._replace(adapt="head")])[one] == "MetaSER (first order), all layers"
    assert series_names([one, one._replace(sources=("tess", "emodb"))])[one] == "MetaSER (first order), from tess"
