"""Fine-tuning on the target language, with early stopping, as one pure function to jit, and to map or vmap over runs.

  theta <- theta - lr * grad L_train(theta), from the meta-learned theta*        (MetaSER's eq. 6-7)

An epoch is one pass over the drawn utterances in shuffled minibatches. Training stops once the validation loss has not
fallen for `patience` epochs; the parameters of the best epoch are returned.

How many utterances a run has is traced, and only how many it may have at most is not: runs of all amounts share a
program, in which each computes as many minibatches, and chunks of them, as it has. A run's result does not depend on
its padding. A CPU has small chunks, whose intermediates stay in the cache, and few utterances do not pay for the
padding; elsewhere chunks are there for the memory alone.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaser_jax.models.losses import LossFn
from metaser_jax.types import Augment, Batch, Params


class Rows(NamedTuple):
    """Utterances of a run; where index is as long, runs of other numbers share a program.

    Attributes:
      index: [n_max] int32, n_max >= 1, rows of the data; those from n on are padding, and any row.
      n: scalar int32, how many are real.
    """

    index: jax.Array
    n: jax.Array


def mean_over_rows(
    function: Callable[[Batch, jax.Array], Any],
    data: Batch,
    index: jax.Array,
    start: jax.Array | int,
    stop: jax.Array | int,
    *,
    at_most: int,
    chunk: int = 0,
) -> Any:
    """Return the mean of a function over data[index[start:stop]], weighted where the data are; of none it is zero.

    Args:
      function: (batch, position [chunk] int32 in index) -> pytree of arrays, each a weighted mean over the batch (or
        linear in such means). Padding in the batch has weight 0.
      data: x [m, ...], y [m], optional weight [m].
      index: [n_max] int32.
      start, stop: of index, traced.
      at_most: what stop - start never exceeds.
      chunk: utterances computed at once; 0: all.
    """
    size = min(chunk or at_most, at_most)

    def of_chunk(number: jax.Array | int):
        position = start + number * size + jnp.arange(size, dtype=jnp.int32)
        rows = index[jnp.minimum(position, index.shape[0] - 1)]
        weight = (position < stop).astype(data.x.dtype)
        if data.weight is not None:
            weight = weight * data.weight[rows]
        value = function(Batch(data.x[rows], data.y[rows], weight), position)
        total = jnp.sum(weight)
        return total, jax.tree.map(lambda v: total.astype(v.dtype) * v, value)

    if size == at_most:
        total = of_chunk(0)
    else:
        zeros = jax.tree.map(lambda v: jnp.zeros(v.shape, v.dtype), jax.eval_shape(of_chunk, 0))
        chunks = (stop - start + size - 1) // size
        total = jax.lax.fori_loop(0, chunks, lambda c, sums: jax.tree.map(jnp.add, sums, of_chunk(c)), zeros)
    weight, value = total
    return jax.tree.map(lambda v: v / jnp.where(weight > 0, weight, 1).astype(v.dtype), value)


def apply_to_rows(
    apply: Callable[[Params, jax.Array], jax.Array], params: Params, x: jax.Array, rows: Rows, chunk: int = 0
) -> jax.Array:
    """Return a model's outputs for some utterances, such as logits.

    Args:
      apply: (params, x [n, ...]) -> [n, out].
      x: [m, ...].
      rows: of x.
      chunk: as in mean_over_rows.

    Returns:
      [n_max, out]; that of the padding is zero or of any row.
    """
    (n_max,) = rows.index.shape
    size = min(chunk or n_max, n_max)
    index = jnp.pad(rows.index, (0, -n_max % size))
    like = jax.eval_shape(apply, params, x[:1])

    def of_chunk(number: jax.Array, out: jax.Array) -> jax.Array:
        start = number * size
        values = apply(params, x[jax.lax.dynamic_slice_in_dim(index, start, size)])
        return jax.lax.dynamic_update_slice_in_dim(out, values, start, 0)

    zeros = jnp.zeros((len(index), *like.shape[1:]), like.dtype)
    return jax.lax.fori_loop(0, (rows.n + size - 1) // size, of_chunk, zeros)[:n_max]


def stopped(
    epoch: jax.Array | int, best_epoch: jax.Array | int, max_epochs: jax.Array | int, patience: jax.Array | int
) -> jax.Array | bool:
    """Return whether a stage is over after `epoch` of its epochs."""
    return (epoch >= max_epochs) | (epoch - best_epoch >= patience)


def keep_best(better: jax.Array, new: tuple[Any, jax.Array, jax.Array], state: Any) -> tuple[Any, jax.Array, jax.Array]:
    """Return the parameters, loss and epoch that are the best: the new ones, where they are better, or the state's."""
    old = (state.best_params, state.best_loss, state.best_epoch)
    return jax.tree.map(lambda a, b: jnp.where(better, a, b), new, old)


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
        sizes = {"at_most": valid.index.shape[0], "chunk": chunk}
        return mean_over_rows(lambda batch, _: loss_fn(params, batch), data, valid.index, 0, valid.n, **sizes)

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
