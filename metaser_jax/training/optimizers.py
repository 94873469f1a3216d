"""Optimizers and learning rate schedules by name, as configurations have them."""

import functools

import jax
import optax

from metaser_jax.config import FinetuneConfig, PretrainConfig
from metaser_jax.errors import InputError, check_choice
from metaser_jax.loops.schedules import cyclical
from metaser_jax.models.classifier import decays

OPTIMIZERS = ("adam", "adamw", "sgd")
SCHEDULES = ("constant", "cyclical")


@functools.cache
def make_optimizer(
    name: str,
    lr: float,
    *,
    schedule: str = "constant",
    base_lr: float = 0.0,
    half_cycle: int = 0,
    weight_decay: float = 0.0,
) -> optax.GradientTransformation:
    """The optimizer of a configuration; the same object for the same settings, as jax.jit's static arguments like it.

    Args:
      name: "adam", "adamw" or "sgd".
      lr: learning rate; with a cyclical schedule its highest.
      schedule: "constant", or "cyclical" between base_lr and lr, half_cycle steps each way.
      base_lr, half_cycle: of the cyclical schedule alone.
      weight_decay: of adamw alone.

    Raises:
      InputError: unknown names, an option of another optimizer or schedule, or what `cyclical` does not take.
    """
    check_choice("optimizer", name, OPTIMIZERS)
    rate = learning_rate(lr, schedule=schedule, base_lr=base_lr, half_cycle=half_cycle)
    if weight_decay and name != "adamw":
        raise InputError(f"weight_decay: got {weight_decay} with optimizer {name!r}, expected 0, or 'adamw'.")
    return build_optimizer(name, rate, weight_decay)


def build_optimizer(name: str, rate: optax.Schedule, weight_decay: float | jax.Array) -> optax.GradientTransformation:
    """The optimizer of `make_optimizer` anew, unchecked; its numbers may be traced. weight_decay is of adamw alone."""
    if name == "adamw":
        return optax.adamw(rate, weight_decay=weight_decay, mask=decays)
    return {"adam": optax.adam, "sgd": optax.sgd}[name](rate)


def optimizer_of(config: FinetuneConfig | PretrainConfig) -> optax.GradientTransformation:
    """The optimizer that a configuration names; raises InputError as make_optimizer."""
    return make_optimizer(
        config.optimizer,
        config.lr,
        schedule=config.schedule,
        base_lr=config.base_lr,
        half_cycle=config.half_cycle,
        weight_decay=config.weight_decay,
    )


def learning_rate(
    lr: float, *, schedule: str = "constant", base_lr: float = 0.0, half_cycle: int = 0
) -> optax.Schedule:
    """The learning rate by the step; arguments and errors as make_optimizer's."""
    if check_choice("schedule", schedule, SCHEDULES) == "cyclical":
        return cyclical(base_lr, lr, half_cycle)
    for option, value in (("base_lr", base_lr), ("half_cycle", half_cycle)):
        if value:
            raise InputError(f"{option}: got {value} with schedule 'constant', expected 0, or 'cyclical'.")
    return optax.constant_schedule(lr)
