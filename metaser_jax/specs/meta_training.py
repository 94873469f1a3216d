"""Specifications of meta-training."""

import dataclasses
from typing import Any

from metaser_jax.specs.algorithms import ALGORITHMS, ORDERS
from metaser_jax.specs.base import option
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
    """A meta-training: all but its seed and its folder."""

    TITLE = "Meta-learning"

    algorithm: str = option(
        "maml",
        help=f"Meta-learner: {'; '.join(f'{k} ({a.about})' if a.about else k for k, a in ALGORITHMS.items())}.",
        choices=ALGORITHMS,
        common=True,
    )
    order: str = option("second", choices=ORDERS, common=True)
    """Derivative of the inner steps: second (exact), first (FOMAML), or annealed (first for --anneal_episodes, then
    second). reptile and r2d2 have none."""
    anneal_episodes: int = option(0, least=0)
    """With --order=annealed: episodes of first order."""
    inner_steps: int = option(1, common=True, least=1)
    """Gradient steps on a task's support set. r2d2 has none."""
    inner_lr: float = option(2e-4, common=True, above=0)
    """Step size of the inner optimizer; where rates are learned, their start. r2d2 does not look at it."""
    inner_optimizer: str = option("sgd", choices=("sgd", "momentum", "adam"))
    """Inner optimizer: sgd, momentum (SGD with 0.9) or adam."""
    inner_batch_size: int = option(0, least=0)
    """Utterances of an inner step, a divisor of the support set; 0 takes all."""
    prototype_scale: float = option(1.0, above=0)
    """Of learners that start with prototypes: what their layer is multiplied by at first."""
    multi_step_episodes: int = option(0, least=0)
    """Episodes in which the query loss after every inner step counts, less and less (MAML++); 0 is off."""
    meta_lr: float = option(1e-6, common=True, above=0)
    """Learning rate of the outer optimizer."""
    meta_schedule: str = option("constant", choices=("constant", "cosine"))
    """Learning rate over the episodes: constant, or cosine, from --meta_lr to zero."""
    meta_optimizer: str = option("adam", choices=("adam", "adamw", "sgd"))
    """Outer optimizer: adam, adamw or sgd."""
    weight_decay: float = option(0.0, least=0)
    """With --meta_optimizer=adamw: each step shrinks every weight by --meta_lr times this."""
    tasks_per_episode: int = option(8, common=True, least=1)
    """Tasks per episode."""
    shots: int = option(5, common=True, least=1)
    """Support utterances per emotion and task."""
    queries: int = option(10, least=1)
    """Query utterances per emotion and task."""
    episodes: int = option(10_000, common=True, least=1)
    """Episodes to train for."""
    pool_sources: bool = option(False)
    """Draw each task from all sources together, instead of from one corpus."""
    tasks_by: str = option("corpus", choices=("corpus", "speaker"))
    """What a task is of: one corpus, or one speaker of it (corpora in turn) who says each emotion more than --shots
    times. Of a speaker with fewer than --queries more, all that there are."""
    query_speakers: str = option("any", choices=("any", "others"))
    """Whose clips a task's query set has: any speaker's, or others': the task's corpus is divided by speakers at
    random, support and query sets are drawn from either half, and what a half lacks is left out."""
    shots_mix: tuple[int, ...] = option((), distinct=True, empty=True, least=0)
    """Shots per emotion of which each task draws one, separated by commas, besides --shots; those above --shots are
    left out. Empty: all have --shots."""
    class_shift: float = option(0.0, least=0)
    """Move each emotion of a task, in support and query set alike, by a random offset with this deviation in each
    coefficient, so that it has to be learned from the support set."""
    corpus_shift: float = option(0.0, least=0)
    """Move a task's emotions, in both sets alike, in the directions in which the sources' means of the emotions differ;
    the deviation, where 1 is as far as they do. One source, or --pool_sources, has no such directions."""
    feature_dropout: float = option(0.0, least=0, below=1)
    """Share of each utterance's coefficients that training leaves out."""
    feature_noise: float = option(0.0, least=0)
    """Deviation of the noise that training adds to the input."""
    dtype: str = option("float32", choices=("float32", "float64"))
    """Precision: float32, or float64 for comparing machines."""
    skip_nonfinite: bool = option(False, how=True)
    """Leave updates out whose loss or gradient is not finite, and count them, instead of ending the run."""
    log_every: int = option(20, least=1)
    """Episodes per line of metrics.jsonl, and per dispatch to the device."""
    checkpoint_every: int = option(100, least=1)
    """Episodes between checkpoints; a multiple of --log_every."""
    devices: int = option(0, how=True, least=0)
    """Devices that share an episode's tasks: on a CPU one per core at most; 0 takes as many as divide the tasks."""
    over_tasks: str = option("auto", choices=("auto", "scan", "vmap"), how=True)
    """How a device goes through its tasks: scan (one by one) or vmap (at once). auto: scan on a CPU."""
    hvp: str = option("auto", choices=("auto", "forward_over_reverse", "reverse_over_reverse"), how=True)
    """Hessian-vector product of second order; reverse_over_reverse is the textbook's. auto: forward_over_reverse."""
    residuals: str = option("auto", choices=("auto", "keep", "recompute"), how=True)
    """Whether the Hessian-vector product keeps or recomputes the inner gradient's intermediates. auto: keep for one
    inner step on one chunk, recompute for more."""

    def __post_init__(self) -> None:
        super().__post_init__()
        decays = (self.weight_decay > 0) == (self.meta_optimizer == "adamw")
        self.require(decays, "weight_decay", "a number above 0 with --meta_optimizer=adamw, else 0")
        for flag, unused in unused_fields(self.algorithm).items():
            self.require(getattr(self, flag) == unused, flag, f"{unused} with --algorithm={self.algorithm}")
        anneals = ALGORITHMS[self.algorithm].has_order and self.order == "annealed"
        expected = "1 or more with --order=annealed, else 0"
        self.require((self.anneal_episodes > 0) == anneals, "anneal_episodes", expected)
        by_corpus = self.tasks_by == "corpus"
        expected = "corpus with --pool_sources, which makes one of all"
        self.require(by_corpus or not self.pool_sources, "tasks_by", expected)
        self.require(by_corpus or self.query_speakers == "any", "query_speakers", "any with --tasks_by=speaker")
        if self.inner_batch_size:
            alike = not self.shots_mix and self.query_speakers == "any"
            self.require(alike, "inner_batch_size", "0 where tasks differ in their shots")
            support = self.shots * len(self.emotions)
            divides = support % self.inner_batch_size == 0
            self.require(divides, "inner_batch_size", f"a divisor of the {support} support utterances")

    @property
    def shots_drawn(self) -> tuple[int, ...]:
        """Shots of which each task draws one; empty: all have `shots`."""
        return (*(shots for shots in self.shots_mix if shots < self.shots), self.shots) if self.shots_mix else ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class MetaTrainSpec(MetaLearningSpec):
    """A meta-training run."""

    TITLE = "Meta-learning"

    seed: int = option(0, common=True)
    """Seed of the initial parameters and of the episodes."""
