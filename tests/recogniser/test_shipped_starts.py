"""The starts that come with the package: found by their names, small, and ready to predict."""

import numpy as np
import pytest
from fakes import fake_model, made_encoder

from metaser_jax import InputError, Predictor
from metaser_jax.adaptation.starts import read_start, resolve
from metaser_jax.audio.encoder import PUBLISHED, encoder_bytes
from metaser_jax.recogniser.card import note_of_start
from metaser_jax.recogniser.folder import CARD, load_model, save_model
from metaser_jax.recogniser.model_files import STARTS, locate, start_names
from metaser_jax.specs import FinetuneSpec


@pytest.mark.parametrize("name", ["open", "research"])
def test_a_start_predicts_adapts_and_says_what_it_is(name):
    model = load_model(name)
    assert model.support is None
    assert np.isfinite(Predictor(model).logits(np.zeros((1, 171), np.float32))).all()
    # As it was trained: speakers' names decide again for every set of clips.
    assert read_start(name, "auto", "learner").settings.normalise == "auto"
    spec, init = resolve(name, FinetuneSpec(validation="none", optimizer="learner"), "urdu")
    assert spec.normalise == "auto"
    assert init.meta is not None
    card = (STARTS / name / CARD).read_text()
    assert "emodb" in card
    assert ("not for commercial use" in (note_of_start(model.about) or "")) == (name == "research")
    assert not (STARTS / name / "encoder.npz").exists(), "metaser fetch-encoder has it"


@pytest.mark.parametrize("name", ["open-encoder", "research-encoder"])
def test_a_start_that_hears_with_the_encoder_asks_for_it(name, tmp_path, monkeypatch):
    monkeypatch.delenv("METASER_ENCODER", raising=False)
    monkeypatch.setenv("METASER_CACHE", str(tmp_path))
    assert not {file.name for file in (STARTS / name).iterdir()} & {"encoder.npz", "LICENSE.Resemblyzer", "NOTICE"}
    with pytest.raises(InputError, match=f"{name} needs the speech encoder.* metaser fetch-encoder"):
        load_model(name)
    path = tmp_path / "encoder.npz"
    path.write_bytes(encoder_bytes(made_encoder()))
    with pytest.raises(InputError, match=f"needs the speech encoder {PUBLISHED}, and here is {made_encoder().digest}"):
        load_model(name)


def test_all_starts_together_are_small():
    assert sum(file.stat().st_size for file in STARTS.rglob("*") if file.is_file()) <= 6_000_000


def test_a_source_of_a_start_is_no_target():
    assert start_names() == ("open", "open-encoder", "research", "research-encoder")
    with pytest.raises(InputError, match="one of the sources of open"):
        resolve("open", FinetuneSpec(validation="none"), "emodb")


def test_a_folder_of_a_starts_name_is_asked_about(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "open").mkdir()
    assert locate("open") == STARTS / "open"  # nothing in it that could be meant
    save_model("open", fake_model())
    with pytest.raises(InputError, match=r"\./open .*starts/open "):
        load_model("open")
    assert load_model("./open").settings.features == "mfcc"
    assert load_model(STARTS / "open").settings.features == "voice"
