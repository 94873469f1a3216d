"""Fake prepared corpora in the place of those on disk."""

import pytest
from fakes import fake_corpus

from metaser_jax import datasets
from metaser_jax.config import FinetuneConfig, MetaTrainConfig, PretrainConfig

CORPORA = {
    "a": fake_corpus("a", per_emotion=20, noise=1.0),
    "b": fake_corpus("b", per_emotion=24, seed=1, noise=1.0),
    "c": fake_corpus("c", per_emotion=30, seed=2, noise=1.0),
}


@pytest.fixture
def prepared(monkeypatch):
    monkeypatch.setattr(datasets, "load", lambda name, data_dir: CORPORA[name])


@pytest.fixture
def train_config(tmp_path):
    """A run of 12 episodes in intervals of 4."""

    def make(**changes) -> MetaTrainConfig:
        values = {
            "data_dir": "data",
            "sources": ("a", "b"),
            "run_dir": str(tmp_path / "run"),
            "hidden_dim": 4,
            "pooling": "mean",
            "normalise": "corpus",
            "inner_lr": 0.1,
            "meta_lr": 1e-2,
            "tasks_per_episode": 2,
            "shots": 2,
            "queries": 3,
            "episodes": 12,
            "log_every": 4,
            "checkpoint_every": 4,
        }
        return MetaTrainConfig(**values | changes)

    return make


@pytest.fixture
def pretrain_config(tmp_path):
    """A run of at most 6 epochs a stage, in intervals of 2."""

    def make(**changes) -> PretrainConfig:
        values = {
            "data_dir": "data",
            "sources": ("a", "b"),
            "run_dir": str(tmp_path / "pretrained"),
            "method": "multiser",
            "hidden_dim": 4,
            "pooling": "mean",
            "normalise": "corpus",
            "lr": 1e-2,
            "batch_size": 16,
            "max_epochs": 6,
            "patience": 6,
            "log_every": 2,
            "checkpoint_every": 2,
        }
        return PretrainConfig(**values | changes)

    return make


@pytest.fixture
def finetune_config(tmp_path):
    def make(**changes) -> FinetuneConfig:
        values = {
            "data_dir": "data",
            "init": "scratch",
            "target": "c",
            "out": str(tmp_path / "out"),
            "shots": 4,
            "seeds": 2,
            "hidden_dim": 4,
            "pooling": "mean",
            "normalise": "corpus",
            "lr": 0.05,
            "max_epochs": 15,
            "patience": 5,
        }
        return FinetuneConfig(**values | changes)

    return make
