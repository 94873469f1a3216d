"""What makes a task, besides its corpus: whose voices it hears, how its classes are moved, how many shots it has.

Tasks whose support and query sets come from one corpus are solved by one network that does not adapt. With voices of
its own, or classes that lie elsewhere than in the other tasks, a task has to be learned from its support set.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from metaser_jax.models.frames import frame_mask
from metaser_jax.sampling.bank import Bank
from metaser_jax.types import Batch, Episode


class TaskRule(NamedTuple):
    """How tasks are made; static, as it stands those of one corpus.

    Attributes:
      one_speaker: a task is of one speaker, drawn among those of its corpus that the bank says.
      other_speakers: a task's corpus is divided by speakers at random, half to be drawn from for support and half for
        query sets.
      shots_mix: each task has so many shots, one of these; those that are drawn beyond have weight 0. Empty: all do.
      class_shift: deviation of an offset of each class and coefficient, in support and query alike.
      corpus_shift: deviation of how far a task's classes are moved as each corpus has them, along Bank.directions.
      dropout: share of each utterance's coefficients that are left out, the others growing by 1 / (1 - dropout).
      noise: deviation of what is added to each number of each utterance.
    """

    one_speaker: bool = False
    other_speakers: bool = False
    shots_mix: tuple[int, ...] = ()
    class_shift: float = 0.0
    corpus_shift: float = 0.0
    dropout: float = 0.0
    noise: float = 0.0


def sides(
    key: jax.Array, rule: TaskRule, bank: Bank, query_bank: Bank, corpus: jax.Array
) -> tuple[jax.Array, jax.Array] | None:
    """Return which speakers a task's support and query sets are of, [speaker] bool each; None: of all."""
    if not (rule.one_speaker or rule.other_speakers):
        return None
    assert bank.speakers is not None
    assert query_bank.speakers is not None
    own, others = bank.speakers[corpus], query_bank.speakers[corpus]
    score = jax.random.uniform(key, own.shape)
    if rule.one_speaker:
        one = jax.nn.one_hot(jnp.argmax(jnp.where(own & others, score, -1)), len(own), dtype=bool)
        return one, one
    # The larger half, where they are odd, is the query's.
    order = jnp.argsort(jnp.where(own, score, -1), descending=True)
    support = (jnp.zeros_like(own).at[order].set(jnp.arange(len(own)) < jnp.sum(own) // 2)) & own
    return support, ~support


def shot_weights(key: jax.Array, mix: tuple[int, ...], shots: int) -> jax.Array:
    """Return 1 for the first k of a class's shots and 0 for the others, [shots] float32; k is drawn from the mix."""
    k = jnp.asarray(mix, jnp.int32)[jax.random.randint(key, (), 0, len(mix))]
    return (jnp.arange(shots) < k).astype(jnp.float32)


def shifted(key: jax.Array, rule: TaskRule, bank: Bank, task: Episode) -> Episode:
    """Return a task whose classes are moved, each by one random offset; padding stays zero.

    Args:
      key: of the task.
      rule: of the deviation.
      bank: its classes, and directions.
      task: x [n, time, coef], y [n].
    """
    if not (rule.class_shift or rule.corpus_shift):
        return task
    x, classes, directions = task.support.x, bank.count.shape[1], bank.directions
    key_class, key_corpus = jax.random.split(key)
    offset = rule.class_shift * jax.random.normal(key_class, (classes, x.shape[-1]), x.dtype)
    if rule.corpus_shift:
        assert directions is not None
        by = rule.corpus_shift * jax.random.normal(key_corpus, (len(directions),), x.dtype)
        offset = offset + jnp.tensordot(by, directions, 1)

    def moved(batch: Batch) -> Batch:
        return batch._replace(x=batch.x + jnp.where(frame_mask(batch.x)[..., None], offset[batch.y][:, None], 0))

    return Episode(moved(task.support), moved(task.query))


def disturbed(key: jax.Array, rule: TaskRule, task: Episode) -> Episode:
    """Return a task with dropout and noise on its input, each utterance's own; padding stays zero.

    Args:
      key: of the task.
      rule: how much of both.
      task: x [n, time, coef].
    """
    if not (rule.dropout or rule.noise):
        return task

    def of(key: jax.Array, batch: Batch) -> Batch:
        x, (key_dropout, key_noise) = batch.x, jax.random.split(key)
        mask = frame_mask(x)[..., None]
        if rule.noise:
            noise = jnp.asarray(rule.noise, x.dtype) * jax.random.normal(key_noise, x.shape, x.dtype)
            x = x + jnp.where(mask, noise, 0)
        if rule.dropout:
            x = dropped(key_dropout, x, rule.dropout)
        return batch._replace(x=x)

    key_support, key_query = jax.random.split(key)
    return Episode(of(key_support, task.support), of(key_query, task.query))


def dropped(key: jax.Array, x: jax.Array, share: float) -> jax.Array:
    """Return x [n, time, coef] with a share of each utterance's coefficients zero, the others larger by as much."""
    n, _, coef = x.shape
    kept = jax.random.bernoulli(key, 1 - share, (n, 1, coef))
    return jnp.where(kept, x / jnp.asarray(1 - share, x.dtype), 0)
