"""metaser info, export and import-torch, in this process."""

import hashlib
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from fakes import fake_model
from subprograms import METASER, python

from metaser_jax import EmotionLSTM, InputError, load_torch_checkpoint
from metaser_jax.commands.models import export, import_torch, info
from metaser_jax.emotions import FOUR_EMOTIONS
from metaser_jax.recogniser.card import LIMITS
from metaser_jax.recogniser.folder import digest, load_model, save_model
from metaser_jax.recogniser.predictor import make_forward
from metaser_jax.specs.commands import ExportConfig, ImportTorchConfig, InfoConfig

FILES = Path(__file__).parents[1] / "recogniser" / "torch_files"
CLASSES = ("sad", "angry", "neutral", "happy")


@pytest.fixture
def folder(tmp_path):
    save_model(tmp_path / "model", fake_model())
    return tmp_path / "model"


def test_the_facts_of_a_model_as_text(folder, capsys):
    info(InfoConfig(), [str(folder)])
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 100
    scored = "0.610 (95 % interval over speakers 0.420 to 0.800)"
    assert all(text in said for text in (digest(folder), "ravdess     English    CC BY-NC-SA 4.0 ", scored))
    assert all(limit in " ".join(said.split()) for limit in LIMITS)


def test_the_facts_of_a_model_as_json_without_what_that_does_not_need(folder):
    absent = ("jax", "flax", "orbax", "librosa", "sklearn", "scipy.stats", "matplotlib", "tensorflow_datasets")
    code = f"import sys; sys.modules.update(dict.fromkeys({absent})); {METASER}"
    done = python("-c", code, "info", folder, "--format=json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads((folder / "model.json").read_text())


@pytest.mark.parametrize("to", ["stablehlo", "npz"])
def test_export(folder, tmp_path, capsys, to):
    out = str(tmp_path / f"exported.{to}")
    export(ExportConfig(model=str(folder), to=to, out=out), [])
    assert capsys.readouterr().out == f"{out}\n"
    if to == "stablehlo":
        facts = json.loads(Path(f"{out}.json").read_text())
        assert facts["platforms"] == ["cpu", "cuda", "tpu"]
    else:
        with np.load(out) as arrays:
            facts = json.loads(str(arrays["settings"]))
    assert facts["digest"] == digest(folder)


def imported(name: str, out: Path, classes=CLASSES) -> None:
    import_torch(ImportTorchConfig(out=str(out), classes=classes), [str(FILES / name)])


def test_an_imported_checkpoint_predicts_as_pytorch_does(tmp_path, capsys):
    imported("zip.pt", tmp_path / "model")
    said = capsys.readouterr()
    assert ("4 hidden units, angry, happy, neutral, sad; not calibrated" in said.out, said.err) == (True, "")
    model = load_model(tmp_path / "model")
    settings = (model.settings.emotions, model.scale, model.temperature, model.support)
    assert settings == (FOUR_EMOTIONS, None, 1.0, None)
    x = np.random.default_rng(0).normal(size=(2, 120, 20)).astype(np.float32)
    x[1, 115:] = 0
    logits = make_forward(model.settings)(model.params, None, x, np.array([120, 115]))
    # tests/recogniser compares this network with PyTorch's.
    expected = EmotionLSTM(4).apply(load_torch_checkpoint(FILES / "zip.pt", CLASSES), x)
    np.testing.assert_allclose(logits, expected, atol=1e-5, rtol=0)


def test_an_imported_checkpoint_says_where_it_is_from_and_can_be_adapted(tmp_path, capsys):
    imported("training.pt", tmp_path / "model")
    assert "epoch, optimizer." in capsys.readouterr().err, "what was not imported"
    model = load_model(tmp_path / "model")
    sha256 = hashlib.sha256((FILES / "training.pt").read_bytes()).hexdigest()
    assert model.about["init"]["checkpoint"] == {"file": "training.pt", "sha256": sha256, "classes": list(CLASSES)}
    expected = load_torch_checkpoint(FILES / "training.pt", CLASSES)
    assert model.start.rates is None
    for params in (model.params, model.start.params):
        jax.tree.map(np.testing.assert_array_equal, params, expected)
    card = (tmp_path / "model" / "README.md").read_text()
    assert all(text in card for text in (sha256, "sad, angry, neutral, happy, in this order"))


@pytest.mark.parametrize(
    ("name", "classes"), [("module.pt", CLASSES), ("zip.pt", ("angry", "sad")), ("absent.pt", CLASSES)]
)
def test_nothing_is_written_of_what_cannot_be_imported(tmp_path, name, classes):
    with pytest.raises(InputError):
        imported(name, tmp_path / "model", classes)
    assert not any(tmp_path.iterdir())
