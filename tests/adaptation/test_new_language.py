"""A new language on real recordings: metaser adapt is metaser finetune for the same draw, to the last clip."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from small_runs import load_target

from metaser_jax import datasets
from metaser_jax.adaptation.engine import draw
from metaser_jax.adaptation.few_clips import run_adapt
from metaser_jax.adaptation.finetune import run_finetune
from metaser_jax.audio.clips import read_all
from metaser_jax.data.splits import split
from metaser_jax.data.target import Target
from metaser_jax.recogniser.predictor import Predictor
from metaser_jax.results.outcomes import PREDICTIONS, Amount
from metaser_jax.results.run_dir import claim
from metaser_jax.specs import MetaTrainSpec
from metaser_jax.specs.commands import AdaptConfig
from metaser_jax.specs.presets import FINETUNE, META_TRAIN
from metaser_jax.specs.programs import FinetuneConfig, MetaTrainConfig
from metaser_jax.training.checkpoints import Checkpoints
from metaser_jax.training.run import identity, training_utterances
from metaser_jax.training.trainer import make_trainer


@pytest.fixture(scope="module")
def data_dir(real_corpora, tmp_path_factory) -> Path:
    """Some of EMO-DB's recordings and all of URDU's, prepared."""
    recordings, data = tmp_path_factory.mktemp("recordings"), tmp_path_factory.mktemp("data")
    (recordings / "urdu").symlink_to(real_corpora / "urdu")
    (recordings / "emodb").mkdir()
    for path in sorted((real_corpora / "emodb").rglob("*.flac"))[:60]:
        (recordings / "emodb" / path.name).symlink_to(path)
    for name in ("urdu", "emodb"):
        datasets.prepare(name, recordings, data)
    return data


def untrained(preset, data_dir, run) -> None:
    """Write a run that has learned nothing yet: what is compared does not depend on it."""
    config = MetaTrainConfig(data_dir=str(data_dir), sources=("emodb",), run_dir=run, **META_TRAIN[preset])
    corpus = datasets.load("emodb", data_dir).select(config.emotions)
    sources = [Target(corpus, split(corpus, "random"), corpus.digest()).as_input(config.front_end)]
    state = make_trainer(MetaTrainSpec.of(config), training_utterances(sources)).state
    claim(run, identity(dataclasses.asdict(config), config.algorithm, config.sources, sources))
    with Checkpoints(run) as checkpoints:
        checkpoints.save(1, state, 0.5)


def link(corpus, index, real_corpora, folder):
    """EMOTION/SPEAKER/FILE, as people keep their clips."""
    for i in index:
        path = folder / corpus.emotions[corpus.label[i]] / corpus.speaker[i] / Path(corpus.file[i]).name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(real_corpora / "urdu" / corpus.file[i])
    return str(folder)


@pytest.mark.parametrize(("preset", "kind", "by"), [("recommended", "random", "train"), ("lstm", "speaker", "drawn")])
def test_adapted_to_five_clips_of_urdu_it_scores_as_finetune(preset, kind, by, data_dir, real_corpora, tmp_path):
    run, tuned = str(tmp_path / "run"), str(tmp_path / "tuned")
    untrained(preset, data_dir, run)
    choice = {"split": kind, "normalise_by": by, "shots": 5, "seeds": 1, "init": run, "out": tuned}
    config = FinetuneConfig(**FINETUNE[preset] | choice, data_dir=str(data_dir), target="urdu")
    run_finetune(config)
    (target,) = load_target(config, load=datasets.load)
    corpus, test = target.corpus, target.split.test
    drawn, _ = draw(target, Amount("shots", 5), config.validation, 0)
    if kind == "speaker":
        assert not set(corpus.speaker[drawn]) & set(corpus.speaker[test])
    how = {"support": link(corpus, drawn, real_corpora, tmp_path / "support"), "out": str(tmp_path / "model")}
    if by == "train":
        how["unlabelled"] = link(corpus, target.split.train, real_corpora, tmp_path / "train")
    predictor = Predictor(run_adapt(AdaptConfig(init=run, optimizer=config.optimizer, repeats=1, **how)))
    clips = list(read_all([real_corpora / "urdu" / file for file in corpus.file[test]], features=predictor.features))
    said = [one.label for one in predictor.predict_clips(clips, windows="first")]
    expected = np.load(tmp_path / "tuned" / PREDICTIONS)
    np.testing.assert_array_equal(expected["utterance"], test)
    assert said == [corpus.emotions[label] for label in expected["predicted"]]
    assert len(set(said)) > 1, "it has learned something from the clips"
