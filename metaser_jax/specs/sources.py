"""What meta-training and pre-training share: corpora to learn from, intervals, and how a step is computed."""

import dataclasses

from metaser_jax.specs.base import option, require
from metaser_jax.specs.network import TrainSpec


@dataclasses.dataclass(frozen=True, kw_only=True)
class SourcesSpec(TrainSpec):
    """A network that learns from source corpora, in intervals, with checkpoints."""

    TITLE = "The sources"

    sources: tuple[str, ...] = option("Corpora to learn from, separated by commas.")
    learn_from: str = option(
        "What of each source is learned from: train, its training part (56 %, as the paper), or all but the validation "
        "part (86 %), since nothing is scored on a source.",
        "train",
        choices=("train", "all"),
    )
    split_seed: int = option("Seed of the sources' train, validation and test parts.", 0)
    log_every: int = option("Steps per line of metrics.jsonl, and per dispatch to the device.", 1)
    checkpoint_every: int = option("Steps between checkpoints; a multiple of --log_every.", 1)
    devices: int = option("Devices that share a step.", 0, how=True)
    chunk: int = option(
        "Utterances whose gradient is computed at once; 0 is all. -1: 20 on a CPU, else all.", -1, how=True
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require(bool(self.sources), "sources", self.sources, "at least one corpus")
        require(len(set(self.sources)) == len(self.sources), "sources", self.sources, "each corpus once")
        self._require_one_or_more("log_every", "checkpoint_every")
        require(self.devices >= 0, "devices", self.devices, "0 or more")
        require(self.chunk >= -1, "chunk", self.chunk, "-1 (the default), 0 (all at once) or a number of utterances")
        require(
            self.checkpoint_every % self.log_every == 0,
            "checkpoint_every",
            self.checkpoint_every,
            f"a multiple of --log_every={self.log_every}",
        )
