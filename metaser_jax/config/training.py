"""The programs that train on source corpora."""

import dataclasses

from metaser_jax.specs import JobSpec, MetaTrainSpec, PretrainSpec, option


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobConfig(JobSpec):
    """Trains on prepared corpora, in one process or several."""

    data_dir: str = option(
        "Folder of prepared corpora (metaser prepare); every process reads its own.",
        there="prepared corpora (metaser prepare)",
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingConfig(JobConfig):
    """A run in a directory of its own."""

    run_dir: str = option("Folder for the checkpoints, config.json and metrics.jsonl; process 0 writes it.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class MetaTrainConfig(MetaTrainSpec, TrainingConfig):
    """metaser meta-train."""

    TITLE = "Meta-learning"

    init: str = option(
        "Folder of a finished run of metaser pretrain whose parameters meta-training starts from, of the same network "
        "and input, with sources among --sources; multiser: such a run, trained first in RUN_DIR_multiser by "
        "pretrain's preset recommended; empty: random ones, by the seed.",
        "",
        common=True,
        there="a run of metaser pretrain, or multiser",
        named=("multiser",),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class PretrainConfig(PretrainSpec, TrainingConfig):
    """metaser pretrain."""
