"""What a network is, and what it is given of a recording."""

import dataclasses
import math

from metaser_jax.emotions import EMOTIONS, FOUR_EMOTIONS
from metaser_jax.errors import check_choice
from metaser_jax.specs.base import Spec, option, require
from metaser_jax.types import N_MFCC

POOLINGS = ("last", "mean", "mean_std")
ACTIVATIONS = ("none", "relu")
NORMALISATIONS = ("none", "corpus", "speaker", "utterance", "auto")
RECURRENCES = ("scan", "kernel")
# Of input_statistics, in deviations: about the 10th, 25th, 50th, 75th and 90th percentiles of a normal distribution.
THRESHOLDS = (-1.3, -0.67, 0.0, 0.67, 1.3)


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkSpec(Spec):
    """What a network is."""

    emotions: tuple[str, ...] = option("Emotions to tell apart, separated by commas.", FOUR_EMOTIONS)
    hidden_dim: int = option("Hidden units of each LSTM layer and of the first dense layer.", 128)
    pooling: str = option(
        "How the second LSTM's states become one vector: the last of 120 (the paper), or mean, or mean and deviation, "
        "over the real frames.",
        "last",
        choices=POOLINGS,
    )
    activation: str = option("Non-linearity between the dense layers (the paper: none).", "none", choices=ACTIVATIONS)
    input_statistics: bool = option(
        "Give the last dense layer also statistics of the utterance's input, besides what the LSTM layers make of it.",
        False,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require(len(self.emotions) >= 2, "emotions", self.emotions, "at least two emotions")
        require(len(set(self.emotions)) == len(self.emotions), "emotions", self.emotions, "each emotion once")
        self._require_one_or_more("hidden_dim")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrontEnd(Spec):
    """What a network is given of a recording's MFCC (data/inputs.py)."""

    trim_db: float = option(
        "Silence: leading and trailing frames this many dB below a recording's loudest are dropped; 0 keeps all.", 0.0
    )
    deltas: bool = option("Give the network also the size of each coefficient's change from frame to frame.", False)
    normalise: str = option(
        "Input normalisation over the real frames: none (the paper), or per corpus, per speaker, per utterance; auto: "
        "per speaker where the training part's speakers say half of the emotions or more, else per corpus.",
        "none",
        choices=NORMALISATIONS,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.trim_db < math.inf, "trim_db", self.trim_db, "0 (keep all) or a positive number of dB")

    @property
    def coefs(self) -> int:
        """Numbers per frame."""
        return N_MFCC * (2 if self.deltas else 1)

    @property
    def of_split(self) -> bool:
        """Whether the input depends on which utterances train."""
        return self.normalise in ("corpus", "auto")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelSpec(FrontEnd, NetworkSpec):
    """A network and its input: the settings of a model folder."""

    @property
    def network(self) -> NetworkSpec:
        """The network alone."""
        return NetworkSpec.of(self)

    @property
    def front_end(self) -> FrontEnd:
        """The input alone."""
        return FrontEnd.of(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainSpec(ModelSpec):
    """A network that is to be trained on corpora."""

    recurrence: str = option(
        "What runs the LSTM layers' loops over time: scan, or kernel (on CUDA one kernel per loop, not measured yet; "
        "elsewhere scan), for --hidden_dim=16, 32, 64 or 128.",
        "scan",
        choices=RECURRENCES,
        how=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for emotion in self.emotions:
            check_choice("--emotions", emotion, EMOTIONS)
