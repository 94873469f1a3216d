"""The programs that train on source corpora."""

import dataclasses

from metaser_jax.specs import JobSpec, MetaTrainSpec, PretrainSpec, option


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobConfig(JobSpec):
    """Trains on prepared corpora, in one process or several."""

    data_dir: str = option("Folder of prepared corpora (experiments/prepare.py); every process reads its own.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingConfig(JobConfig):
    """A run in a directory of its own."""

    run_dir: str = option("Folder for the checkpoints, config.json and metrics.jsonl; process 0 writes it.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class MetaTrainConfig(MetaTrainSpec, TrainingConfig):
    """experiments/meta_train.py."""

    init: str = option(
        "Folder of a finished run of pretrain.py whose parameters meta-training starts from, of the same network and "
        "input, with sources among --sources; multiser: such a run, trained first in RUN_DIR_multiser by pretrain.py's "
        "preset recommended; empty: random ones, by the seed.",
        "",
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class PretrainConfig(PretrainSpec, TrainingConfig):
    """experiments/pretrain.py."""
