"""metaser export, in this process."""

import json

import numpy as np
import pytest
from fakes import fake_model

from metaser_jax import InputError
from metaser_jax.commands.models import export
from metaser_jax.recogniser.folder import digest, save_model
from metaser_jax.specs.commands import ExportConfig


@pytest.fixture
def folder(tmp_path):
    save_model(tmp_path / "model", fake_model())
    return tmp_path / "model"


def test_stablehlo(folder, tmp_path, capsys):
    out = str(tmp_path / "model.hlo")
    export(ExportConfig(model=str(folder), to="stablehlo", out=out), [])
    assert capsys.readouterr().out == f"{out}\n"
    facts = json.loads((tmp_path / "model.hlo.json").read_text())
    assert facts["digest"] == digest(folder)
    assert facts["platforms"] == ["cpu", "cuda", "tpu"]


def test_npz(folder, tmp_path, capsys):
    out = str(tmp_path / "model.npz")
    export(ExportConfig(model=str(folder), to="npz", out=out), [])
    assert capsys.readouterr().out == f"{out}\n"
    with np.load(out) as arrays:
        assert json.loads(str(arrays["settings"]))["digest"] == digest(folder)


def test_no_model(tmp_path):
    with pytest.raises(InputError, match="is not there, expected a model folder"):
        export(ExportConfig(model=str(tmp_path / "none"), to="npz", out=str(tmp_path / "out")), [])
    assert not (tmp_path / "out").exists()
