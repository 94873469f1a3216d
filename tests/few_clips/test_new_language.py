"""A new language on real recordings: `metaser adapt` is experiments/finetune.py for the same draw, to the last clip."""

import dataclasses
import json
from pathlib import Path

import pytest
import subprograms
from small_runs import load_target

from metaser_jax import datasets
from metaser_jax.adaptation.engine import draw
from metaser_jax.adaptation.finetune import run_finetune
from metaser_jax.data.splits import split
from metaser_jax.data.target import Target
from metaser_jax.results.outcomes import PREDICTIONS, Amount, read_predictions
from metaser_jax.results.run_dir import claim
from metaser_jax.specs import MetaTrainSpec
from metaser_jax.specs.presets import FINETUNE, META_TRAIN
from metaser_jax.specs.programs import FinetuneConfig, MetaTrainConfig
from metaser_jax.training.checkpoints import Checkpoints
from metaser_jax.training.run import identity, training_utterances
from metaser_jax.training.trainer import make_trainer

SHOTS = 5


@pytest.fixture(scope="module")
def data_dir(real_corpora, tmp_path_factory) -> Path:
    """EMO-DB's and URDU's recordings, some of the first and all of the second, prepared."""
    recordings, data = tmp_path_factory.mktemp("recordings"), tmp_path_factory.mktemp("data")
    (recordings / "urdu").symlink_to(real_corpora / "urdu")
    (recordings / "emodb").mkdir()
    for path in sorted((real_corpora / "emodb").rglob("*.flac"))[:60]:
        (recordings / "emodb" / path.name).symlink_to(path)
    for name in ("urdu", "emodb"):
        datasets.prepare(name, recordings, data)
    return data


@pytest.fixture
def run_dir(data_dir, tmp_path, preset) -> str:
    """A run that has learned nothing yet: what is compared does not depend on it."""
    run = str(tmp_path / "run")
    config = MetaTrainConfig(data_dir=str(data_dir), sources=("emodb",), run_dir=run, **META_TRAIN[preset])
    corpus = datasets.load("emodb", data_dir).select(config.emotions)
    parts = split(corpus, "random")
    sources = [Target(corpus, parts, corpus.digest()).as_input(config.front_end)]
    state = make_trainer(MetaTrainSpec.of(config), training_utterances(sources)).state
    claim(run, identity(dataclasses.asdict(config), config.algorithm, config.sources, sources))
    with Checkpoints(run) as checkpoints:
        checkpoints.save(1, state, 0.5)
    return run


def metaser(*args):
    done = subprograms.metaser(*args)
    assert done.returncode == 0, done.stderr
    return done.stdout


def link(corpus, index, real_corpora, folder):
    """EMOTION/SPEAKER/FILE, as people keep their clips."""
    for i in index:
        file = corpus.file[i]
        into = folder / corpus.emotions[corpus.label[i]] / corpus.speaker[i]
        into.mkdir(parents=True, exist_ok=True)
        (into / Path(file).name).symlink_to(real_corpora / "urdu" / file)
    return folder


@pytest.mark.parametrize(
    ("preset", "kind", "by"),
    [("recommended", "speaker", "drawn"), ("recommended", "random", "train"), ("lstm", "speaker", "drawn")],
)
def test_adapted_to_five_clips_of_urdu_it_scores_as_finetune(
    preset, kind, by, data_dir, run_dir, real_corpora, tmp_path
):
    names = {"data_dir": str(data_dir), "target": "urdu", "init": run_dir, "out": str(tmp_path / "tuned")}
    choice = {"split": kind, "normalise_by": by, "shots": SHOTS, "seeds": 1}
    config = FinetuneConfig(**FINETUNE[preset] | names | choice)
    (row,) = run_finetune(config)
    (ready,) = load_target(config, load=datasets.load)
    corpus, (drawn, _) = ready.corpus, draw(ready, Amount("shots", SHOTS), config.validation, 0)
    if kind == "speaker":
        assert not set(corpus.speaker[drawn]) & set(corpus.speaker[ready.split.test])
    support, test, train = (
        link(corpus, index, real_corpora, tmp_path / name)
        for name, index in (("support", drawn), ("test", ready.split.test), ("train", ready.split.train))
    )
    unlabelled = [f"--unlabelled={train}"] if by == "train" else []
    model = f"--model={tmp_path / 'model'}"
    how = [f"--optimizer={config.optimizer}", *unlabelled]
    metaser("adapt", f"--init={run_dir}", f"--support={support}", f"--out={tmp_path / 'model'}", *how)

    lines = metaser("predict", model, "--format=json", "--windows=first", str(test)).splitlines()
    label_of = {Path(one["file"]).name: one["label"] for one in map(json.loads, lines)}
    predicted = read_predictions(tmp_path / "tuned" / PREDICTIONS)
    expected = {
        Path(corpus.file[u]).name: corpus.emotions[p]
        for u, p in zip(predicted.utterance, predicted.predicted, strict=True)
    }
    assert label_of == expected
    assert len(set(expected.values())) > 1, "it has learned something from the clips"
    if kind == "speaker":
        said = json.loads(metaser("evaluate", model, f"--support={test}", "--windows=first", "--format=json"))
        assert said["macro_f1"] == pytest.approx(row["macro_f1"], abs=1e-12)
