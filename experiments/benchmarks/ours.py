"""metaser_jax's meta-step: as `on_all_cores` makes it, and as written, on one device."""

from typing import Any

import jax
import numpy as np
from problem import CLASSES, COEFFICIENTS, FRAMES, INNER_LR, KERNEL_VARIANTS, Problem, Weights
from race import Variant, xla_variant

import metaser_jax
from metaser_jax.training import parallel


def initial_weights(hidden_dim: int) -> Weights:
    model = metaser_jax.EmotionLSTM(hidden_dim=hidden_dim, num_classes=CLASSES)
    params = model.init(jax.random.key(0), np.zeros((1, FRAMES, COEFFICIENTS), np.float32))
    return jax.tree.map(np.asarray, params["params"])


def build(name: str, order: str, problem: Problem, memory_limit: float) -> Variant:
    kernel = name in KERNEL_VARIANTS
    if kernel and jax.default_backend() != "gpu":
        return Variant(name, note="needs CUDA")
    return variant(name, order, problem, memory_limit, "kernel" if kernel else "scan", {})


def variant(
    name: str, order: str, problem: Problem, memory_limit: float, recurrence: str, options: dict[str, Any]
) -> Variant:
    """The meta-step with a recurrence of metaser_jax's, and further options of the compiler."""
    setting = problem.setting
    model = metaser_jax.EmotionLSTM(setting.hidden_dim, CLASSES, recurrence=recurrence)
    loss_fn = metaser_jax.cross_entropy(model.apply)
    learner = metaser_jax.maml(loss_fn, inner_lr=INNER_LR, inner_steps=setting.inner_steps, order=order)
    if not name.startswith("written"):
        learner = parallel.on_all_cores(learner)
    episode = metaser_jax.Episode(metaser_jax.Batch(*problem.support), metaser_jax.Batch(*problem.query))
    return xla_variant(
        name,
        learner.value_and_grad,
        ({"params": problem.weights}, episode),
        memory_limit,
        gradients=lambda result: jax.tree.map(np.asarray, result[1]["params"]),
        compiler_options=options,
    )
