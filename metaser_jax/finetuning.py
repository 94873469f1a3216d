"""Fine-tuning on the target language, with early stopping, as one pure function to jit and to vmap over seeds.

  theta <- theta - lr * grad L_train(theta), from the meta-learned theta*        (MetaSER's eq. 6-7)

An epoch is one pass over the drawn utterances in shuffled minibatches. Training stops once the validation loss has not
fallen for `patience` epochs; the parameters of the best epoch are returned.
"""

import math
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaser_jax.errors import check_choice
from metaser_jax.losses import LossFn
from metaser_jax.models import in_head
from metaser_jax.types import Batch, Params

ADAPT = ("all", "head")


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


def restrict(optimizer: optax.GradientTransformation, adapt: Literal["all", "head"]) -> optax.GradientTransformation:
    """The optimizer for all layers, or for the dense layers alone, the others frozen bit for bit.

    Raises:
      InputError: unknown adapt.
    """
    if check_choice("adapt", adapt, ADAPT) == "all":
        return optimizer

    def part_of(params: Params) -> Params:
        return jax.tree_util.tree_map_with_path(lambda path, _: "head" if in_head(path) else "frozen", params)

    return optax.partition({"head": optimizer, "frozen": optax.set_to_zero()}, part_of)


def finetune(
    loss_fn: LossFn,
    params: Params,
    key: jax.Array,
    train: Batch,
    valid: Batch | None,
    *,
    optimizer: optax.GradientTransformation,
    batch_size: int = 64,
    max_epochs: int = 200,
    patience: int = 20,
) -> tuple[Params, FinetuneInfo]:
    """Trains from `params` until the validation loss stops falling.

    Args:
      loss_fn: (params, batch) -> scalar mean loss; must honour weights.
      params: where to start.
      key: PRNG key of the shuffling.
      train: x [n, time, coef], y [n], optional weight [n]; an utterance of weight 0 is padding.
      valid: as train; its loss chooses the epoch. None trains for max_epochs and returns the last.
      optimizer: see `restrict`.
      batch_size: utterances per step; fewer utterances than that make one step per epoch.
      max_epochs: passes over train, at most.
      patience: epochs without a lower validation loss before it stops; max_epochs or more never stops early.

    Returns:
      Parameters of the epoch with the lowest validation loss, the start included, and FinetuneInfo (without
      validation its best_valid_loss is 0).
    """
    n = train.y.shape[0]
    steps = math.ceil(n / batch_size)
    batch = math.ceil(n / steps)
    weight = jnp.ones(n, train.x.dtype) if train.weight is None else train.weight

    def minibatch_step(carry, rows):
        params, opt_state = carry
        # Rows beyond n pad the last minibatch: they repeat an utterance with weight 0.
        real = (rows < n).astype(weight.dtype)
        rows = jnp.minimum(rows, n - 1)
        grads = jax.grad(loss_fn)(params, Batch(train.x[rows], train.y[rows], weight[rows] * real))
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), None

    def run_epoch(state: _State) -> _State:
        order = jax.random.permutation(jax.random.fold_in(key, state.epoch), n)
        rows = jnp.concatenate([order, jnp.full(steps * batch - n, n, order.dtype)]).reshape(steps, batch)
        (params, opt_state), _ = jax.lax.scan(minibatch_step, (state.params, state.opt_state), rows)
        epoch = state.epoch + 1
        loss = state.best_loss if valid is None else loss_fn(params, valid)
        better = jnp.bool_(valid is None) | (loss < state.best_loss)
        return _State(
            params,
            opt_state,
            jax.tree.map(lambda new, old: jnp.where(better, new, old), params, state.best_params),
            jnp.where(better, loss, state.best_loss),
            jnp.where(better, epoch, state.best_epoch),
            epoch,
        )

    def unfinished(state: _State) -> jax.Array:
        return (state.epoch < max_epochs) & (state.epoch - state.best_epoch < patience)

    zero = jnp.zeros((), jnp.int32)
    first_loss = jnp.zeros((), train.x.dtype) if valid is None else loss_fn(params, valid)
    start = _State(params, optimizer.init(params), params, first_loss, zero, zero)
    end = jax.lax.while_loop(unfinished, run_epoch, start)
    return end.best_params, FinetuneInfo(end.best_epoch, end.epoch, end.best_loss)
