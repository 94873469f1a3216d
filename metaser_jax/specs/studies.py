"""What the studies compare, and how often."""

import dataclasses

from metaser_jax.errors import InputError, check_choice
from metaser_jax.specs.algorithms import ALGORITHMS, ORDERS
from metaser_jax.specs.base import Spec, option, require, require_folds
from metaser_jax.specs.presets import META_TRAIN

METHODS = ("metaser", "transser", "multiser", "scratch", "svm")
# What the benchmark of unseen languages compares besides every algorithm: the preset's own meta-learner, baselines
# that learn from sources first, and those that are fitted on sources and clips, or on clips, in one go.
FOMAML = "fomaml"
# Of them those that need no source corpora where a start is given.
WITH_START = ("metaser", "scratch", "svm")
BENCHMARK_BASELINES = ("transser", "multiser", "joint", "scratch", "svm", "svm_sources", "egemaps")
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
    """What the studies share: how often, and what of each method's preset is replaced."""

    TITLE = "How often, and what is replaced"

    splits: tuple[str, ...] = option("Splits of the targets: random, speaker.", ("random", "speaker"), common=True)
    folds: int = option(
        "The speaker split as K folds over speakers, each the test part once; 0 is one split.", 0, common=True
    )
    split_seed: int = option("Seed of the targets' train, validation and test parts.", 0)
    seeds: int = option("Draws of the target's clips, the same for every method: seeds 0, 1, ...", 10, common=True)
    pretrain_seeds: int = option("Pre-training runs P of each kind; draw i starts from run i mod P.", 2, common=True)
    episodes: int | None = option("Episodes of meta-training; without it the preset's.", None)
    meta_shots: int | None = option("Support utterances per emotion in meta-training; without it the preset's.", None)
    pretrain_epochs: int | None = option("Most epochs of TransSER and MultiSER; without it the preset's.", None)
    max_epochs: int | None = option("Most epochs of each adaptation; without it the preset's.", None)
    hidden_dim: int | None = option("Hidden units of the network; without it the preset's.", None)
    emotions: tuple[str, ...] | None = option(
        "Emotions to tell apart, separated by commas; without it the preset's.", None
    )
    resamples: int = option("Bootstrap resamples behind an interval.", 2000)
    confidence: float = option("Coverage of the intervals.", 0.95)

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_distinct(self, "splits")
        for split in self.splits:
            check_choice("--splits", split, ("random", "speaker"))
        require_folds(self.folds, "speaker" in self.splits)
        require(0 < self.confidence < 1, "confidence", self.confidence, "a number between 0 and 1")
        self._require_one_or_more("seeds", "pretrain_seeds", "resamples")
        for flag in ("episodes", "meta_shots", "pretrain_epochs", "max_epochs", "hidden_dim"):
            require(getattr(self, flag) is None or getattr(self, flag) >= 1, flag, getattr(self, flag), "1 or more")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComparisonSpec(StudySpec):
    """A study that compares methods."""

    TITLE = "What is compared"

    methods: tuple[str, ...] = option(f"Methods to compare: {', '.join(METHODS)}.", METHODS, common=True)
    adapt: tuple[str, ...] = option(
        "Layers that each network may adapt: head (the dense layers, as the paper's baselines), all (the fair "
        "comparison).",
        ("head", "all"),
        common=True,
    )
    targets: tuple[str, ...] = option(
        "Corpora to adapt to, separated by commas.", ("emovo", "shemo", "urdu"), common=True
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for flag, valid in (("methods", METHODS), ("adapt", ("head", "all"))):
            _require_distinct(self, flag)
            for value in getattr(self, flag):
                check_choice(f"--{flag}", value, valid)
        _require_distinct(self, "targets")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table2Spec(ComparisonSpec):
    """Source sets x targets x methods."""

    TITLE = "What is compared"

    source_sets: tuple[str, ...] = option(
        "Source sets, separated by commas, the corpora of a set by +: ravdess+emodb,ravdess. 'paper' is the paper's "
        "known four and all five sources.",
        ("paper",),
        common=True,
    )
    shots: tuple[int, ...] = option("Amounts of target data, in clips per emotion.", (5, 10), common=True)
    fractions: tuple[float, ...] = option(
        "Amounts of target data, as fractions of the training part.", (1.0,), common=True
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_amounts(self)
        _require_distinct(self, "source_sets")
        sets = [tuple(sorted(s)) for s in self.sets]
        require(len(set(sets)) == len(sets), "source_sets", self.source_sets, "each set once")

    @property
    def sets(self) -> tuple[tuple[str, ...], ...]:
        """The source sets, each as its corpora."""
        found: list[tuple[str, ...]] = []
        for text in self.source_sets:
            found += PAPER_SOURCE_SETS if text == "paper" else [_source_set(text)]
        return tuple(found)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figure2Spec(ComparisonSpec):
    """Methods against the amount of target data."""

    TITLE = "What is compared"

    sources: tuple[str, ...] = option(
        "Corpora to learn from, separated by commas; the default is the paper's.",
        ("tess", "emodb", "ravdess"),
        common=True,
    )
    shots: tuple[int, ...] = option("Amounts of target data, in clips per emotion.", (1, 5, 10, 20), common=True)
    fractions: tuple[float, ...] = option(
        "Amounts of target data, as fractions of the training part.",
        (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
        common=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_amounts(self)
        _require_distinct(self, "sources")


@dataclasses.dataclass(frozen=True, kw_only=True)
class OrderSpec(StudySpec):
    """Meta-learners compared with second order MAML."""

    TITLE = "What is compared"

    sources: tuple[str, ...] = option(
        "Corpora to learn from, separated by commas; the default is the paper's.",
        ("tess", "emodb", "ravdess"),
        common=True,
    )
    targets: tuple[str, ...] = option(
        "Corpora to adapt to, separated by commas.", ("emovo", "shemo", "urdu"), common=True
    )
    variants: tuple[str, ...] = option(
        f"What is compared with second order, which is always there: {', '.join(variants())}.", variants(), common=True
    )
    anneal_share: float = option("Of annealed: the share of its episodes that is first order.", 0.5)
    shots: tuple[int, ...] = option("Amounts of target data, in clips per emotion.", (5, 10), common=True)
    fractions: tuple[float, ...] = option("Amounts of target data, as fractions of the training part.", (), common=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_amounts(self)
        for flag in ("sources", "targets", "variants"):
            _require_distinct(self, flag)
        for variant in self.variants:
            check_choice("--variants", variant, variants())
        require("second" in self.variants, "variants", self.variants, "second among them, which sets the time")
        require(0 < self.anneal_share < 1, "anneal_share", self.anneal_share, "a number between 0 and 1")


@dataclasses.dataclass(frozen=True, kw_only=True)
class UnseenSpec(StudySpec):
    """The benchmark: each corpus in turn is the unseen language, all others the sources."""

    TITLE = "What is compared"

    corpora: tuple[str, ...] = option(
        "Corpora, separated by commas, at least two: each in turn is the unseen language, learned from all others."
    )
    shots: tuple[int, ...] = option(
        "Clips per emotion of the unseen language; 0 is none at all.", (0, 1, 5, 10, 20), common=True
    )
    methods: tuple[str, ...] = option(
        f"Methods to compare: metaser (the preset's meta-learner), {', '.join(benchmark_methods()[1:])}.",
        ("metaser", FOMAML, *(n for n in ("meta_sgd", "proto_maml") if n in ALGORITHMS), *BENCHMARK_BASELINES),
        common=True,
    )
    adapt: tuple[str, ...] = option("Layers that TransSER and MultiSER adapt: head, all.", ("head", "all"))
    splits: tuple[str, ...] = option("Always speaker: who speaks an unseen language is unseen, too.", ("speaker",))
    folds: int = option(
        "Folds over a corpus's speakers, at most: as many as give each about as many speakers.", 5, common=True
    )
    start: str | None = option(
        "A run, a model folder or the name of a start, from which the method metaser adapts to every corpus, none of "
        "which it may have learned from; --methods are then some of metaser, scratch and svm.",
        None,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for flag in ("corpora", "shots", "methods", "adapt"):
            _require_distinct(self, flag)
        enough = len(self.corpora) >= (2 if self.start is None else 1)
        require(enough, "corpora", self.corpora, "at least two: one unseen, others to learn from")
        alone = self.start is None or set(self.methods) <= set(WITH_START)
        require(alone, "methods", self.methods, f"some of {', '.join(WITH_START)} with --start={self.start}")
        require(all(n >= 0 for n in self.shots), "shots", self.shots, "numbers from 0 on")
        for method in self.methods:
            check_choice("--methods", method, benchmark_methods())
        for part in self.adapt:
            check_choice("--adapt", part, ("head", "all"))
        require(self.splits == ("speaker",), "splits", self.splits, "speaker")
        require(self.folds >= 2, "folds", self.folds, "2 or more")

    @property
    def fractions(self) -> tuple[float, ...]:
        """None: fractions of corpora of different sizes are no common amount."""
        return ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyConfig(StudySpec):
    """Where a study is, and by which presets its methods are trained."""

    data_dir: str = option("Folder of prepared corpora (metaser prepare).", there="prepared corpora (metaser prepare)")
    out: str = option("Folder for the cells, the tables, the pictures and the report.", short="o")
    runs: str | None = option(
        "Folder of the pre-training runs, which studies may share; without it OUT/runs. A run that is there is not "
        "trained again.",
        None,
        common=True,
    )
    preset: str = option(
        f"Settings of every method: {', '.join(META_TRAIN)} (metaser_jax/specs/presets.py).",
        "recommended",
        choices=tuple(META_TRAIN),
        common=True,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table2Config(Table2Spec, StudyConfig):
    """metaser table2."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figure2Config(Figure2Spec, StudyConfig):
    """metaser figure2."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class OrderConfig(OrderSpec, StudyConfig):
    """metaser ablation-order."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class UnseenConfig(UnseenSpec, StudyConfig):
    """metaser unseen."""

    manual_dir: tuple[str, ...] = option(
        "For the method egemaps: folders, separated by commas, with the recordings that the corpora were prepared from "
        "(--manual_dir of metaser prepare).",
        (),
        common=True,
        there="a folder of recordings",
    )
    candidates: tuple[str, ...] = option(
        "Presets of the method metaser to choose from, separated by commas: each is run, and for each corpus the one "
        "that is best on the other corpora is scored besides.",
        (),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        distinct = len(set(self.candidates)) == len(self.candidates) != 1
        require(distinct, "candidates", self.candidates, "none, or two or more, each once")
        for name in self.candidates:
            check_choice("--candidates", name, META_TRAIN)
        heard = bool(self.manual_dir) or "egemaps" not in self.methods
        expected = "the folders of the recordings, which --methods=egemaps hears; or leave the method out"
        require(heard, "manual_dir", self.manual_dir, expected)


def _source_set(text: str) -> tuple[str, ...]:
    names = tuple(text.split("+"))
    if not all(names) or len(set(names)) < len(names):
        raise InputError(f"--source_sets: got {text!r}, expected corpora joined by +, each once: ravdess+emodb.")
    return names


def _require_distinct(config: Spec, flag: str) -> None:
    values = getattr(config, flag)
    require(bool(values) and len(set(values)) == len(values), flag, values, "at least one, each once")


def _require_amounts(config: Spec) -> None:
    amounts = (*config.shots, *config.fractions)
    require(bool(amounts), "shots", amounts, "at least one amount, of --shots or --fractions")
    for flag in ("shots", "fractions"):
        values = getattr(config, flag)
        require(len(set(values)) == len(values), flag, values, "each amount once")
    require(all(n >= 0 for n in config.shots), "shots", config.shots, "numbers from 0 on")
    require(all(0 < f <= 1 for f in config.fractions), "fractions", config.fractions, "above 0 and at most 1")
