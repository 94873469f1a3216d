"""What a network is, and what it is given of a recording."""

import dataclasses
import math

from metaser_jax.emotions import EMOTIONS, FOUR_EMOTIONS
from metaser_jax.errors import check_choice
from metaser_jax.specs.base import Spec, option, require
from metaser_jax.specs.voice import GROUPS, POOLED_FRAMES, columns, tracks_of
from metaser_jax.types import N_FRAMES, N_MFCC

NETWORKS = ("lstm", "perceptron", "both")
FEATURES = ("mfcc", "voice", "tracks", "both")
# What each network is given.
FEATURES_OF = {"lstm": ("mfcc", "tracks"), "perceptron": ("voice",), "both": ("both",)}
POOLINGS = ("last", "mean", "mean_std")
ACTIVATIONS = ("none", "relu")
NORMALISATIONS = ("none", "corpus", "speaker", "utterance", "auto")
RECURRENCES = ("scan", "kernel")
# Of input_statistics, in deviations: about the 10th, 25th, 50th, 75th and 90th percentiles of a normal distribution.
THRESHOLDS = (-1.3, -0.67, 0.0, 0.67, 1.3)


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkSpec(Spec):
    """What a network is."""

    TITLE = "The network"

    emotions: tuple[str, ...] = option("Emotions to tell apart, separated by commas.", FOUR_EMOTIONS)
    network: str = option(
        "Kind of network: lstm (the paper's, over MFCC or the voice's tracks), perceptron (one hidden layer, over "
        "statistics of the voice) or both (one last layer on both).",
        "lstm",
        choices=NETWORKS,
    )
    hidden_dim: int = option("Hidden units of each LSTM layer, and of the first dense layer.", 128)
    members: int = option(
        "With --network=perceptron: how many of it learn side by side; the mean of their logits is the network's.", 1
    )
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
        self._require_one_or_more("hidden_dim", "members")
        alone = self.network == "perceptron" or self.members == 1
        require(alone, "members", self.members, "1 without --network=perceptron")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrontEnd(Spec):
    """What a network is given of a recording (data/inputs.py)."""

    TITLE = "What is heard"

    features: str = option(
        "What is heard: mfcc (the paper: 20 coefficients of the first 2.79 s), voice (statistics of the whole clip's "
        "pitch, loudness, tilt and spectrum), tracks (these frame by frame, of the first 5.6 s) or both.",
        "mfcc",
        choices=FEATURES,
    )
    track_groups: tuple[str, ...] = option(
        f"Without --features=mfcc: which of the voice is heard, separated by commas: {', '.join(GROUPS)}.",
        tuple(GROUPS),
    )
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
        groups = self.track_groups
        require(bool(groups) and len(set(groups)) == len(groups), "track_groups", groups, "at least one, each once")
        for group in groups:
            check_choice("--track_groups", group, GROUPS)
        if self.features == "mfcc":
            require(groups == tuple(GROUPS), "track_groups", groups, "all of them with --features=mfcc, which has none")
            return
        for flag in ("trim_db", "deltas"):
            require(not getattr(self, flag), flag, getattr(self, flag), "what --features=mfcc alone has, left out")
        own = self.features != "voice" or self.normalise != "utterance"
        require(own, "normalise", self.normalise, "another with --features=voice, which are one row per utterance")

    @property
    def coefs(self) -> int:
        """Numbers per row of the input."""
        if self.features == "mfcc":
            return N_MFCC * (2 if self.deltas else 1)
        return len(columns(self.track_groups)) if self.features == "voice" else len(tracks_of(self.track_groups))

    @property
    def statistics_rows(self) -> int:
        """Rows of --features=both that hold statistics, before those of frames."""
        return -(-len(columns(self.track_groups)) // self.coefs) if self.features == "both" else 0

    @property
    def rows(self) -> int:
        """Rows of the input: frames, or one of statistics, or both."""
        return {"mfcc": N_FRAMES, "voice": 1}.get(self.features, POOLED_FRAMES + self.statistics_rows)

    @property
    def of_split(self) -> bool:
        """Whether the input depends on which utterances train."""
        return self.normalise in ("corpus", "auto")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelSpec(FrontEnd, NetworkSpec):
    """A network and its input: the settings of a model folder."""

    def __post_init__(self) -> None:
        super().__post_init__()
        valid = FEATURES_OF[self.network]
        require(
            self.features in valid, "features", self.features, f"{' or '.join(valid)} with --network={self.network}"
        )
        plain = self.features == "mfcc" or not self.input_statistics
        require(plain, "input_statistics", True, "left out without --features=mfcc")

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
