"""Where a study starts: its configuration taken apart."""

from pathlib import Path

from metaser_jax.config import StudyConfig, presets
from metaser_jax.datasets.targets import Corpora
from metaser_jax.studies.study import Settings, SpecT, Study


def study_of(config: StudyConfig, spec: type[SpecT], corpora: Corpora) -> Study[SpecT]:
    """Return the study that a configuration names."""
    finetune = presets.FINETUNE
    # The paper adapts its baselines by another schedule than MetaSER.
    baseline = finetune.get(f"{config.preset}_baseline", finetune[config.preset])
    settings = Settings(
        presets.META_TRAIN[config.preset], presets.PRETRAIN[config.preset], finetune[config.preset], baseline
    )
    runs = Path(config.out, "runs") if config.runs is None else Path(config.runs)
    return Study(spec.of(config), settings, config.data_dir, Path(config.out), runs, corpora)
