"""Fine-tuning on the target language, with early stopping, as one pure function to jit, and to map or vmap over runs.

  theta <- theta - lr * grad L_train(theta), from the meta-learned theta*        (MetaSER's eq. 6-7)

An epoch is one pass over the drawn utterances in shuffled minibatches. Training stops once the validation loss has not
fallen for `patience` epochs; the parameters of the best epoch are returned.

How many utterances a run has is traced, and only how many it may have at most is not: runs of all amounts share a
program, in which each computes as many minibatches, and chunks of them, as it has. A run's result does not depend on
its padding.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaser_jax.loops.indexed_rows import Rows, mean_over_rows
from metaser_jax.loops.pretraining import keep_best, stopped
from metaser_jax.models.losses import LossFn
from metaser_jax.types import Augment, Batch, Params


class FinetuneInfo(NamedTuple):
    """Attributes: best_epoch, epochs (run), best_valid_loss, scalars. best_epoch 0 means that no epoch helped."""

    best_epoch: jax.Array
    epochs: jax.Array
    best_valid_loss: jax.Array


class _State(NamedTuple):
    params: Params
    opt_state: optax.OptState
    best_params: Params
    best_loss: jax.Array
    best_epoch: jax.Array
    epoch: jax.Array


def finetune(
    loss_fn: LossFn,
    params: Params,
    key: jax.Array,
    data: Batch,
    train: Rows,
    valid: Rows | None,
    *,
    optimizer: optax.GradientTransformation,
    batch_size: int = 64,
    max_epochs: int = 200,
    patience: int = 20,
    rates: Params | None = None,
    augment: Augment | None = None,
    chunk: int = 0,
) -> tuple[Params, FinetuneInfo]:
    """Train from `params` until the validation loss stops falling.

    Args:
      loss_fn: (params, batch) -> scalar mean loss; must honour weights.
      params: where to start; all of them are trained. For the dense layers alone give models.take_head's, and a loss
        of what models.EmotionLSTM makes of x before them.
      key: PRNG key of the shuffling and of augment.
      data: x [m, ...], y [m], optional weight [m]: the utterances that the rows are of, such as a whole corpus.
      train: what to train on; a run with none ends after zero epochs.
      valid: what the loss is of that chooses the epoch. None trains for max_epochs and returns the last.
      optimizer: its learning rate may follow a schedule over the steps.
      batch_size: utterances per step at most; an epoch's steps are as few and as equal as that allows.
      max_epochs: passes over train, at most.
      patience: epochs without a lower validation loss before it stops; max_epochs or more never stops early.
      rates: learned inner rates, of the structure of params: the optimizer's updates are multiplied by them, as the
        inner loop of Meta-SGD does. None: all are 1.
      augment: what each minibatch goes through, utterance by utterance, at random anew in each step; valid does not.
      chunk: utterances computed at once, as in `mean_over_rows`.

    Returns:
      Parameters of the epoch with the lowest validation loss, the start included, and FinetuneInfo (without
      validation its best_valid_loss is 0).
    """
    key_shuffle, key_augment = jax.random.split(key)
    steps = (train.n + batch_size - 1) // batch_size
    size = (train.n + steps - 1) // jnp.maximum(steps, 1)

    def gradient(params: Params, rows: Rows, epoch: jax.Array, start: jax.Array) -> Params:
        def of_chunk(batch: Batch, position: jax.Array) -> Params:
            if augment is not None:
                batch = batch._replace(x=_augmented(augment, jax.random.fold_in(key_augment, epoch), position, batch.x))
            return jax.grad(loss_fn)(params, batch)

        at_most = min(batch_size, train.index.shape[0])
        stop = jnp.minimum(start + size, rows.n)
        return mean_over_rows(of_chunk, data, rows.index, start, stop, at_most=at_most, chunk=chunk)

    def valid_loss(params: Params) -> jax.Array:
        if valid is None:
            return jnp.zeros((), data.x.dtype)
        (at_most,) = valid.index.shape
        return mean_over_rows(
            lambda batch, _: loss_fn(params, batch), data, valid.index, 0, valid.n, at_most=at_most, chunk=chunk
        )

    def run_epoch(state: _State) -> _State:
        rows = _shuffled(jax.random.fold_in(key_shuffle, state.epoch), train)

        def step(number: jax.Array, carry):
            params, opt_state = carry
            grads = gradient(params, rows, state.epoch, number * size)
            updates, opt_state = optimizer.update(grads, opt_state, params)
            if rates is not None:
                updates = jax.tree.map(jnp.multiply, rates, updates)
            return optax.apply_updates(params, updates), opt_state

        params, opt_state = jax.lax.fori_loop(0, steps, step, (state.params, state.opt_state))
        epoch, loss = state.epoch + 1, valid_loss(params)
        better = jnp.bool_(valid is None) | (loss < state.best_loss)
        return _State(params, opt_state, *keep_best(better, (params, loss, epoch), state), epoch)

    def unfinished(state: _State) -> jax.Array:
        return ~stopped(state.epoch, state.best_epoch, max_epochs, patience) & (train.n > 0)

    zero = jnp.zeros((), jnp.int32)
    start = _State(params, optimizer.init(params), params, valid_loss(params), zero, zero)
    end = jax.lax.while_loop(unfinished, run_epoch, start)
    return end.best_params, FinetuneInfo(end.best_epoch, end.epoch, end.best_loss)


def _shuffled(key: jax.Array, rows: Rows) -> Rows:
    """Return the real rows in random order, before the padding.

    The order depends on the key and on their number alone.
    """
    position = jnp.arange(rows.index.shape[0], dtype=jnp.int32)
    number = jax.vmap(lambda i: jax.random.bits(jax.random.fold_in(key, i), dtype=jnp.uint32))(position)
    # A position's number is the same whatever comes after it; those of the padding are the largest.
    number = jnp.where(position < rows.n, number >> 1, jnp.uint32(2**32 - 1))
    return Rows(rows.index[jnp.argsort(number)], rows.n)


def _augmented(augment: Augment, key: jax.Array, position: jax.Array, x: jax.Array) -> jax.Array:
    """Return each utterance with a key of its own, by its position in the epoch: neither chunks nor padding matter."""
    keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(position)
    return jax.vmap(lambda key, one: augment(key, one[None])[0])(keys, x)
