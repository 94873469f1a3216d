"""A run becomes a start: a model folder that was adapted to no clips, calibrated on what such runs have not heard."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from fakes import fake_corpus

from metaser_jax import InputError
from metaser_jax.adaptation.starts import make_start, read_start, resolve
from metaser_jax.recogniser.card import is_start, model_card
from metaser_jax.recogniser.folder import describe, digest, save_model
from metaser_jax.recogniser.predictor import Predictor
from metaser_jax.specs import FinetuneSpec
from metaser_jax.training.meta_train import meta_train


@functools.cache
def load(name, data_dir=None):
    return fake_corpus(name, per_emotion=16, noise=1.0)


def trained(train_config, **changes) -> str:
    voice = {"network": "perceptron", "features": "voice", "members": 2, "hidden_dim": 3, "normalise": "auto"}
    config = train_config(**{"sources": ("emodb", "ravdess"), "episodes": 2, **voice, **changes})
    return str(meta_train(config, load=load))


def test_a_start_of_two_sources(train_config, tmp_path, capsys):
    run = trained(train_config)
    about = {"licence": "CC BY 4.0", "sources": [{"name": "emodb", "licence": "CC0"}]}
    start = make_start(run, "data", about=about, load=load)
    assert is_start(start.about)
    assert start.settings.normalise == "speaker"
    assert "not learned from a corpus" in start.about["calibration"]["said"]
    assert start.about["init"]["sources"][0]["licence"] == "CC0"
    assert "Given under: CC BY 4.0." in model_card(describe(start))
    assert "without ravdess" in capsys.readouterr().err
    # The same again, to the bit: runs that are there are not repeated.
    assert digest(make_start(run, "data", load=load)) == digest(start)
    save_model(tmp_path / "start", start)
    again = read_start(tmp_path / "start", "auto", "learner")
    assert again.settings == read_start(run, "auto", "learner").settings
    assert again.about["support"] is None
    # finetune.py and the studies adapt from the folder as from the run.
    spec = FinetuneSpec(validation="none", optimizer="learner")
    (of_folder, folder), (of_run, from_run) = (resolve(str(p), spec, "urdu") for p in (tmp_path / "start", run))
    assert of_folder == of_run
    jax.tree.map(np.testing.assert_array_equal, folder.meta.params, from_run.meta.params)
    assert folder.source["sources"] == ["emodb", "ravdess"]
    voices = load("emodb")
    assert np.mean(Predictor.load(tmp_path / "start").logits(voices.voice).argmax(-1) == voices.label) >= 0.2


def test_a_start_of_one_source_is_calibrated_on_its_voices(train_config):
    start = make_start(trained(train_config, sources=("emodb",), shots=2, queries=2), "data", load=load)
    assert "not learned from the voices" in start.about["calibration"]["said"]
    assert start.about["calibration"]["n"] == 64


def test_other_corpora_than_the_runs_are_refused_and_no_calibration_is_said(train_config):
    run = trained(train_config)
    with pytest.raises(InputError, match="--data_dir=data: emodb"):
        make_start(run, "data", load=lambda name, _: dataclasses.replace(load(name), voice=load(name).voice + 1))
    with pytest.raises(InputError, match="--about: sources has tess"):
        make_start(run, "data", about={"sources": [{"name": "tess"}]}, calibrate=False, load=load)
    start = make_start(run, "data", calibrate=False, load=load)
    assert start.temperature == 1
    assert "Not calibrated" in model_card(describe(start))
