"""Specifications of the network and of its input."""

import dataclasses
import math

from metaser_jax.emotions import EMOTIONS, FOUR_EMOTIONS
from metaser_jax.specs.base import Spec, option
from metaser_jax.specs.voice import GROUPS, VECTORS, columns
from metaser_jax.types import N_FRAMES, N_MFCC

# What each network can be given.
FEATURES_OF = {"lstm": ("mfcc",), "perceptron": ("voice", "encoder", "embeddings")}
# What is said of networks and features of earlier versions.
WENT = "a network over frames of the voice is an example in docs/library.md"
NORMALISATIONS = ("none", "corpus", "speaker", "utterance", "auto")
# Of an embedding, at most.
MOST_NUMBERS = 4096
# Of input_statistics, in deviations: about the 10th, 25th, 50th, 75th and 90th percentiles of a normal distribution.
THRESHOLDS = (-1.3, -0.67, 0.0, 0.67, 1.3)


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkSpec(Spec):
    """A network's kind and size."""

    TITLE = "The network"

    emotions: tuple[str, ...] = option(FOUR_EMOTIONS, distinct=True)
    """Emotions to tell apart, separated by commas."""
    network: str = option("lstm", choices=FEATURES_OF)
    """Kind of network: lstm (the paper's, over MFCC) or perceptron (one hidden layer, over what is heard of
    a voice)."""
    hidden_dim: int = option(128, least=1)
    """Hidden units of each LSTM layer, and of the first dense layer."""
    members: int = option(1, least=1)
    """With --network=perceptron: how many of it learn side by side; the mean of their logits is the network's."""
    pooling: str = option("last", choices=("last", "mean", "mean_std"))
    """How the second LSTM's states become one vector: the last of 120 (the paper), or mean, or mean and deviation, over
    the real frames."""
    activation: str = option("none", choices=("none", "relu"))
    """Non-linearity between the dense layers (the paper: none)."""
    input_statistics: bool = option(False)
    """Give the last dense layer also statistics of the utterance's input, besides what the LSTM layers make of it."""

    def __post_init__(self) -> None:
        self.require(self.network != "both", "network", f"lstm or perceptron; {WENT}")
        super().__post_init__()
        self.require(len(self.emotions) >= 2, "emotions", "at least two emotions")
        self.require(self.network == "perceptron" or self.members == 1, "members", "1 without --network=perceptron")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrontEnd(Spec):
    """The front end: a network's input, made from a recording (data/inputs.py)."""

    TITLE = "What is heard"

    features: str = option("mfcc", choices=("mfcc", "voice", "encoder", "embeddings"))
    """What is heard: mfcc (the paper: 20 coefficients of the first 2.79 s), voice (statistics of the whole clip's
    pitch, loudness, tilt and spectrum), encoder (these and the layers of a pretrained speech encoder, see metaser
    fetch-encoder), or embeddings (these and a vector of each clip that you give)."""
    embedding_dim: int = option(0, least=0, below=MOST_NUMBERS + 1)
    """With --features=embeddings: numbers of each clip's vector."""
    embeddings_name: str = option("")
    """With --features=embeddings: name of what made the vectors; whoever uses the model is asked for the same."""
    track_groups: tuple[str, ...] = option(tuple(GROUPS), distinct=True, items=GROUPS)
    """Without --features=mfcc: which of the voice is heard, separated by commas: {valid}."""
    trim_db: float = option(0.0, least=0)
    """Silence: leading and trailing frames this many dB below a recording's loudest are dropped; 0 keeps all."""
    deltas: bool = option(False)
    """Give the network also the size of each coefficient's change from frame to frame."""
    normalise: str = option("none", choices=NORMALISATIONS)
    """Input normalisation over the real frames: none (the paper), or per corpus, per speaker, per utterance; auto: per
    speaker where the training part's speakers say half of the emotions or more, else per corpus."""

    def __post_init__(self) -> None:
        self.require(self.features not in ("both", "tracks"), "features", f"mfcc or voice; {WENT}")
        super().__post_init__()
        own = self.features == "embeddings"
        expected = "more than 0 with --features=embeddings, and 0 without"
        self.require((self.embedding_dim > 0) == own, "embedding_dim", expected)
        self.require(own or not self.embeddings_name, "embeddings_name", "none without --features=embeddings")
        if self.features == "mfcc":
            expected = "all of them with --features=mfcc, which has none"
            self.require(self.track_groups == tuple(GROUPS), "track_groups", expected)
            return
        for flag in ("trim_db", "deltas"):
            self.require(not getattr(self, flag), flag, "what --features=mfcc alone has, left out")
        expected = "another without --features=mfcc: what is heard of a voice is one row per utterance"
        self.require(self.normalise != "utterance", "normalise", expected)

    @property
    def of_voice(self) -> bool:
        """True if what is heard of the voice is one row per utterance."""
        return self.features != "mfcc"

    @property
    def vectors(self) -> tuple[int, int]:
        """How many vectors there are of each utterance beside the statistics, and of how many numbers."""
        return {"encoder": VECTORS, "embeddings": (1, self.embedding_dim)}.get(self.features, (0, 0))

    @property
    def coefs(self) -> int:
        """Numbers per row of the input."""
        if not self.of_voice:
            return N_MFCC * (1 + self.deltas)
        return len(columns(self.track_groups)) + math.prod(self.vectors)

    @property
    def rows(self) -> int:
        """Rows of the input: frames, or one of statistics."""
        return 1 if self.of_voice else N_FRAMES

    @property
    def of_split(self) -> bool:
        """True if the input depends on which utterances train."""
        return self.normalise in ("corpus", "auto")


@dataclasses.dataclass(frozen=True, kw_only=True)
class EmbeddingsFile(Spec):
    """Where vectors of one's own are."""

    embeddings: str | None = option(None, how=True, there="FILE.npz or FILE.parquet")
    """With --features=embeddings: file with a vector of each recording, FILE.npz or FILE.parquet, of the columns file
    and vector."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelSpec(FrontEnd, NetworkSpec):
    """A network and its input: the settings of a model folder."""

    def __post_init__(self) -> None:
        super().__post_init__()
        valid = FEATURES_OF[self.network]
        self.require(self.features in valid, "features", f"{' or '.join(valid)} with --network={self.network}")
        plain = not self.of_voice or not self.input_statistics
        self.require(plain, "input_statistics", "left out without --features=mfcc")

    @property
    def front_end(self) -> FrontEnd:
        """The input alone."""
        return FrontEnd.of(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainSpec(ModelSpec):
    """A network that is to be trained on corpora."""

    emotions: tuple[str, ...] = option(FOUR_EMOTIONS, distinct=True, items=EMOTIONS)
    recurrence: str = option("scan", choices=("scan", "kernel"), how=True)
    """What runs the LSTM layers' loops over time: scan, or kernel (on CUDA one kernel per loop, not measured yet;
    elsewhere scan), for --hidden_dim=16, 32, 64 or 128."""
