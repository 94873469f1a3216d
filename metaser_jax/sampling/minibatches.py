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

from metaser_jax.sampling.bank import Bank
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
    """Every utterance of each source once, in parts that devices share and chunks to go through one by one.

    Attributes:
      batches: x [part, source, chunk, n, time, coef], y and weight [part, source, chunk, n]; weight 1 for an
        utterance, 0 for padding.
      chunks: [part, source] int32; chunks from there on are padding.
      size: [part, source] float32, number of utterances of the source, all parts together.
    """

    batches: Batch
    chunks: jax.Array
    size: jax.Array


def whole(bank: Bank, *, parts: int = 1, chunk: int = 0) -> Whole:
    """Return the bank's utterances, to take a mean over all of a source's.

    Args:
      parts: into how many equal parts (up to one utterance) each source is divided.
      chunk: utterances of a chunk; 0 is all of a part.
    """
    table, count = np.asarray(bank.table), np.asarray(bank.count)
    sources, classes, slots = table.shape
    real = np.arange(slots) < count[..., None]
    size = count.sum(axis=1)
    of_part = -(-size // parts)
    chunk = chunk or int(of_part.max())
    chunks = -(-of_part // chunk)
    rows = np.zeros((sources, int(chunks.max()) * chunk * parts), np.int32)
    y, weight = np.zeros_like(rows), np.zeros(rows.shape, np.float32)
    label = np.broadcast_to(np.arange(classes)[:, None], (classes, slots))
    for source in range(sources):
        n = size[source]
        rows[source, :n] = table[source][real[source]]
        y[source, :n] = label[real[source]]
        weight[source, :n] = 1

    def divided(a: np.ndarray) -> np.ndarray:
        # Utterance i belongs to part i mod parts, so that the first chunks are full.
        return a.reshape(sources, -1, chunk, parts).transpose(3, 0, 1, 2)

    return Whole(
        Batch(bank.x[divided(rows)], jnp.asarray(divided(y)), jnp.asarray(divided(weight))),
        jnp.asarray(np.tile(chunks, (parts, 1)), jnp.int32),
        jnp.asarray(np.tile(size, (parts, 1)), jnp.float32),
    )
