"""A configuration's network, learner, optimizers and initial state."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaser_jax.config import MetaTrainConfig, ModelConfig
from metaser_jax.devices import parallel
from metaser_jax.loops.meta_training import TrainState, init_state
from metaser_jax.meta.anil import anil
from metaser_jax.meta.execution import Execution
from metaser_jax.meta.layer_rates import layer_rates
from metaser_jax.meta.learner import Learner
from metaser_jax.meta.maml import maml
from metaser_jax.meta.meta_sgd import meta_sgd
from metaser_jax.meta.reptile import reptile
from metaser_jax.models.classifier import EmotionLSTM
from metaser_jax.models.losses import LossFn, cross_entropy
from metaser_jax.training.optimizers import make_optimizer
from metaser_jax.types import Params

_BILEVEL = {"maml": maml, "anil": anil, "meta_sgd": meta_sgd, "layer_rates": layer_rates}
_LEARNED_RATES = ("meta_sgd", "layer_rates")
_INNER = {"sgd": optax.sgd, "momentum": lambda rate: optax.sgd(rate, momentum=0.9), "adam": optax.adam}


class Trainer(NamedTuple):
    """What a configuration makes: the loss, the learner, the outer optimizer, and the initial state."""

    loss_fn: LossFn
    learner: Learner
    optimizer: optax.GradientTransformation
    state: TrainState


def make_model(config: ModelConfig) -> EmotionLSTM:
    """The network of a configuration."""
    return EmotionLSTM(
        config.hidden_dim,
        len(config.emotions),
        config.pooling,
        config.activation,
        config.input_statistics,
        recurrence=config.recurrence,
    )


def make_learner(config: MetaTrainConfig, loss_fn: LossFn, inner_lr: float | jax.Array | None = None) -> Learner:
    """The algorithm of a configuration, its tasks not yet divided among devices.

    Args:
      inner_lr: in the place of config.inner_lr; may be traced.
    """
    inner_lr = config.inner_lr if inner_lr is None else inner_lr
    common = {
        # Learned rates multiply the optimizer's updates, and start at inner_lr themselves.
        "inner_optimizer": _INNER[config.inner_optimizer](1.0 if config.algorithm in _LEARNED_RATES else inner_lr),
        "inner_batch_size": config.inner_batch_size or None,
        "execution": _execution(config),
    }
    if config.algorithm == "reptile":
        return reptile(loss_fn, inner_lr, config.inner_steps, **common)
    return _BILEVEL[config.algorithm](
        loss_fn,
        inner_lr,
        config.inner_steps,
        config.order,
        anneal_episodes=config.anneal_episodes,
        multi_step_episodes=config.multi_step_episodes,
        **common,
    )


def _execution(config: MetaTrainConfig) -> Execution:
    def named(option: str) -> str | None:
        return None if option == "auto" else option

    chunk = None if config.chunk < 0 else config.chunk
    return Execution(named(config.over_tasks), chunk, named(config.hvp), named(config.residuals))


def make_trainer(config: MetaTrainConfig, x: jax.Array) -> Trainer:
    """Builds the trainer.

    Args:
      x: [n, time, coef], what init_params says; config.seed decides the rest of the initial parameters.
    """
    model = make_model(config)
    loss_fn = cross_entropy(model.apply)
    learner = parallel.shard_over_devices(make_learner(config, loss_fn), config.devices)
    name = config.meta_optimizer
    optimizer = make_optimizer(name, config.meta_lr, weight_decay=config.weight_decay)
    key_params, key_train, _ = run_keys(config)
    params = jax.tree.map(lambda p: p.astype(config.dtype), init_params(model, key_params, x))
    return Trainer(loss_fn, learner, optimizer, init_state(learner, params, optimizer, key_train))


def init_params(model: EmotionLSTM, key: jax.Array, x: jax.Array) -> Params:
    """Initial parameters, the same with a seed whatever the corpora are, but for the input's statistics.

    Args:
      x: [n, time, coef], utterances to learn from; only a model with input_statistics looks at more than their shape.
    """
    return model.init(key, x if model.input_statistics else x[:1])


def no_utterances(config: ModelConfig) -> jax.Array:
    """x for initial parameters of which only the shapes count."""
    return jnp.zeros((2, 120, config.input.coefs))


def run_keys(config: MetaTrainConfig) -> jax.Array:
    """A run's keys: of its initial parameters, its training episodes, its validation episode."""
    return jax.random.split(jax.random.key(config.seed), 3)
