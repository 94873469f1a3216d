"""The compiled meta-step of a specification, on one fixed episode of random utterances."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from metaser_jax import Batch, Episode
from metaser_jax.devices import parallel
from metaser_jax.specs import MetaTrainSpec
from metaser_jax.training.trainer import make_trainer, no_utterances


def make_step(spec: MetaTrainSpec) -> Callable[[], Any]:
    """Value and meta-gradient, as a function without arguments that returns when they are there."""
    trainer = make_trainer(spec, no_utterances(spec))
    random = np.random.default_rng(0)
    classes = len(spec.emotions)

    def batch(per_class: int) -> Batch:
        shape = (spec.tasks_per_episode, classes * per_class, spec.rows, spec.coefs)
        return Batch(random.standard_normal(shape, np.float32), random.integers(0, classes, shape[:2], np.int32))

    episode = Episode(batch(spec.shots), batch(spec.queries))
    arguments = (trainer.state.meta_params, episode, np.int32(spec.episodes))
    step = jax.jit(trainer.learner.value_and_grad, compiler_options=parallel.compiler_options())
    compiled = step.lower(*arguments).compile()
    placed = jax.device_put(arguments, compiled.input_shardings[0])
    return lambda: jax.block_until_ready(compiled(*placed))


def gradient_bytes(spec: MetaTrainSpec) -> int:
    """Bytes of the meta-gradient, which has the shape of the meta-parameters; nothing is computed."""
    shapes = jax.eval_shape(lambda: make_trainer(spec, no_utterances(spec)).state.meta_params)
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(shapes))
