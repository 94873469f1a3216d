"""Small runs on fake corpora: the programs' entries, which are given the corpora, and their configurations."""

import functools
import resource

import pytest
from fakes import fake_corpus

from metaser_jax.adaptation import classifiers, engine, starts
from metaser_jax.adaptation.finetune import run_finetune as real_run_finetune
from metaser_jax.data.target import Target
from metaser_jax.datasets.targets import load_targets
from metaser_jax.results.outcomes import Outcome
from metaser_jax.specs import FinetuneSpec
from metaser_jax.specs.programs import FinetuneConfig, MetaTrainConfig, PretrainConfig
from metaser_jax.training.meta_train import meta_train as real_meta_train
from metaser_jax.training.pretrain import pretrain as real_pretrain

CORPORA = {
    "a": fake_corpus("a", per_emotion=20, noise=1.0),
    "b": fake_corpus("b", per_emotion=24, seed=1, noise=1.0),
    "c": fake_corpus("c", per_emotion=30, seed=2, noise=1.0),
}

# Of the smallest network over these.
SMALL = {"data_dir": "data", "hidden_dim": 4, "pooling": "mean", "normalise": "corpus"}


def load(name, data_dir):
    """Return a fake corpus, as datasets.load reads a prepared one."""
    return CORPORA[name]


class Killed(KeyboardInterrupt):
    """Ends a run as if it had been interrupted, which is no Exception."""


def killed_at(step: str, number: int):
    """Return an on_interval that ends a run after the interval that ends at `number` episodes or epochs."""

    def on_interval(line):
        if line[step] == number:
            raise Killed

    return on_interval


meta_train = functools.partial(real_meta_train, load=load)
pretrain = functools.partial(real_pretrain, load=load)
run_finetune = functools.partial(real_run_finetune, load=load)


def load_target(config: FinetuneConfig, load=load) -> tuple[Target, ...]:
    """Return the target of a configuration, with its split or each of its folds."""
    of_split = {"split_kind": config.split, "split_seed": config.split_seed, "folds": config.folds}
    return load_targets(config.target, config.data_dir, emotions=config.emotions, **of_split, load=load)


def load_sources(config: FinetuneConfig, load=load) -> tuple[Target, ...]:
    """Return the corpora that a support vector machine learns from."""
    return classifiers.load_sources(config.sources, config.data_dir, config.emotions, load)


def resolve(config: FinetuneConfig, given=()) -> tuple[FinetuneConfig, starts.Init]:
    """Resolve a configuration's start."""
    spec, init = starts.resolve(config.init, FinetuneSpec.of(config), config.target, given)
    return FinetuneConfig.of(config, **vars(spec)), init


def adapt(config: FinetuneConfig, inits, folds, amounts) -> list[Outcome]:
    """Adapt as a configuration says."""
    return engine.adapt(FinetuneSpec.of(config), inits, folds, amounts, config.seeds)


def adapt_svm(config: FinetuneConfig, folds, amounts, sources=()) -> list[Outcome]:
    """Fit support vector machines as a configuration says."""
    return classifiers.adapt_classifier(classifiers.SVM, FinetuneSpec.of(config), folds, amounts, config.seeds, sources)


@pytest.fixture
def train_config(tmp_path):
    """A run of 12 episodes in intervals of 4."""

    def make(**changes) -> MetaTrainConfig:
        values = {"sources": ("a", "b"), "run_dir": str(tmp_path / "run"), "inner_lr": 0.1, "meta_lr": 1e-2}
        values |= {"tasks_per_episode": 2, "shots": 2, "queries": 3}
        values |= {"episodes": 12, "log_every": 4, "checkpoint_every": 4}
        return MetaTrainConfig(**SMALL | values | changes)

    return make


@pytest.fixture
def pretrain_config(tmp_path):
    """A run of at most 6 epochs a stage, in intervals of 2."""

    def make(**changes) -> PretrainConfig:
        values = {"sources": ("a", "b"), "run_dir": str(tmp_path / "pretrained"), "method": "multiser", "lr": 1e-2}
        values |= {"batch_size": 16, "max_epochs": 6, "patience": 6, "log_every": 2, "checkpoint_every": 2}
        return PretrainConfig(**SMALL | values | changes)

    return make


@pytest.fixture
def finetune_config(tmp_path):
    def make(**changes) -> FinetuneConfig:
        values = {"init": "scratch", "target": "c", "out": str(tmp_path / "out"), "shots": 4, "seeds": 2}
        values |= {"lr": 0.05, "max_epochs": 15, "patience": 5}
        return FinetuneConfig(**SMALL | values | changes)

    return make


@pytest.fixture
def largest_file():
    """Sets the size in bytes at which this process cannot write on in a file, as if the disk were full; () ends that.

    To be ended within the test: pytest may write what it prints into a file.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(size=soft):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))

    yield limit
    limit()
