"""Losses: cross-entropy, which every program trains with, and the mark of a loss that is a mean over utterances."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from metaser_jax.errors import InputError
from metaser_jax.types import Batch, Params

LossFn = Callable[[Params, Batch], jax.Array]
"""(params, batch) -> scalar. A MeanLoss may be computed utterance by utterance; of any other nothing is assumed."""


@dataclasses.dataclass(frozen=True)
class MeanLoss:
    """Loss function, (params, batch) -> scalar, that is the weighted mean of each utterance's own loss.

    For such a loss, and for no other, learners may go through a large set of utterances chunk by chunk: with batch
    statistics, contrastive losses and penalties, an utterance's loss depends on the others, or on their number.

    Attributes:
      losses: (params, batch) -> [n], each of its own utterance alone.
    """

    losses: Callable[[Params, Batch], jax.Array]

    def __call__(self, params: Params, batch: Batch) -> jax.Array:
        """Return the mean loss, weighted where the batch has weights; weights that sum to zero give zero."""
        losses = self.losses(params, batch)
        if batch.weight is None:
            return jnp.mean(losses)
        weight = batch.weight.astype(losses.dtype)
        total = jnp.sum(weight)
        return jnp.sum(weight * losses) / jnp.where(total > 0, total, 1)


def mean_loss(losses: Callable[[Params, Batch], jax.Array]) -> MeanLoss:
    """Make a mean loss of a function that gives each utterance's own, so that large sets may be taken in chunks.

    Args:
      losses: (params, batch) -> [n], each of its own utterance alone: no batch statistics, no pairs. Learners trust
        this; a loss that is not so belongs to them as a plain function, of which nothing is assumed.

    Returns:
      loss_fn(params, batch) -> scalar: the mean, weighted where the batch has weights.

    Example:
      Squared errors:

      >>> import jax.numpy as jnp
      >>> import metaser_jax
      >>> loss_fn = metaser_jax.mean_loss(lambda slope, batch: (slope * batch.x - batch.y) ** 2)
      >>> float(loss_fn(2.0, metaser_jax.Batch(jnp.array([1.0, 2.0]), jnp.array([2.0, 2.0]))))
      2.0
    """
    return MeanLoss(losses)


def cross_entropy(apply: Callable[[Params, jax.Array], jax.Array], label_smoothing: float = 0.0) -> MeanLoss:
    """Return a model's mean loss, loss_fn(params, batch) -> scalar, in nats per utterance.

    Args:
      apply: (params, x [n, ...]) -> logits [n, class], e.g. EmotionLSTM().apply; each utterance's of its own x alone.
        Or [n, member, class] of several networks at once, whose mean loss is meant. A model with batch statistics has
        no place here: write its loss as a plain function.
      label_smoothing: share of each label that is divided among all classes alike.

    Returns:
      The mean over the batch's utterances of -log softmax(logits)[y], weighted where the batch has weights; weights
      that sum to zero give zero. batch.y is [n] int, classes, or [n, class], one-hot or probabilities. Logits of less
      than 32 bits are taken to float32 first.

    Raises:
      InputError: when called, labels that are neither.

    Example:
      Of logits that are the parameters themselves, twice as much for the first class:

      >>> import jax.numpy as jnp
      >>> import metaser_jax
      >>> loss_fn = metaser_jax.cross_entropy(lambda logits, x: jnp.tile(logits, (len(x), 1)))
      >>> batch = metaser_jax.Batch(jnp.zeros(2), jnp.array([0, 1]))
      >>> round(float(loss_fn(jnp.log(jnp.array([2.0, 1.0])), batch)), 4)  # -(log 2/3 + log 1/3) / 2
      0.752
    """

    def losses(params: Params, batch: Batch) -> jax.Array:
        logits = apply(params, batch.x)
        if logits.dtype.itemsize < 4:
            logits = logits.astype(jnp.float32)
        if logits.ndim == 3:
            return jnp.mean(jax.vmap(of_logits, in_axes=(1, None))(logits, batch), axis=0)
        return of_logits(logits, batch)

    def of_logits(logits: jax.Array, batch: Batch) -> jax.Array:
        hard = of_labels(logits, batch)
        if not label_smoothing:
            return hard
        return (1 - label_smoothing) * hard - label_smoothing * jnp.mean(jax.nn.log_softmax(logits), axis=-1)

    def of_labels(logits: jax.Array, batch: Batch) -> jax.Array:
        if batch.y.shape == logits.shape:
            return optax.softmax_cross_entropy(logits, batch.y.astype(logits.dtype))
        if batch.y.shape == logits.shape[:-1] and jnp.issubdtype(batch.y.dtype, jnp.integer):
            return optax.softmax_cross_entropy_with_integer_labels(logits, batch.y)
        raise InputError(
            f"batch.y: got {batch.y.dtype}{list(batch.y.shape)} with logits {list(logits.shape)}, expected whole "
            f"numbers {list(logits.shape[:-1])}, or one-hot labels or probabilities {list(logits.shape)}."
        )

    return MeanLoss(losses)
