"""Endless minibatches of source corpora, drawn on the device: pure functions of (key, bank, step), to run inside jit.

A source's stream is its passes one after another, cut into minibatches. A pass is all of its utterances once, in an
order of its own, fold_in(fold_in(key, source), pass). So a minibatch may end one pass and begin the next (or, of a
source smaller than itself, several), and all minibatches have the same size.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from metaser_jax.training.sampling.bank import Bank
from metaser_jax.types import Batch, Episode


def sequential(
    key: jax.Array, bank: Bank, source: jax.Array | int, step: jax.Array | int, *, batch_size: int, tasks: int = 1
) -> Episode:
    """Return a minibatch of one source's stream.

    Args:
      key: PRNG key.
      bank: the sources.
      source: scalar int32, which.
      step: scalar int32, which minibatch of its stream.
      batch_size: utterances, a multiple of 2 * tasks.
      tasks: into how many tasks it is divided; the utterances, and their order, are the same for any number.

    Returns:
      Episode with half of each task's utterances as support and half as query: x [tasks, batch_size / tasks / 2, time,
      coef], in the order of the stream within (task, support before query).
    """
    rows, y = _utterances(key, bank, source, jnp.asarray(step, jnp.int32) * batch_size, batch_size)
    half = batch_size // tasks // 2
    x, y = (a.reshape(tasks, 2 * half, *a.shape[1:]) for a in (bank.x[rows], y))
    return Episode(Batch(x[:, :half], y[:, :half]), Batch(x[:, half:], y[:, half:]))


def round_robin(
    key: jax.Array,
    bank: Bank,
    sources: jax.Array,
    number: jax.Array | int,
    step: jax.Array | int,
    *,
    batch_size: int,
    tasks: int = 1,
) -> Episode:
    """Return minibatch of several sources in turn: step t is the next one of sources[t mod number].

    Args:
      sources: [at least number] int32; those from `number` on are padding, so that stages of fewer sources share a
        program.
      number: scalar int32.
      The others, Returns: as sequential; one source alone is sequential.
    """
    return sequential(key, bank, sources[step % number], step // number, batch_size=batch_size, tasks=tasks)


def epoch_steps(bank: Bank, sources: Sequence[int], batch_size: int) -> int:
    """Return steps of an epoch: the minibatches that the largest of the sources has, ceil(n / batch_size), from each.

    NOTE: the paper does not say what an epoch of alternating minibatches is. Here smaller sources begin again until the
    largest is through, so that all weigh alike.
    """
    largest = int(np.asarray(bank.count).sum(axis=1)[list(sources)].max())
    return len(sources) * math.ceil(largest / batch_size)


def _utterances(key: jax.Array, bank: Bank, source: jax.Array | int, first: jax.Array, number: int):
    """Return (rows of bank.x, classes) at `number` positions of a source's stream from `first` on, [number] int32."""
    table, count = bank.table[source], bank.count[source]
    slots = table.shape[1]
    real = (jnp.arange(slots) < count[:, None]).reshape(-1)
    n = jnp.sum(count)
    position = first + jnp.arange(number, dtype=jnp.int32)
    key = jax.random.fold_in(key, source)

    def fill(k: jax.Array, drawn: jax.Array) -> jax.Array:
        # Padding gets the lowest score, so the first n of the order are utterances.
        score = (jax.random.bits(jax.random.fold_in(key, k), real.shape, jnp.uint32) >> 1).astype(jnp.int32)
        order = jnp.argsort(jnp.where(real, score, -1), descending=True).astype(jnp.int32)
        return jnp.where(position // n == k, order[position % n], drawn)

    drawn = jax.lax.fori_loop(first // n, (first + number - 1) // n + 1, fill, jnp.zeros_like(position))
    return table.reshape(-1)[drawn], drawn // slots


class Whole(NamedTuple):
    """Every utterance of each source once, in equal parts (up to one utterance) that devices share.

    Attributes:
      index: [part, source, n] int32, rows of the bank's x; those from `number` on are padding.
      number: [part, source] int32, how many are real.
      share: [part, source] float32, the part's share of its source's utterances.
    """

    index: jax.Array
    number: jax.Array
    share: jax.Array


def whole(bank: Bank, parts: int = 1) -> tuple[Batch, Whole]:
    """Return the bank's utterances with their classes, and which of them each part is to take a mean over."""
    table, count = np.asarray(bank.table), np.asarray(bank.count)
    real = np.arange(table.shape[2]) < count[..., None]
    y = np.zeros(len(bank.x), np.int32)
    y[table[real]] = np.nonzero(real)[1]
    size = count.sum(axis=1)
    index = np.zeros((parts, len(size), -(-int(size.max()) // parts)), np.int32)
    number = np.zeros((parts, len(size)), np.int32)
    for source, part in np.ndindex(len(size), parts):
        own = table[source][real[source]][part::parts]
        index[part, source, : len(own)] = own
        number[part, source] = len(own)
    share = (number / size).astype(np.float32)
    return Batch(bank.x, jnp.asarray(y)), Whole(*map(jnp.asarray, (index, number, share)))
