"""Exported models, read by programs that have nothing of this project."""

import dataclasses
import hashlib
import itertools
import json
import os
import re
from pathlib import Path

import jax
import numpy as np
import pytest
from fakes import fake_model
from subprograms import python

from metaser_jax import InputError
from metaser_jax.data import inputs
from metaser_jax.recogniser import export as exporting
from metaser_jax.recogniser.export import export_npz, export_stablehlo, make_function
from metaser_jax.recogniser.folder import digest
from metaser_jax.recogniser.predictor import Predictor

PAPER = {
    **{"pooling": "last", "activation": "none", "input_statistics": False},
    **{"trim_db": 0.0, "deltas": False, "normalise": "none"},
}
SETTINGS = {
    "recommended": {},
    "paper": PAPER,
    "utterance": {"normalise": "utterance", "pooling": "mean"},
    "speaker": {"normalise": "speaker", "trim_db": 0.0},
    "voice": {"features": "voice", "normalise": "speaker", "members": 3},
    "encoder": {"features": "encoder", "normalise": "speaker"},
    "embeddings": {"features": "embeddings", "embedding_dim": 5, "track_groups": ("pitch",)},
    "pitch": {"features": "voice", "normalise": "none", "members": 1, "track_groups": ("pitch", "loudness")},
}
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "model_folder.md"


def model_of(kind, clips=20):
    """A model whose logits are of the size of real ones."""
    model = fake_model(hidden_dim=8, clips=clips, **SETTINGS[kind])
    return dataclasses.replace(model, params=jax.tree.map(lambda a: a * np.float32(0.3), model.params))


def given(model, n=20):
    """What it is given of its clips, in order."""
    return [array[:n] for array in inputs.given_of(model.support, model.settings)]


def outputs(model, n=20):
    said = jax.tree.map(np.asarray, jax.jit(make_function(model))(*given(model, n)))
    np.testing.assert_allclose(said["logits"], Predictor(model).logits(*given(model, n)), rtol=1e-6, atol=1e-6)
    return said


def test_stablehlo_runs_without_the_project(tmp_path):
    """In a fresh process, in which importing anything of it is an error, for two sizes of n."""
    models, sizes = {kind: model_of(kind) for kind in ("recommended", "utterance", "voice", "encoder")}, (1, 20)
    for kind, model in models.items():
        export_stablehlo(model, tmp_path / f"{kind}.hlo")
    names = {kind: list(inputs.given(model.settings)) for kind, model in models.items()}
    x = models["encoder"].support
    np.savez(tmp_path / "x.npz", mfcc=x.mfcc, n_frames=x.n_frames, voice=x.voice, vectors=x.vectors)
    program = f"""
import sys
sys.modules["metaser_jax"] = sys.modules["flax"] = None
import numpy as np
from jax import export
x = np.load("x.npz")
for kind, inputs in {names}.items():
    function = export.deserialize(bytearray(open(kind + ".hlo", "rb").read()))
    for n in {sizes}:
        np.savez(f"{{kind}}{{n}}.npz", **function.call(*(x[name][:n] for name in inputs)))
"""
    done = python("-c", program, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for kind, n in itertools.product(models, sizes):
        want = outputs(models[kind], n)
        with np.load(tmp_path / f"{kind}{n}.npz") as got:
            assert {*got} == {"logits", "probabilities"}
            for name in got:
                assert (got[name].dtype, got[name].shape) == (np.float32, (n, 4))
                np.testing.assert_allclose(got[name], want[name], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", ["recommended", "voice", "encoder"])
def test_what_lies_beside_it(kind, tmp_path):
    model = model_of(kind, clips=4)
    export_stablehlo(model, tmp_path / "new" / "model.hlo", ("tpu", "cpu"))
    content = (tmp_path / "new" / "model.hlo").read_bytes()
    facts = json.loads((tmp_path / "new" / "model.hlo.json").read_text())
    assert facts["sha256"] == hashlib.sha256(content).hexdigest()
    assert (facts["digest"], facts["emotions"]) == (digest(model), list(model.settings.emotions))
    assert (facts["platforms"], facts["versions"]["jax"]) == (["tpu", "cpu"], jax.__version__)
    assert all(f"`{key}`" in DOCUMENT.read_text() for key in facts.keys() - {"format", "format_version", "readable_by"})
    digest_of, people = (model.encoder.digest, 0) if kind == "encoder" else (None, None)
    assert (facts["encoder"], facts["people"]) == (digest_of, people)
    assert len(content) < 1_000_000, "the encoder's weights are not inside"
    shapes = {name: array.shape[1:] for name, array in zip(inputs.given(model.settings), given(model), strict=True)}
    assert {name: tuple(of["shape"][1:]) for name, of in facts["inputs"].items()} == shapes


@pytest.mark.parametrize("kind", SETTINGS)
def test_numpy_alone_does_the_same_with_the_arrays(kind, tmp_path):
    """By the program in the documentation."""
    model = model_of(kind)
    export_npz(model, tmp_path / "model.npz")
    with np.load(tmp_path / "model.npz") as arrays:
        assert not any(name.startswith(("shape", "labelled", "support", "lstm_3")) for name in arrays)
    (program,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    names = {}
    exec(program, names)
    got = names["predict"](tmp_path / "model.npz", *given(model))
    np.testing.assert_allclose(got, outputs(model)["probabilities"], atol=1e-6)


@pytest.mark.parametrize("platforms", [("gpu",), ("cpu", ""), ()])
def test_platforms_that_there_are_not(platforms, tmp_path):
    with pytest.raises(InputError, match=r"--platforms: got .*cpu, cuda, rocm, tpu"):
        export_stablehlo(model_of("paper", clips=0), tmp_path / "model.hlo", platforms)
    assert not os.listdir(tmp_path)


def test_nothing_is_overwritten_and_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    model = model_of("paper", clips=0)
    for name in ("model.npz", "model.hlo.json"):
        (tmp_path / name).write_text("mine")
    for export, name in ((export_npz, "model.npz"), (export_stablehlo, "model.hlo")):
        with pytest.raises(InputError, match=f"--out: .*{name}.* is there already"):
            export(model, tmp_path / name)
    assert {path.read_text() for path in tmp_path.iterdir()} == {"mine"}

    def full(source, to):
        raise OSError(28, "No space left on device", str(to))

    monkeypatch.setattr(exporting.os, "replace", full)
    with pytest.raises(InputError, match=r"--out: .*new.npz cannot be written: No space left on device"):
        export_npz(model, tmp_path / "new.npz")
    assert len(os.listdir(tmp_path)) == 2
