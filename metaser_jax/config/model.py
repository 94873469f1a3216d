"""The network and its input."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from metaser_jax.config.base import Config, option, require
from metaser_jax.emotions import EMOTIONS, FOUR_EMOTIONS
from metaser_jax.errors import check_choice

if TYPE_CHECKING:
    from metaser_jax.data.inputs import Input


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig(Config):
    """The network and its input; part of what a run is, unless HOW names it."""

    emotions: tuple[str, ...] = option("Emotions to tell apart, separated by commas.", FOUR_EMOTIONS)
    hidden_dim: int = option("Hidden units of each LSTM layer and of the first dense layer.", 128)
    pooling: str = option(
        "How the second LSTM's states become one vector: the last of 120 (the paper), or mean, or mean and deviation, "
        "over the real frames.",
        "last",
        choices=("last", "mean", "mean_std"),
    )
    activation: str = option(
        "Non-linearity between the dense layers (the paper: none).", "none", choices=("none", "relu")
    )
    normalise: str = option(
        "Input normalisation over the real frames: none (the paper), or per corpus, per speaker, per utterance; auto: "
        "per speaker where the training part's speakers say half of the emotions or more, else per corpus.",
        "none",
        choices=("none", "corpus", "speaker", "utterance", "auto"),
    )
    trim_db: float = option(
        "Silence: leading and trailing frames this many dB below a recording's loudest are dropped; 0 keeps all.", 0.0
    )
    deltas: bool = option("Give the network also the size of each coefficient's change from frame to frame.", False)
    input_statistics: bool = option(
        "Give the last dense layer also statistics of the utterance's input, besides what the LSTM layers make of it.",
        False,
    )
    recurrence: str = option(
        "What runs the LSTM layers' loops over time: scan, or kernel (on CUDA one kernel per loop, not measured yet; "
        "elsewhere scan), for --hidden_dim=16, 32, 64 or 128.",
        "scan",
        choices=("scan", "kernel"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require(len(self.emotions) >= 2, "emotions", self.emotions, "at least two emotions")
        require(len(set(self.emotions)) == len(self.emotions), "emotions", self.emotions, "each emotion once")
        for emotion in self.emotions:
            check_choice("--emotions", emotion, EMOTIONS)
        self._require_one_or_more("hidden_dim")
        require(self.trim_db >= 0, "trim_db", self.trim_db, "0 (keep all) or a positive number of dB")

    @property
    def input(self) -> Input:
        """What the network is given of a corpus."""
        from metaser_jax.data.inputs import Input  # it imports jax, and a command line may have no need of that

        return Input(self.trim_db, self.deltas, self.normalise)
