"""metaser info, in this process and as typed."""

import json

import pytest
from fakes import fake_model
from subprograms import METASER, metaser, python

from metaser_jax import InputError
from metaser_jax.commands.models import info
from metaser_jax.recogniser.card import LIMITS
from metaser_jax.recogniser.folder import digest, save_model
from metaser_jax.specs.commands import InfoConfig


@pytest.fixture
def folder(tmp_path):
    save_model(tmp_path / "model", fake_model())
    return tmp_path / "model"


def test_the_facts_as_text(folder, capsys):
    info(InfoConfig(), [str(folder)])
    said = capsys.readouterr().out
    assert digest(folder) in said
    assert "ravdess     English    CC BY-NC-SA 4.0 " in said
    assert "0.610 (95 % interval over speakers 0.420 to 0.800)" in said
    flat = " ".join(said.split())
    assert all(limit in flat for limit in LIMITS)
    assert max(map(len, said.splitlines())) <= 100


def test_the_facts_as_json(folder, capsys):
    info(InfoConfig(format="json"), [str(folder)])
    said = json.loads(capsys.readouterr().out)
    assert said == json.loads((folder / "model.json").read_text())
    assert said["digest"] == digest(folder)


def test_a_damaged_model_is_not_described(folder):
    (folder / "arrays.npz").write_bytes(b"")
    with pytest.raises(InputError, match="is damaged"):
        info(InfoConfig(), [str(folder)])


def test_as_typed(folder):
    done = metaser("info", folder, "--format=json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["digest"] == digest(folder)
    failed = metaser("info", f"{folder}2")
    assert failed.returncode == 2
    assert failed.stdout == ""
    assert "is not there, expected a model folder" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_it_starts_without_what_it_does_not_need(folder):
    absent = ("orbax", "librosa", "sklearn", "scipy.stats", "matplotlib", "tensorflow_datasets")
    done = python("-c", f"import sys; sys.modules.update(dict.fromkeys({absent})); {METASER}", "info", folder)
    assert done.returncode == 0, done.stderr
