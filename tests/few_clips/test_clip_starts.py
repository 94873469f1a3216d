"""What metaser adapt starts from: runs over MFCC or the voice, and no others."""

import dataclasses
import functools

import numpy as np
import pytest
from fakes import fake_corpus, fake_voice

from metaser_jax.adaptation.few_clips import Adaptation, adapt_model
from metaser_jax.adaptation.starts import read_start
from metaser_jax.recogniser.predictor import Predictor
from metaser_jax.training.meta_train import meta_train


@functools.cache
def load(name, data_dir=None):
    """A corpus with what is heard of its voices, as datasets.load reads a prepared one."""
    corpus = fake_corpus(name, per_emotion=16, noise=1.0)
    tracks = np.random.default_rng(0).normal(size=(len(corpus), 120, 19)).astype(np.float32)
    n_tracks = np.full(len(corpus), 120, np.int32)
    return dataclasses.replace(corpus, voice=fake_voice(corpus.label), tracks=tracks, n_tracks=n_tracks)


@pytest.fixture
def trained(train_config):
    """A run of one interval."""

    def train(**changes) -> str:
        config = train_config(sources=("emodb", "ravdess"), episodes=4, normalise="speaker", **changes)
        meta_train(config, load=load)
        return config.run_dir

    return train


def test_a_run_over_the_voice(trained):
    found = read_start(trained(network="perceptron", features="voice", members=2), "auto", "inner")
    assert (found.settings.network, found.settings.features, found.settings.members) == ("perceptron", "voice", 2)
    one = load("c").take(np.arange(0, 64, 4))
    how = Adaptation(optimizer="inner", max_epochs=30, repeats=1, folds=2)
    start = found.start._replace(rates=None)
    model = adapt_model(start, found.settings, how, one, about={"init": found.about})
    said = Predictor(model).logits(one.voice).argmax(-1)
    assert np.mean(said == one.label) > 0.6
