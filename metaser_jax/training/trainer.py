"""A specification's network, learner, optimizers, learning rates and initial state."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax

from metaser_jax.errors import InputError
from metaser_jax.meta.anil import anil
from metaser_jax.meta.cautious import cautious_proto_maml
from metaser_jax.meta.execution import Execution
from metaser_jax.meta.learned_rates import layer_rates, meta_sgd
from metaser_jax.meta.learner import Learner
from metaser_jax.meta.maml import maml
from metaser_jax.meta.proto_maml import proto_maml
from metaser_jax.meta.r2d2 import r2d2
from metaser_jax.meta.reptile import reptile
from metaser_jax.models.classifier import Network, decays, last_layer, make_network, trained_logits
from metaser_jax.models.frames import Standardise, frame_mask, input_statistics
from metaser_jax.models.losses import LossFn, cross_entropy
from metaser_jax.specs import FrontEnd, MetaTrainSpec, OptimizerSpec
from metaser_jax.specs.algorithms import ALGORITHMS
from metaser_jax.training import parallel
from metaser_jax.training.loops.meta_training import TrainState, init_state
from metaser_jax.types import N_MFCC, Params

T = TypeVar("T")

LEARNERS: dict[str, Callable[..., Learner]] = {
    "maml": maml,
    "anil": anil,
    "meta_sgd": meta_sgd,
    "layer_rates": layer_rates,
    "reptile": reptile,
    "proto_maml": proto_maml,
    "proto_meta_sgd": functools.partial(proto_maml, learn_rates=True),
    "cautious_proto_maml": cautious_proto_maml,
    "r2d2": r2d2,
}
"""The functions that make the learners of specs.algorithms.ALGORITHMS.

Each is (loss_fn, *, execution) -> Learner, with more keywords by the algorithm's traits:

  starts_last_layer: last_layer, and with has_steps prototype_scale.
  has_steps: inner_lr, inner_steps, inner_optimizer and inner_batch_size.
  has_order: order, anneal_episodes and multi_step_episodes.
"""
_INNER = {
    "sgd": optax.sgd,
    "momentum": lambda rate: optax.sgd(rate, momentum=0.9),
    # The root's epsilon makes it differentiable where a gradient is zero.
    "adam": lambda rate: optax.adam(rate, eps_root=1e-12),
}


class Trainer(NamedTuple):
    """Parts of a training, from its specification: loss, learner, outer optimizer and initial state."""

    loss_fn: LossFn
    learner: Learner
    optimizer: optax.GradientTransformation
    state: TrainState


def make_learner(spec: MetaTrainSpec, loss_fn: LossFn, inner_lr: float | jax.Array | None = None) -> Learner:
    """Return the algorithm of a specification, its tasks not yet divided among devices.

    Args:
      inner_lr: in the place of spec.inner_lr; may be traced.
    """
    rate = spec.inner_lr if inner_lr is None else inner_lr
    algorithm, make = ALGORITHMS[spec.algorithm], LEARNERS[spec.algorithm]
    options: dict[str, Any] = {"execution": _execution(spec)}
    if algorithm.starts_last_layer:
        options |= {"last_layer": last_layer(make_network(spec, spec.recurrence))}
    if not algorithm.has_steps:
        return make(loss_fn, **options)
    if algorithm.starts_last_layer:
        options |= {"prototype_scale": spec.prototype_scale}
    options |= {"inner_steps": spec.inner_steps, "inner_batch_size": spec.inner_batch_size or None}
    # The loss is the mean over members, so each has this part of its gradient alone. Adam does not see by how much.
    unit = spec.members if spec.inner_optimizer != "adam" else 1
    if algorithm.learned_rates:
        # Learned rates multiply the optimizer's updates, and start at inner_lr themselves.
        options |= {"inner_lr": rate}
        if spec.inner_optimizer != "sgd" or unit > 1:
            options |= {"inner_optimizer": _INNER[spec.inner_optimizer](float(unit))}
    elif spec.inner_optimizer == "sgd":
        options |= {"inner_lr": unit * rate}
    else:
        options |= {"inner_optimizer": _INNER[spec.inner_optimizer](unit * rate)}
    if algorithm.has_order:
        options |= {"order": spec.order, "anneal_episodes": spec.anneal_episodes}
        options |= {"multi_step_episodes": spec.multi_step_episodes}
    return make(loss_fn, **options)


def _execution(spec: MetaTrainSpec) -> Execution:
    """Return a specification's execution of the meta-gradient, on the devices of the machine that runs it."""

    def named(option: str) -> str | None:
        return None if option == "auto" else option

    chunk = None if spec.chunk < 0 else spec.chunk
    options = Execution(named(spec.over_tasks), chunk, named(spec.hvp), named(spec.residuals))
    return options.on(jax.default_backend())  # else both kinds of program would be traced


def make_trainer(spec: MetaTrainSpec, x: jax.Array | np.ndarray, params: Params | None = None) -> Trainer:
    """Build the trainer.

    Args:
      spec: what the run is.
      x: [n, time, coef], what init_params says; spec.seed decides the rest of the initial parameters.
      params: the initial parameters, in place of those.
    """
    model = make_network(spec, spec.recurrence)
    loss_fn = cross_entropy(trained_logits(model))
    learner = parallel.shard_over_devices(make_learner(spec, loss_fn), spec.devices)
    schedule = {"schedule": spec.meta_schedule, "half_cycle": spec.episodes if spec.meta_schedule == "cosine" else 0}
    outer = {"optimizer": spec.meta_optimizer, "lr": spec.meta_lr, "weight_decay": spec.weight_decay}
    optimizer = make_optimizer(OptimizerSpec(**outer, **schedule), learner.params)

    def begin(params: Params, key: jax.Array) -> TrainState:
        return init_state(learner, jax.tree.map(lambda p: p.astype(spec.dtype), params), optimizer, key)

    keys = run_keys(spec)[:2]
    state = initial_state(begin, model, keys, x) if params is None else jax.jit(begin)(params, keys[1])
    return Trainer(loss_fn, learner, optimizer, state)


def init_params(model: Network, key: jax.Array, x: jax.Array) -> Params:
    """Return initial parameters, the same with a seed whatever the corpora are, but for the input's statistics.

    Args:
      x: [n, time, coef], utterances to learn from; only a model with input_statistics looks at more than their shape.
    """
    return model.init(key, x if model.input_statistics else x[:1])


def initial_state(
    begin: Callable[[Params, jax.Array], T], model: Network, keys: jax.Array, x: jax.Array | np.ndarray
) -> T:
    """Return begin(init_params(model, keys[0], x), keys[1]), to the bit, as a single program for all keys.

    But for the input's statistics, whose last bits depend on what they are compiled with.
    """
    statistics = None
    if model.input_statistics:
        seen = jnp.asarray(x)
        statistics = Standardise().init(keys[0], input_statistics(seen, frame_mask(seen), N_MFCC))["params"]

    def of(keys: jax.Array, x: jax.Array, statistics: Params | None) -> T:
        params = model.init(keys[0], x)
        if statistics is not None:
            params = {"params": {**params["params"], "standardise": statistics}}
        return begin(params, keys[1])

    return jax.jit(of)(keys, jnp.asarray(x[:1]), statistics)


def no_utterances(front_end: FrontEnd) -> jax.Array:
    """Return x for initial parameters of which only the shapes count."""
    return jnp.zeros((2, front_end.rows, front_end.coefs))


def run_keys(spec: MetaTrainSpec) -> jax.Array:
    """Return a run's keys: of its initial parameters, its training episodes, its validation episode."""
    return jax.random.split(jax.random.key(spec.seed), 3)


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
    name: str, rate: optax.Schedule, weight_decay: float | jax.Array, network: Callable[[Any], Params]
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


def cyclical(base: float, maximum: float, half_cycle: int) -> optax.Schedule:
    """Return the triangular policy: from base up to maximum in half_cycle steps, down again in as many, and so on.

      rate(t) = base + (maximum - base) * (1 - |u / half_cycle - 1|),      u = t mod (2 half_cycle)

    Args:
      base, maximum: rates, 0 < base <= maximum.
      half_cycle: steps, 1 or more.

    Raises:
      InputError: rates or steps out of range.

    Reference: Smith, "Cyclical learning rates for training neural networks", WACV 2017.
    """
    if not 0 < base <= maximum:
        raise InputError(f"cyclical: got rates {base} to {maximum}, expected 0 < base <= maximum.")
    if half_cycle < 1:
        raise InputError(f"cyclical: got half a cycle of {half_cycle} steps, expected 1 or more.")

    def rate(step: jax.Array | int) -> jax.Array:
        # Whole steps within the cycle first: float32 would not tell late steps apart.
        step = jnp.asarray(step) % (2 * half_cycle)
        return base + (maximum - base) * (1 - jnp.abs(step / half_cycle - 1))

    return rate  # pyright: ignore[reportReturnType]
