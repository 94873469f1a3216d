"""Where a study starts: its configuration taken apart."""

import functools
from pathlib import Path

from metaser_jax.datasets.targets import Corpora
from metaser_jax.specs import presets
from metaser_jax.specs.studies import StudyConfig
from metaser_jax.studies.study import Settings, SpecT, Study


def study_of(config: StudyConfig, spec: type[SpecT], corpora: Corpora) -> Study[SpecT]:
    """Return the study that a configuration names."""
    runs = Path(config.out, "runs") if config.runs is None else Path(config.runs)
    # Every run reads its sources; they are the same.
    corpora = corpora._replace(load=functools.cache(corpora.load))
    return Study(spec.of(config), settings_of(config.preset), config.data_dir, Path(config.out), runs, corpora)


def settings_of(preset: str) -> Settings:
    """Return how a preset trains each method."""
    finetune = presets.FINETUNE
    # The paper adapts its baselines by another schedule than MetaSER.
    baseline = finetune.get(f"{preset}_baseline", finetune[preset])
    learn = dict(presets.META_TRAIN[preset])
    start = learn.pop("init", None)
    changes = presets.OF_METHOD.get(preset, {})
    return Settings(learn, presets.PRETRAIN[preset], finetune[preset], baseline, changes, start)
