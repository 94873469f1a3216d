"""Cross-entropy of a batch: the loss of every learner."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from metaser_jax.types import Batch, Params

LossFn = Callable[[Params, Batch], jax.Array]


def cross_entropy(apply: Callable[[Params, jax.Array], jax.Array]) -> LossFn:
    """Return a model's mean loss, loss_fn(params, batch) -> scalar, in nats per utterance.

    Args:
      apply: (params, x [n, time, coef]) -> logits [n, class], e.g. EmotionLSTM().apply.

    Returns:
      The mean over the batch's utterances of -log softmax(logits)[y], weighted where the batch has weights; weights
      that sum to zero give zero.
    """

    def loss_fn(params: Params, batch: Batch) -> jax.Array:
        losses = optax.softmax_cross_entropy_with_integer_labels(apply(params, batch.x), batch.y)
        if batch.weight is None:
            return jnp.mean(losses)
        total = jnp.sum(batch.weight)
        return jnp.sum(batch.weight * losses) / jnp.where(total > 0, total, 1)

    return loss_fn
