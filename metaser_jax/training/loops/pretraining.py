"""Pre-training of the baselines: epochs of minibatches until the validation loss converges, all on the device.

TransSER (Chopra et al., ICASSP 2021) trains on its sources one after another, a stage each, and a stage begins from the
best parameters of the one before with a fresh optimizer. MultiSER has one stage, of all sources in turn. A stage ends
after `patience` epochs without a lower validation loss, or after max_epochs; its best epoch counts.

NOTE: "until the validation loss converges" is the paper's; the number of epochs that it takes for that is not.

The randomness of step t of stage s depends on (key, s, t) alone, so a run that is stopped and continued is the same.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaser_jax.meta.learner import Learner, MetaParams
from metaser_jax.models.losses import LossFn
from metaser_jax.training.loops.finetuning import keep_best, mean_over_rows, stopped
from metaser_jax.training.sampling.minibatches import Whole
from metaser_jax.types import Augment, Batch, Episode, Params

MinibatchFn = Callable[[jax.Array, jax.Array], Episode]
"""(the stage's key, step of the stage) -> minibatch."""


class PretrainState(NamedTuple):
    """State of a run between epochs, and content of its checkpoint.

    Attributes:
      params: what is learned.
      opt_state: of the stage's optimizer.
      best_params: params after the stage's best epoch.
      best_loss: scalar, their validation loss; infinite before the first epoch.
      best_epoch: scalar int32, that epoch; 0 before the first.
      epoch: scalar int32, epochs done in this stage.
      stage: scalar int32, from 0.
      total_epoch: scalar int32, epochs done in all stages.
    """

    params: MetaParams
    opt_state: optax.OptState
    best_params: MetaParams
    best_loss: jax.Array
    best_epoch: jax.Array
    epoch: jax.Array
    stage: jax.Array
    total_epoch: jax.Array


class EpochInfo(NamedTuple):
    """Diagnostics of the last epoch that was run; scalars.

    Attributes:
      train_loss: mean over its utterances, each before its step's update.
      valid_loss: after the epoch.
    """

    train_loss: jax.Array
    valid_loss: jax.Array


def init_state(learner: Learner, params: Params, optimizer: optax.GradientTransformation) -> PretrainState:
    """Return the state before the first epoch of the first stage."""
    meta_params = learner.init(params)
    none, zero = jnp.float32(jnp.inf), jnp.int32(0)
    return PretrainState(meta_params, optimizer.init(meta_params), meta_params, none, zero, zero, zero, zero)


def next_stage(state: PretrainState, optimizer: optax.GradientTransformation) -> PretrainState:
    """Return the state before the first epoch of the next stage: the best parameters so far, a fresh optimizer."""
    return state._replace(
        params=state.best_params,
        opt_state=optimizer.init(state.best_params),
        best_loss=jnp.full_like(state.best_loss, jnp.inf),
        best_epoch=jnp.zeros_like(state.best_epoch),
        epoch=jnp.zeros_like(state.epoch),
        stage=state.stage + 1,
    )


def run_epochs(
    learner: Learner,
    optimizer: optax.GradientTransformation,
    minibatch: MinibatchFn,
    validate: Callable[[Params], jax.Array],
    key: jax.Array,
    state: PretrainState,
    epochs: jax.Array,
    *,
    steps: jax.Array | int,
    max_epochs: jax.Array | int,
    patience: jax.Array | int,
    augment: Augment | None = None,
) -> tuple[PretrainState, EpochInfo]:
    """Train for `epochs` epochs, or until the stage is over. To be jitted; the number is traced.

    It also stops after an epoch whose losses are not finite.

    Args:
      learner: the algorithm.
      optimizer: of the stage.
      minibatch: draws a step's utterances.
      validate: params -> scalar validation loss.
      key: the run's key.
      state: where to go on from.
      epochs: scalar int32, at least 1.
      steps: of an epoch, scalar int32.
      max_epochs, patience: end a stage, see `stopped`; scalar int32.
      augment: applied to each minibatch, and never to the validation part.
    """
    key_batches, key_augment = jax.random.split(jax.random.fold_in(key, state.stage))

    def train_step(i, carry):
        params, opt_state, total, first = carry
        step = first + i
        episode = minibatch(key_batches, step)
        if augment is not None:
            episode = _augmented(augment, jax.random.fold_in(key_augment, step), episode)
        _, grads, info = learner.value_and_grad(params, episode, step)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        loss = (jnp.mean(info.support_loss) + jnp.mean(info.query_loss)) / 2
        return optax.apply_updates(params, updates), opt_state, total + loss, first

    def run_epoch(carry):
        i, state, _ = carry
        start = (state.params, state.opt_state, jnp.zeros_like(state.best_loss), state.epoch * steps)
        params, opt_state, total, _ = jax.lax.fori_loop(0, steps, train_step, start)
        epoch, loss = state.epoch + 1, validate(learner.params(params))
        best = keep_best(loss < state.best_loss, (params, loss, epoch), state)
        state = PretrainState(params, opt_state, *best, epoch, state.stage, state.total_epoch + 1)
        return i + 1, state, EpochInfo(total / steps, loss)

    def unfinished(carry):
        i, state, info = carry
        finite = jnp.isfinite(info.train_loss) & jnp.isfinite(info.valid_loss)
        return (i < epochs) & finite & ~stopped(state.epoch, state.best_epoch, max_epochs, patience)  # pyright: ignore[reportDeprecated]

    zero = jnp.zeros_like(state.best_loss)
    _, state, info = jax.lax.while_loop(unfinished, run_epoch, (jnp.int32(0), state, EpochInfo(zero, zero)))
    return state, info


def validation_loss(
    loss_fn: LossFn, params: Params, data: Batch, part: Whole, sources: jax.Array, number: jax.Array, chunk: int = 0
) -> jax.Array:
    """Return a part's contribution to the mean over sources of each one's mean loss; those of all parts add up to it.

    Args:
      loss_fn: must honour weights.
      params: its own.
      data, part: of minibatches.whole; the part without its leading axis.
      sources, number: the stage's sources, as in minibatches.round_robin.
      chunk: utterances computed at once, as in mean_over_rows.
    """
    sizes = {"at_most": max(chunk, part.index.shape[1]), "chunk": chunk}

    def of_source(i, total):
        index, rows, share = (a[sources[i]] for a in part)
        return total + share * mean_over_rows(lambda batch, _: loss_fn(params, batch), data, index, 0, rows, **sizes)

    return jax.lax.fori_loop(0, number, of_source, jnp.float32(0)) / number


def _augmented(augment: Augment, key: jax.Array, episode: Episode) -> Episode:
    """Return the episode with its utterances, in the order they were drawn in, augmented as one array."""
    half = episode.support.y.shape[1]
    x = jnp.concatenate([episode.support.x, episode.query.x], axis=1)
    x = augment(key, x.reshape(-1, *x.shape[2:])).reshape(x.shape)
    return Episode(episode.support._replace(x=x[:, :half]), episode.query._replace(x=x[:, half:]))
