"""Optimizers and learning rate schedules from their specification."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import optax

from metaser_jax.loops.schedules import cyclical
from metaser_jax.models.classifier import decays
from metaser_jax.specs import OptimizerSpec
from metaser_jax.types import Params


def _all(params: Params) -> Params:
    return params


def make_optimizer(spec: OptimizerSpec, network: Callable[[Any], Params] = _all) -> optax.GradientTransformation:
    """Return the optimizer; the same object for the same settings, as jax.jit's static arguments like it.

    Args:
      network: what is learned -> the network's parameters among it, to which weight decay is confined: Learner.params.
    """
    return _make(OptimizerSpec.of(spec), network)


@functools.cache
def _make(spec: OptimizerSpec, network: Callable[[Any], Params]) -> optax.GradientTransformation:
    return build_optimizer(spec.optimizer, learning_rate(spec), spec.weight_decay, network)


def build_optimizer(
    name: str, rate: optax.Schedule, weight_decay: float | jax.Array, network: Callable[[Any], Params] = _all
) -> optax.GradientTransformation:
    """Return the optimizer of `make_optimizer` anew; its numbers may be traced. weight_decay is of adamw alone."""
    if name == "adamw":
        return optax.adamw(rate, weight_decay=weight_decay, mask=functools.partial(decays, network=network))
    return {"adam": optax.adam, "sgd": optax.sgd}[name](rate)


def learning_rate(spec: OptimizerSpec) -> optax.Schedule:
    """Return the learning rate by the step."""
    if spec.schedule == "cyclical":
        return cyclical(spec.base_lr, spec.lr, spec.half_cycle)
    if spec.schedule == "cosine":
        return optax.cosine_decay_schedule(spec.lr, spec.half_cycle)
    return optax.constant_schedule(spec.lr)
