"""Fake corpora under real names, and tiny networks: a study in seconds."""

import pytest
from fakes import fake_corpus

from metaser_jax import InputError
from metaser_jax.datasets.targets import Corpora
from metaser_jax.specs import presets

# All of one size, so that they share programs.
CORPORA = {
    "ravdess": fake_corpus("ravdess", per_emotion=20, noise=1.0),
    "emodb": fake_corpus("emodb", per_emotion=20, seed=1, noise=1.0),
    "urdu": fake_corpus("urdu", per_emotion=20, seed=2, noise=1.5),
}
TINY = {"hidden_dim": 4, "members": 2, "normalise": "corpus"}


def load(name, data_dir):
    if name not in CORPORA:
        raise InputError(f"{name} is not prepared")
    return CORPORA[name]


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """Folder of the pre-training runs, which the studies share."""
    return str(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def tiny():
    """The recommended presets are for networks of four hidden units; gives ravdess, emodb and urdu as prepared."""
    train = {"shots": 2, "shots_mix": (0, 2), "queries": 2, "tasks_per_episode": 2, "episodes": 4, "log_every": 2}
    train |= {"checkpoint_every": 2, "algorithm": "maml", "order": "first", "inner_steps": 2, "prototype_scale": 1.0}
    changes = {
        "META_TRAIN": train,
        "PRETRAIN": {"max_epochs": 2, "log_every": 1, "checkpoint_every": 2, "batch_size": 8},
        "FINETUNE": {"max_epochs": 3, "patience": 2},
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, values in changes.items():
            preset = getattr(presets, name)["recommended"] | TINY | values
            patch.setitem(getattr(presets, name), "recommended", preset)
        yield Corpora(load, lambda name, data_dir: name in CORPORA)
