"""Corpora without one of the four emotions: the error proposes those that there are, and with them everything runs."""

import csv
import dataclasses
import json

import numpy as np
import pytest
from fakes import fake_corpus

from metaser_jax import InputError
from metaser_jax.adaptation.finetune import run_finetune
from metaser_jax.data.corpus import require_emotions
from metaser_jax.datasets.targets import Corpora
from metaser_jax.emotions import EMOTIONS, FOUR_EMOTIONS
from metaser_jax.specs.programs import FinetuneConfig
from metaser_jax.specs.studies import Table2Config, UnseenConfig
from metaser_jax.studies.paper import run_table2
from metaser_jax.studies.study import open_study
from metaser_jax.studies.unseen import run_unseen
from metaser_jax.training.meta_train import meta_train
from metaser_jax.training.pretrain import pretrain

THREE = ("angry", "happy", "sad")
LACKS = r"--emotions=angry,happy,neutral,sad: urdu has no neutral \(its utterances: 20 angry, 20 happy, 20 sad\)"
PROPOSED = r"\. Give --emotions=angry,happy,sad to all programs alike, or use other corpora\.$"


def without(name, emotion, seed=0):
    """A fake corpus as it is read: its labels are of all EMOTIONS."""
    corpus = fake_corpus(name, per_emotion=20, seed=seed, noise=1.0)
    corpus = dataclasses.replace(corpus, emotions=EMOTIONS)
    return corpus.take(corpus.label != EMOTIONS.index(emotion)) if emotion else corpus


LACKING = {"ravdess": None, "emodb": None, "urdu": "neutral", "shemo": "neutral"}
CORPORA = {name: without(name, emotion, seed) for seed, (name, emotion) in enumerate(LACKING.items())}


def load(name, data_dir):
    return CORPORA[name]


@pytest.fixture
def corpora(tiny):
    """The tiny presets, and urdu without neutral."""
    return Corpora(load, lambda name, data_dir: name in CORPORA)


def test_the_error_proposes_the_emotions_that_all_have():
    a, b = without("a", "neutral"), without("b", "sad")
    with pytest.raises(InputError, match=r"a has no neutral .*; b has no sad .* Give --emotions=angry,happy to all"):
        require_emotions([CORPORA["emodb"], a, b], ("angry", "happy", "neutral", "sad"))
    c = b.take(b.label == 0)
    with pytest.raises(InputError, match=r"c has no sad|b has no sad \(its utterances: 20 angry\)\. Use other corpora"):
        require_emotions([c], ("angry", "sad"))
    with pytest.raises(InputError, match=r"--emotions: got 'sat', expected one of: .* Did you mean 'sad'"):
        require_emotions([a], ("angry", "sat"))


@pytest.mark.parametrize("sources", [("urdu",), ("emodb", "urdu")])
def test_training_says_so(train_config, pretrain_config, sources):
    for run, config in ((meta_train, train_config), (pretrain, pretrain_config)):
        with pytest.raises(InputError, match=LACKS + PROPOSED):
            run(config(sources=sources), load=load)


def test_training_and_adapting_to_three(train_config, tmp_path):
    config = train_config(sources=("emodb", "shemo"), emotions=THREE, episodes=2, order="first", inner_steps=1)
    meta_train(config, load=load)
    same = {"data_dir": "", "target": "urdu", "shots": 2, "seeds": 1, "max_epochs": 2, "split": "speaker", "folds": 2}
    # The run says what it tells apart.
    rows = run_finetune(FinetuneConfig(**same, init=config.run_dir, out=str(tmp_path / "out")), load=load)
    assert [row["fold"] for row in rows] == [0, 1]
    assert all(row["emotions"] == list(THREE) and np.shape(row["confusion"]) == (3, 3) for row in rows)
    four = FinetuneConfig(**same, init="scratch", out=str(tmp_path / "four"))
    with pytest.raises(InputError, match=LACKS + PROPOSED):
        run_finetune(four, load=load)


SMALL = {"data_dir": "", "shots": (2,), "splits": ("speaker",), "folds": 2, "seeds": 1, "pretrain_seeds": 1}
SMALL |= {"resamples": 20, "emotions": THREE}
OF_TABLE2 = {"source_sets": ("ravdess+emodb",), "targets": ("urdu",), "fractions": ()}


@pytest.mark.parametrize(
    ("run", "config", "own"),
    [
        (run_table2, Table2Config, OF_TABLE2),
        (run_unseen, UnseenConfig, {"corpora": ("ravdess", "emodb", "urdu")}),
    ],
)
def test_studies_of_three(corpora, tmp_path, run, config, own):
    spec = config(out=str(tmp_path), methods=("svm",), **SMALL | own)
    page = run(spec, "the command", corpora=corpora)
    (table,) = tmp_path.glob("*.csv")
    assert "urdu" in {line["target"] for line in csv.DictReader(table.read_text().splitlines())}
    assert "angry" in page.read_text()
    assert "neutral" not in page.read_text()
    assert json.loads((tmp_path / "config.json").read_text())["emotions"] == list(THREE)


def test_networks_of_a_study_have_its_emotions(corpora, tmp_path):
    config = Table2Config(out=str(tmp_path), **SMALL | OF_TABLE2)
    study, of_preset = (open_study(one, "c", corpora) for one in (config, dataclasses.replace(config, emotions=None)))
    specs = [study.meta_spec(("ravdess",), 0), study.pretrain_spec("transser", ("ravdess",), 0)]
    specs += [study.finetune_spec("metaser"), study.finetune_spec("multiser", "head")]
    assert {spec.emotions for spec in specs} == {THREE}
    assert of_preset.meta_spec(("ravdess",), 0).emotions == FOUR_EMOTIONS
