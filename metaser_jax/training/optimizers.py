"""Optimizers and learning rate schedules from their specification."""

import functools

import jax
import optax

from metaser_jax.loops.schedules import cyclical
from metaser_jax.models.classifier import decays
from metaser_jax.specs import OptimizerSpec


def make_optimizer(spec: OptimizerSpec) -> optax.GradientTransformation:
    """Return the optimizer; the same object for the same settings, as jax.jit's static arguments like it."""
    return _make(OptimizerSpec.of(spec))


@functools.cache
def _make(spec: OptimizerSpec) -> optax.GradientTransformation:
    return build_optimizer(spec.optimizer, learning_rate(spec), spec.weight_decay)


def build_optimizer(name: str, rate: optax.Schedule, weight_decay: float | jax.Array) -> optax.GradientTransformation:
    """Return the optimizer of `make_optimizer` anew; its numbers may be traced. weight_decay is of adamw alone."""
    if name == "adamw":
        return optax.adamw(rate, weight_decay=weight_decay, mask=decays)
    return {"adam": optax.adam, "sgd": optax.sgd}[name](rate)


def learning_rate(spec: OptimizerSpec) -> optax.Schedule:
    """Return the learning rate by the step."""
    if spec.schedule == "cyclical":
        return cyclical(spec.base_lr, spec.lr, spec.half_cycle)
    if spec.schedule == "cosine":
        return optax.cosine_decay_schedule(spec.lr, spec.half_cycle)
    return optax.constant_schedule(spec.lr)
