"""What is measured: the program's flags, one setting of the grid, and its data and weights as numpy arrays."""

import dataclasses
import itertools
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from metaser_jax.specs import Spec, option

FRAMES, COEFFICIENTS, CLASSES = 120, 20, 4
INNER_LR = 0.1
VARIANTS = (
    *("ours first", "ours second", "written first", "written second", "flax first", "flax second"),
    *("torch first", "torch second"),
    *("higher second", "TorchOpt second", "limit first", "limit second"),
)
# Ours with a GPU kernel for the recurrence: asked for by name.
KERNEL_VARIANTS = ("kernel first", "kernel second")

Weights = Any
"""Layer name -> parameter name -> numpy array, the tree of EmotionLSTM; gradients have it as well."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MetaStepConfig(Spec):
    """experiments/benchmarks/meta_step.py."""

    out: str = option()
    """Folder for results.json and results.md."""
    inner_steps: tuple[int, ...] = option((1, 5))
    """Gradient steps on a task's support set, separated by commas."""
    shots: tuple[int, ...] = option((5, 125))
    """Support utterances per emotion and task, separated by commas."""
    queries: int = option(10, least=1)
    """Query utterances per emotion and task."""
    tasks: tuple[int, ...] = option((8,))
    """Tasks per episode, separated by commas."""
    hidden_dim: int = option(128, least=1)
    """Hidden units of each LSTM layer and of the first dense layer."""
    rounds: int = option(7, least=1)
    """Timed calls of each variant."""
    variants: tuple[str, ...] = option(VARIANTS, distinct=True, items=(*VARIANTS, *KERNEL_VARIANTS))
    """What to measure, separated by commas; kernel first and kernel second besides, where there is CUDA."""
    max_seconds: float = option(30.0, above=0)
    """A variant whose warm-up call takes longer is timed in one round only."""
    max_gib: float = option(0.0, least=0)
    """Leave out what needs more memory; 0 takes 80 % of the machine's (GPU: no limit)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for flag in ("inner_steps", "shots", "tasks"):
            values = getattr(self, flag)
            self.require(bool(values) and min(values) >= 1, flag, "numbers from 1 on")

    def settings(self) -> Iterator["Setting"]:
        for tasks, shots, steps in itertools.product(self.tasks, self.shots, self.inner_steps):
            yield Setting(tasks, shots * CLASSES, self.queries * CLASSES, steps, self.hidden_dim)

    def memory_limit(self) -> float:
        """Bytes that a variant may take."""
        machine = 0.8 * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return self.max_gib * 2**30 if self.max_gib else machine


class Setting(NamedTuple):
    """Attributes: support, query: utterances per task."""

    tasks: int
    support: int
    query: int
    inner_steps: int
    hidden_dim: int

    def __str__(self) -> str:
        return (
            f"{self.tasks} tasks x ({self.support} support + {self.query} query), {self.inner_steps} inner steps, "
            f"hidden_dim {self.hidden_dim}"
        )


class Problem(NamedTuple):
    """Attributes: support, query: pairs of x [task, n, time, coef] float32 and y [task, n] int32."""

    setting: Setting
    weights: Weights
    support: tuple[np.ndarray, np.ndarray]
    query: tuple[np.ndarray, np.ndarray]


def make_problem(setting: Setting, weights: Weights) -> Problem:
    """Random utterances: the time of a step does not depend on their values."""
    random = np.random.default_rng(0)

    def batch(n: int) -> tuple[np.ndarray, np.ndarray]:
        x = random.standard_normal((setting.tasks, n, FRAMES, COEFFICIENTS), np.float32)
        return x, random.integers(0, CLASSES, (setting.tasks, n), np.int32)

    return Problem(setting, weights, batch(setting.support), batch(setting.query))


def relative_error(got: Weights, want: Weights) -> float:
    """Norm of the difference over the norm of `want`, over all parameters."""
    pairs = [(got[layer][name], want[layer][name]) for layer in want for name in want[layer]]
    difference = sum(float(np.sum(np.square(g - w, dtype=np.float64))) for g, w in pairs)
    return (difference / sum(float(np.sum(np.square(w, dtype=np.float64))) for _, w in pairs)) ** 0.5
