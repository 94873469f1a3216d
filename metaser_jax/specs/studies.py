"""Specifications of the studies."""

import dataclasses

from metaser_jax.specs.algorithms import ALGORITHMS, ORDERS
from metaser_jax.specs.base import Spec, option, require
from metaser_jax.specs.network import EmbeddingsFile
from metaser_jax.specs.presets import META_TRAIN

SPLITS = ("random", "speaker")
LAYERS = ("head", "all")
METHODS = ("metaser", "transser", "multiser", "scratch", "svm")
FOMAML = "fomaml"
# Methods of the benchmark of unseen languages that need no source corpora where a start is given.
WITH_START = ("metaser", "scratch", "svm")
# Its baselines: learned from sources first, or fitted on sources and clips, or on clips, in one go.
BENCHMARK_BASELINES = ("transser", "multiser", "joint", "scratch", "svm", "svm_sources", "egemaps")
_BENCHMARKED = ("metaser", FOMAML, "meta_sgd", "proto_maml", *BENCHMARK_BASELINES)
# The amounts of the paper's Figure 2.
_TENTHS = tuple(tenths / 10 for tenths in range(1, 11))
# The paper's Table 2 has five source sets, of which four are known; the fifth is taken to be all of them.
PAPER_SOURCE_SETS = (
    ("tess", "emodb", "ravdess"),
    ("tess", "ravdess", "savee", "iemocap"),
    ("emodb", "ravdess", "savee", "iemocap"),
    ("tess", "emodb", "ravdess", "iemocap"),
    ("tess", "emodb", "ravdess", "savee", "iemocap"),
)


def variants() -> tuple[str, ...]:
    """Return what the ablation compares: MAML by its orders, and every other algorithm."""
    return (*ORDERS, *(name for name in ALGORITHMS if name != "maml"))


def benchmark_methods() -> tuple[str, ...]:
    """Return what the benchmark can compare: the preset's meta-learner, every algorithm, and the baselines."""
    return ("metaser", FOMAML, *ALGORITHMS, *BENCHMARK_BASELINES)


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudySpec(Spec):
    """A study: how often, and what of each method's preset is replaced."""

    TITLE = "How often, and what is replaced"

    splits: tuple[str, ...] = option(("random", "speaker"), common=True, distinct=True, items=SPLITS)
    """Splits of the targets: random, speaker."""
    folds: int = option(0, common=True)
    """The speaker split as K folds over speakers, each the test part once; 0 is one split."""
    split_seed: int = option(0)
    """Seed of the targets' train, validation and test parts."""
    seeds: int = option(10, common=True, least=1)
    """Draws of the target's clips, the same for every method: seeds 0, 1, ..."""
    pretrain_seeds: int = option(2, common=True, least=1)
    """Pre-training runs P of each kind; draw i starts from run i mod P."""
    episodes: int | None = option(None, least=1)
    """Episodes of meta-training; without it the preset's."""
    meta_shots: int | None = option(None, least=1)
    """Support utterances per emotion in meta-training; without it the preset's."""
    pretrain_epochs: int | None = option(None, least=1)
    """Most epochs of TransSER and MultiSER; without it the preset's."""
    max_epochs: int | None = option(None, least=1)
    """Most epochs of each adaptation; without it the preset's."""
    hidden_dim: int | None = option(None, least=1)
    """Hidden units of the network; without it the preset's."""
    emotions: tuple[str, ...] | None = option(None)
    """Emotions to tell apart, separated by commas; without it the preset's."""
    resamples: int = option(2000, least=1)
    """Bootstrap resamples behind an interval."""
    confidence: float = option(0.95, above=0, below=1)
    """Coverage of the intervals."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_folds(self.folds, "speaker" in self.splits)


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyConfig(StudySpec):
    """A study's folders, and the presets by which its methods are trained."""

    data_dir: str = option(there="prepared corpora (metaser prepare)")
    """Folder of prepared corpora (metaser prepare)."""
    out: str = option(short="o")
    """Folder for the cells, the tables, the pictures and the report."""
    runs: str | None = option(None, common=True)
    """Folder of the pre-training runs, which studies may share; without it OUT/runs. A run that is there is not trained
    again."""
    preset: str = option("recommended", choices=META_TRAIN, common=True)
    """Settings of every method: {valid} (metaser_jax/specs/presets.toml)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TargetsSpec(StudySpec):
    """A study of what is adapted to known targets, with some amounts of their data."""

    TITLE = "What is compared"

    targets: tuple[str, ...] = option(("emovo", "shemo", "urdu"), common=True, distinct=True)
    """Corpora to adapt to, separated by commas."""
    shots: tuple[int, ...] = option((5, 10), common=True, distinct=True, empty=True, least=0)
    """Amounts of target data, in clips per emotion."""
    fractions: tuple[float, ...] = option((), common=True, distinct=True, empty=True)
    """Amounts of target data, as fractions of the training part."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(bool(self.shots or self.fractions), "shots", "at least one amount, of --shots or --fractions")
        self.require(all(0 < f <= 1 for f in self.fractions), "fractions", "above 0 and at most 1")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComparisonSpec(TargetsSpec):
    """A study that compares methods."""

    methods: tuple[str, ...] = option(METHODS, common=True, distinct=True, items=METHODS)
    """Methods to compare: {valid}."""
    adapt: tuple[str, ...] = option(("head", "all"), common=True, distinct=True, items=LAYERS)
    """Layers that each network may adapt: head (the dense layers, as the paper's baselines), all (the fair
    comparison)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table2Config(ComparisonSpec, StudyConfig):
    """metaser table2: source sets x targets x methods."""

    TITLE = "What is compared"

    source_sets: tuple[str, ...] = option(("paper",), common=True, distinct=True)
    """Source sets, separated by commas, the corpora of a set by +: ravdess+emodb,ravdess. 'paper' is the paper's known
    four and all five sources."""
    fractions: tuple[float, ...] = option((1.0,), common=True, distinct=True, empty=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        sets = [tuple(sorted(s)) for s in self.sets]
        self.require(len(set(sets)) == len(sets), "source_sets", "each set once")

    @property
    def sets(self) -> tuple[tuple[str, ...], ...]:
        """The source sets, each as its corpora."""
        found: list[tuple[str, ...]] = []
        for text in self.source_sets:
            names = tuple(text.split("+"))
            distinct = all(names) and len(set(names)) == len(names)
            require(distinct, "source_sets", text, "corpora joined by +, each once: ravdess+emodb")
            found += PAPER_SOURCE_SETS if text == "paper" else [names]
        return tuple(found)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figure2Config(ComparisonSpec, StudyConfig):
    """metaser figure2: methods against the amount of target data."""

    TITLE = "What is compared"

    sources: tuple[str, ...] = option(("tess", "emodb", "ravdess"), common=True, distinct=True)
    """Corpora to learn from, separated by commas; the default is the paper's."""
    shots: tuple[int, ...] = option((1, 5, 10, 20), common=True, distinct=True, empty=True, least=0)
    fractions: tuple[float, ...] = option(_TENTHS, common=True, distinct=True, empty=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class OrderConfig(TargetsSpec, StudyConfig):
    """metaser ablation-order: meta-learners compared with second order MAML."""

    TITLE = "What is compared"

    sources: tuple[str, ...] = option(("tess", "emodb", "ravdess"), common=True, distinct=True)
    """Corpora to learn from, separated by commas; the default is the paper's."""
    variants: tuple[str, ...] = option(variants(), common=True, distinct=True, items=variants)
    """What is compared with second order, which is always there: {valid}."""
    anneal_share: float = option(0.5, above=0, below=1)
    """Of annealed: the share of its episodes that is first order."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("second" in self.variants, "variants", "second among them, which sets the time")


@dataclasses.dataclass(frozen=True, kw_only=True)
class UnseenSpec(StudySpec):
    """The benchmark: each corpus in turn is the unseen language, all others the sources."""

    TITLE = "What is compared"

    corpora: tuple[str, ...] = option(distinct=True)
    """Corpora, separated by commas, at least two: each in turn is the unseen language, learned from all others."""
    shots: tuple[int, ...] = option((0, 1, 5, 10, 20), common=True, distinct=True, least=0)
    """Clips per emotion of the unseen language; 0 is none at all."""
    methods: tuple[str, ...] = option(_BENCHMARKED, common=True, distinct=True, items=benchmark_methods)
    """Methods to compare, of which metaser is the preset's meta-learner: {valid}."""
    adapt: tuple[str, ...] = option(("head", "all"), distinct=True, items=LAYERS)
    """Layers that TransSER and MultiSER adapt: head, all."""
    splits: tuple[str, ...] = option(("speaker",), distinct=True, items=("speaker",))
    """Always speaker: who speaks an unseen language is unseen, too."""
    folds: int = option(5, common=True, least=2)
    """Folds over a corpus's speakers, at most: as many as give each about as many speakers."""
    together: bool = option(True, common=True)
    """Give each method that hears the voice rows of its own for clips that are labelled together, by voices."""
    start: str | None = option(None)
    """A run, a model folder or the name of a start, from which the method metaser adapts to every corpus, none of which
    it may have learned from; --methods are then some of metaser, scratch and svm."""

    def __post_init__(self) -> None:
        super().__post_init__()
        enough = len(self.corpora) >= (2 if self.start is None else 1)
        self.require(enough, "corpora", "at least two: one unseen, others to learn from")
        alone = self.start is None or set(self.methods) <= set(WITH_START)
        self.require(alone, "methods", f"some of {', '.join(WITH_START)} with --start={self.start}")

    @property
    def fractions(self) -> tuple[float, ...]:
        """None: fractions of corpora of different sizes are no common amount."""
        return ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class UnseenConfig(UnseenSpec, StudyConfig, EmbeddingsFile):
    """metaser unseen."""

    embeddings_name: str = option("")
    """With --embeddings: name of what made the vectors, which every network then hears."""

    manual_dir: tuple[str, ...] = option((), common=True, there="a folder of recordings")
    """For the method egemaps: folders, separated by commas, with the recordings that the corpora were prepared from
    (--manual_dir of metaser prepare)."""
    candidates: tuple[str, ...] = option((), distinct=True, empty=True, items=META_TRAIN)
    """Presets of the method metaser to choose from, separated by commas: each is run, and for each corpus the one that
    is best on the other corpora is scored besides."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(len(self.candidates) != 1, "candidates", "none, or two or more")
        heard = bool(self.manual_dir) or "egemaps" not in self.methods
        expected = "the folders of the recordings, which --methods=egemaps hears; or leave the method out"
        self.require(heard, "manual_dir", expected)
