"""Episodes drawn on the device: a pure function of a key, made to run inside jit.

Each task's randomness depends on (key, task index) alone, so any way of dividing the tasks among devices draws the
same episode.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from metaser_jax.sampling.bank import Bank
from metaser_jax.types import Batch, Episode


def draw_without_replacement(key: jax.Array, table: jax.Array, count: jax.Array, n: int) -> jax.Array:
    """Draw n of the first count[c] entries of each row c, each subset and order equally likely.

    Every slot gets a random number, padding the lowest; the n highest win.

    Args:
      key: PRNG key.
      table: [class, slot] int32.
      count: [class] int32, at least n each (padding would be drawn otherwise; check_enough refuses such corpora).
      n: number of draws per class.

    Returns:
      [class, n] int32, entries of table.
    """
    score = (jax.random.bits(key, table.shape, jnp.uint32) >> 1).astype(jnp.int32)
    score = jnp.where(jnp.arange(table.shape[1]) < count[:, None], score, -1)
    _, slots = jax.lax.top_k(score, n)
    return jnp.take_along_axis(table, slots, axis=1)


def assign_corpora(key: jax.Array, corpora: int, numbers: jax.Array) -> jax.Array:
    """Return the corpus of each task, [task] int32: in turn from a random one, so that all occur equally often.

    Args:
      key: PRNG key.
      corpora: number of corpora.
      numbers: [task] int32, the tasks' numbers in their episode.
    """
    return (jax.random.randint(key, (), 0, corpora, jnp.int32) + numbers) % corpora


def corpora_of(key: jax.Array, bank: Bank, tasks: int) -> jax.Array:
    """Return the corpus that each task of `sample`'s episode is drawn from, [tasks] int32: its number in the bank."""
    return assign_corpora(jax.random.split(key)[0], bank.count.shape[0], jnp.arange(tasks))


def sample(
    key: jax.Array,
    bank: Bank,
    *,
    tasks: int,
    shots: int,
    queries: int,
    query_bank: Bank | None = None,
    first: int | jax.Array = 0,
) -> Episode:
    """Return one episode: each task from one corpus, support and query disjoint, balanced over the classes.

    Args:
      key: PRNG key.
      bank: where support sets, and query sets unless query_bank is given, are drawn from.
      tasks: number of tasks.
      shots: support utterances per class.
      queries: query utterances per class.
      query_bank: where query sets are drawn from instead, e.g. the same corpora's validation part.
      first: number of the first of these tasks in their episode, scalar int: a device draws its own tasks alone.

    Returns:
      Episode with support x [tasks, class * shots, ...] and query x [tasks, class * queries, ...], both grouped by
      class.
    """
    numbers = first + jnp.arange(tasks)
    return sample_numbered(key, bank, numbers, shots=shots, queries=queries, query_bank=query_bank)


def sample_numbered(
    key: jax.Array,
    bank: Bank,
    numbers: jax.Array,
    *,
    shots: int,
    queries: int,
    query_bank: Bank | None = None,
    choose: Callable[[jax.Array, jax.Array], jax.Array] | None = None,
) -> Episode:
    """Return some tasks of an episode, as `sample` does.

    Args:
      numbers: [task] int32, the tasks' numbers in their episode.
      choose: (key, count [class]) -> a task's classes, in its own order, [n] int32; None takes all in the bank's.
      The others, Returns: as sample.
    """
    tasks = len(numbers)
    key_corpus, key_tasks = jax.random.split(key)

    def indices(task, corpus):
        key_task = jax.random.fold_in(key_tasks, task)
        chosen = slice(None)
        if choose is not None:
            key_classes, key_task = jax.random.split(key_task)
            chosen = choose(key_classes, bank.count[corpus])

        def draw(key: jax.Array, source: Bank, n: int) -> jax.Array:
            return draw_without_replacement(key, source.table[corpus][chosen], source.count[corpus][chosen], n)

        if query_bank is None:
            drawn = draw(key_task, bank, shots + queries)
            return drawn[:, :shots], drawn[:, shots:]
        key_support, key_query = jax.random.split(key_task)
        return draw(key_support, bank, shots), draw(key_query, query_bank, queries)

    def gather(source: Bank, rows: jax.Array) -> Batch:
        y = jnp.broadcast_to(jnp.arange(rows.shape[1], dtype=jnp.int32)[:, None], rows.shape[1:])
        y = jnp.broadcast_to(y.reshape(-1), (tasks, y.size))
        return Batch(jax.tree.map(lambda a: a[rows.reshape(tasks, -1)], source.x), y)

    support, query = jax.vmap(indices)(numbers, assign_corpora(key_corpus, bank.count.shape[0], numbers))
    return Episode(gather(bank, support), gather(query_bank or bank, query))
