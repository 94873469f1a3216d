"""What the programs that train have in common."""

import dataclasses

from metaser_jax.config.base import option, require
from metaser_jax.config.cluster import ClusterConfig
from metaser_jax.config.model import ModelConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobConfig(ModelConfig, ClusterConfig):
    """Trains a network, on one process or several."""

    data_dir: str = option("Folder of prepared corpora (experiments/prepare.py); every process reads its own.")
    keep_checkpoints: int = option("Newest checkpoints of a run to keep, besides the best.", 3)
    profile: int = option("Intervals, after the first, to trace with jax.profiler into the run's profile/.", 0)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_one_or_more("keep_checkpoints")
        require(self.profile >= 0, "profile", self.profile, "0 or more")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingConfig(JobConfig):
    """A run in a directory of its own."""

    run_dir: str = option("Folder for the checkpoints, config.json and metrics.jsonl; process 0 writes it.")
