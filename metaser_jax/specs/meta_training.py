"""How a network is meta-trained."""

import dataclasses
import math
from typing import Any

from metaser_jax.specs.algorithms import ALGORITHMS, ORDERS
from metaser_jax.specs.base import option, require
from metaser_jax.specs.training import SourcesSpec

# What is left of the inner steps of an algorithm that has none.
NO_STEPS = {"inner_steps": 1, "inner_optimizer": "sgd", "inner_batch_size": 0}


def unused_fields(algorithm: str) -> dict[str, Any]:
    """Return the fields that an algorithm does not look at, each with the one value that it may have."""
    of = ALGORITHMS[algorithm]
    unused: dict[str, Any] = {} if of.has_steps else dict(NO_STEPS)
    if not (of.has_steps and of.starts_last_layer):
        unused["prototype_scale"] = 1.0
    if not of.has_order:
        unused |= {"anneal_episodes": 0, "multi_step_episodes": 0}
    return unused


@dataclasses.dataclass(frozen=True, kw_only=True)
class MetaLearningSpec(SourcesSpec):
    """How meta-training is done: all but its seed and its folder."""

    TITLE = "Meta-learning"

    algorithm: str = option(
        f"Meta-learner: {'; '.join(f'{k} ({a.about})' if a.about else k for k, a in ALGORITHMS.items())}.",
        "maml",
        choices=ALGORITHMS,
        common=True,
    )
    order: str = option(
        "Derivative of the inner steps: second (exact), first (FOMAML), or annealed (first for --anneal_episodes, then "
        "second). reptile and r2d2 have none.",
        "second",
        choices=ORDERS,
        common=True,
    )
    anneal_episodes: int = option("With --order=annealed: episodes of first order.", 0)
    inner_steps: int = option("Gradient steps on a task's support set. r2d2 has none.", 1, common=True)
    inner_lr: float = option(
        "Step size of the inner optimizer; where rates are learned, their start. r2d2 does not look at it.",
        2e-4,
        common=True,
    )
    inner_optimizer: str = option(
        "Inner optimizer: sgd, momentum (SGD with 0.9) or adam.", "sgd", choices=("sgd", "momentum", "adam")
    )
    inner_batch_size: int = option("Utterances of an inner step, a divisor of the support set; 0 takes all.", 0)
    prototype_scale: float = option(
        "Of learners that start with prototypes: what their layer is multiplied by at first.", 1.0
    )
    multi_step_episodes: int = option(
        "Episodes in which the query loss after every inner step counts, less and less (MAML++); 0 is off.", 0
    )
    meta_lr: float = option("Learning rate of the outer optimizer.", 1e-6, common=True)
    meta_schedule: str = option(
        "Learning rate over the episodes: constant, or cosine, from --meta_lr to zero.",
        "constant",
        choices=("constant", "cosine"),
    )
    meta_optimizer: str = option("Outer optimizer: adam, adamw or sgd.", "adam", choices=("adam", "adamw", "sgd"))
    weight_decay: float = option(
        "With --meta_optimizer=adamw: each step shrinks every weight by --meta_lr times this.", 0.0
    )
    tasks_per_episode: int = option("Tasks per episode.", 8, common=True)
    shots: int = option("Support utterances per emotion and task.", 5, common=True)
    queries: int = option("Query utterances per emotion and task.", 10)
    episodes: int = option("Episodes to train for.", 10_000, common=True)
    pool_sources: bool = option("Draw each task from all sources together, instead of from one corpus.", False)
    tasks_by: str = option(
        "What a task is of: one corpus, or one speaker of it (corpora in turn) who says each emotion more than --shots "
        "times. Of a speaker with fewer than --queries more, all that there are.",
        "corpus",
        choices=("corpus", "speaker"),
    )
    query_speakers: str = option(
        "Whose clips a task's query set has: any speaker's, or others': the task's corpus is divided by speakers at "
        "random, support and query sets are drawn from either half, and what a half lacks is left out.",
        "any",
        choices=("any", "others"),
    )
    shots_mix: tuple[int, ...] = option(
        "Shots per emotion of which each task draws one, separated by commas, besides --shots; those above --shots are "
        "left out. Empty: all have --shots.",
        (),
    )
    class_shift: float = option(
        "Move each emotion of a task, in support and query set alike, by a random offset with this deviation in each "
        "coefficient, so that it has to be learned from the support set.",
        0.0,
    )
    corpus_shift: float = option(
        "Move a task's emotions, in both sets alike, in the directions in which the sources' means of the emotions "
        "differ; the deviation, where 1 is as far as they do. One source, or --pool_sources, has no such directions.",
        0.0,
    )
    feature_dropout: float = option("Share of each utterance's coefficients that training leaves out.", 0.0)
    feature_noise: float = option("Deviation of the noise that training adds to the input.", 0.0)
    dtype: str = option(
        "Precision: float32, or float64 for comparing machines.", "float32", choices=("float32", "float64")
    )
    skip_nonfinite: bool = option(
        "Leave updates out whose loss or gradient is not finite, and count them, instead of ending the run.",
        False,
        how=True,
    )
    log_every: int = option("Episodes per line of metrics.jsonl, and per dispatch to the device.", 20)
    checkpoint_every: int = option("Episodes between checkpoints; a multiple of --log_every.", 100)
    devices: int = option(
        "Devices that share an episode's tasks: on a CPU one per core at most; 0 takes as many as divide the tasks.",
        0,
        how=True,
    )
    over_tasks: str = option(
        "How a device goes through its tasks: scan (one by one) or vmap (at once). auto: scan on a CPU.",
        "auto",
        choices=("auto", "scan", "vmap"),
        how=True,
    )
    hvp: str = option(
        "Hessian-vector product of second order; reverse_over_reverse is the textbook's. auto: forward_over_reverse.",
        "auto",
        choices=("auto", "forward_over_reverse", "reverse_over_reverse"),
        how=True,
    )
    residuals: str = option(
        "Whether the Hessian-vector product keeps or recomputes the inner gradient's intermediates. auto: keep for one "
        "inner step on one chunk, recompute for more.",
        "auto",
        choices=("auto", "keep", "recompute"),
        how=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_one_or_more("inner_steps", "tasks_per_episode", "shots", "queries", "episodes")
        for flag in ("inner_lr", "meta_lr", "prototype_scale"):
            require(getattr(self, flag) > 0, flag, getattr(self, flag), "a number above 0")
        self._check_tasks()
        for flag in ("anneal_episodes", "inner_batch_size", "multi_step_episodes"):
            require(getattr(self, flag) >= 0, flag, getattr(self, flag), "0 or more")
        require(
            (self.weight_decay > 0) == (self.meta_optimizer == "adamw") and self.weight_decay >= 0,
            "weight_decay",
            self.weight_decay,
            "a number above 0 with --meta_optimizer=adamw, and 0 without",
        )
        annealed = ALGORITHMS[self.algorithm].has_order and self.order == "annealed"
        for flag, unused in unused_fields(self.algorithm).items():
            require(
                getattr(self, flag) == unused, flag, getattr(self, flag), f"{unused} with --algorithm={self.algorithm}"
            )
        require(
            annealed == (self.anneal_episodes > 0),
            "anneal_episodes",
            self.anneal_episodes,
            "1 or more with --order=annealed, and 0 without",
        )
        size, batch = self.shots * len(self.emotions), self.inner_batch_size
        require(
            batch == 0 or size % batch == 0, "inner_batch_size", batch, f"a divisor of the {size} support utterances"
        )

    @property
    def shots_drawn(self) -> tuple[int, ...]:
        """Shots of which each task draws one; empty: all have `shots`."""
        return (*(shots for shots in self.shots_mix if shots < self.shots), self.shots) if self.shots_mix else ()

    def _check_tasks(self) -> None:
        """Raise an InputError unless tasks can be made as the fields say."""
        by_corpus = "corpus with --pool_sources, which makes one of all"
        require(self.tasks_by == "corpus" or not self.pool_sources, "tasks_by", self.tasks_by, by_corpus)
        apart = self.query_speakers == "any" or self.tasks_by == "corpus"
        require(apart, "query_speakers", self.query_speakers, "any with --tasks_by=speaker")
        mix = self.shots_mix
        valid = not mix or (min(mix) >= 0 and len(set(mix)) == len(mix))
        require(valid, "shots_mix", mix, "numbers from 0 on, each once")
        weighted = mix or self.query_speakers == "others"
        whole = self.inner_batch_size == 0 or not weighted
        require(whole, "inner_batch_size", self.inner_batch_size, "0 where tasks differ in their shots")
        for flag in ("class_shift", "corpus_shift", "feature_noise"):
            require(0 <= getattr(self, flag) < math.inf, flag, getattr(self, flag), "0 (off) or a positive number")
        require(0 <= self.feature_dropout < 1, "feature_dropout", self.feature_dropout, "from 0 (off) to below 1")
        for flag in ("class_shift", "corpus_shift"):
            one_row_kind = getattr(self, flag) == 0 or self.features != "both"
            require(one_row_kind, flag, getattr(self, flag), "0 with --features=both, whose rows differ in kind")


@dataclasses.dataclass(frozen=True, kw_only=True)
class MetaTrainSpec(MetaLearningSpec):
    """One meta-training run."""

    TITLE = "Meta-learning"

    seed: int = option("Seed of the initial parameters and of the episodes.", 0, common=True)
