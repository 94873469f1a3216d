"""metaser import-torch, in this process and as typed."""

import functools
import hashlib
from pathlib import Path

import jax
import numpy as np
import pytest
from subprograms import metaser

from metaser_jax import InputError, load_torch_checkpoint
from metaser_jax.commands.models import import_torch
from metaser_jax.emotions import FOUR_EMOTIONS
from metaser_jax.recogniser.folder import load_model
from metaser_jax.recogniser.predictor import make_forward
from metaser_jax.specs.commands import ImportTorchConfig

FILES = Path(__file__).parents[1] / "recogniser" / "torch_files"
CLASSES = ("sad", "angry", "neutral", "happy")


def run(name: str, out: Path, classes=CLASSES) -> None:
    import_torch(ImportTorchConfig(out=str(out), classes=classes), [str(FILES / name)])


def test_the_model_predicts_as_pytorch_does(tmp_path, capsys):
    run("zip.pt", tmp_path / "model")
    said = capsys.readouterr()
    assert "4 hidden units, angry, happy, neutral, sad; not calibrated" in said.out
    assert said.err == ""
    model = load_model(tmp_path / "model")
    assert model.settings.emotions == FOUR_EMOTIONS
    assert (model.scale, model.temperature, model.support) == (None, 1.0, None)
    pytorch = np.load(FILES / "logits.npz")
    logits = make_forward(model.settings)(model.params, None, pytorch["x"], np.array([120, 115]))
    ours = pytorch["logits"][:, [CLASSES.index(emotion) for emotion in FOUR_EMOTIONS]]
    np.testing.assert_allclose(logits, ours, atol=1e-5, rtol=0)


def test_the_model_says_where_it_is_from_and_can_be_adapted(tmp_path, capsys):
    run("training.pt", tmp_path / "model")
    assert "Not imported, because predicting needs none of it: epoch, optimizer." in capsys.readouterr().err
    model = load_model(tmp_path / "model")
    sha256 = hashlib.sha256((FILES / "training.pt").read_bytes()).hexdigest()
    assert model.about["init"]["checkpoint"] == {"file": "training.pt", "sha256": sha256, "classes": list(CLASSES)}
    assert model.start.rates is None
    expected = load_torch_checkpoint(FILES / "training.pt", CLASSES)
    for params in (model.params, model.start.params):
        jax.tree.map(np.testing.assert_array_equal, params, expected)
    card = (tmp_path / "model" / "README.md").read_text()
    assert sha256 in card
    assert "sad, angry, neutral, happy, in this order" in card
    assert "Not calibrated" in card


def test_nothing_is_written_of_what_cannot_be_imported(tmp_path):
    for name, classes, message in (
        ("module.pt", CLASSES, "Nothing of it was executed"),
        ("zip.pt", ("angry", "sad"), "2 classes were given"),
        ("zip.pt", ("angry", "happy", "neutral", "bliss"), "classes: got 'bliss'"),
        ("absent.pt", CLASSES, "cannot be read"),
    ):
        with pytest.raises(InputError, match=message):
            run(name, tmp_path / "model", classes)
    assert not any(tmp_path.iterdir())
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(InputError, match="is not empty"):
        run("zip.pt", tmp_path / "full")


def test_as_typed(tmp_path):
    typed = functools.partial(metaser, "import-torch")
    done = typed(FILES / "legacy.pt", "--classes=angry,happy,neutral,sad", f"--out={tmp_path / 'model'}")
    assert done.returncode == 0, done.stderr
    assert load_model(tmp_path / "model").settings.hidden_dim == 4
    wrong = typed(FILES / "module.pt", "--classes=angry,happy,neutral,sad", f"--out={tmp_path / 'other'}")
    assert wrong.returncode == 2
    assert wrong.stdout == ""
    assert "torch.save(model.state_dict()" in wrong.stderr
    assert "Traceback" not in wrong.stderr
    assert "expected one checkpoint" in typed("--classes=angry,sad", "--out=x").stderr
