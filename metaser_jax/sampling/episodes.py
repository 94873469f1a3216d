"""Episodes drawn on the device: a pure function of a key, made to run inside jit.

Each task's randomness depends on (key, task index) alone, so any way of dividing the tasks among devices draws the
same episode.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from metaser_jax.sampling.bank import Bank
from metaser_jax.sampling.task_rules import TaskRule, disturbed, shifted, shot_weights, sides
from metaser_jax.types import Batch, Episode

PLAIN = TaskRule()


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
    return draw_some(key, table, jnp.arange(table.shape[1]) < count[:, None], n)[0]


def draw_some(key: jax.Array, table: jax.Array, there: jax.Array, n: int) -> tuple[jax.Array, jax.Array]:
    """Draw n of the entries of each row that are there, or all where these are fewer, and then any.

    Args:
      key: PRNG key.
      table: [class, slot] int32.
      there: [class, slot] bool.
      n: number of draws per class.

    Returns:
      [class, n] int32, entries of table; and whether they are there, [class, n] bool.
    """
    score = (jax.random.bits(key, table.shape, jnp.uint32) >> 1).astype(jnp.int32)
    drawn, slots = jax.lax.top_k(jnp.where(there, score, -1), n)
    return jnp.take_along_axis(table, slots, axis=1), drawn >= 0


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
    rule: TaskRule = PLAIN,
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
      rule: what else makes a task; banks must know what it asks for.

    Returns:
      Episode with support x [tasks, class * shots, ...] and query x [tasks, class * queries, ...], both grouped by
      class; weights where a rule may leave fewer than shots or queries, 0 for what is missing.
    """
    numbers = first + jnp.arange(tasks)
    return sample_numbered(key, bank, numbers, shots=shots, queries=queries, query_bank=query_bank, rule=rule)


def sample_numbered(
    key: jax.Array,
    bank: Bank,
    numbers: jax.Array,
    *,
    shots: int,
    queries: int,
    query_bank: Bank | None = None,
    choose: Callable[[jax.Array, jax.Array], jax.Array] | None = None,
    rule: TaskRule = PLAIN,
) -> Episode:
    """Return some tasks of an episode, as `sample` does.

    Args:
      numbers: [task] int32, the tasks' numbers in their episode.
      choose: (key, count [class]) -> a task's classes, in its own order, [n] int32; None takes all in the bank's.
      The others, Returns: as sample.
    """
    tasks = len(numbers)
    key_corpus, key_tasks = jax.random.split(key)
    of_queries = bank if query_bank is None else query_bank
    by_speaker = rule.one_speaker or rule.other_speakers

    def indices(task, corpus):
        """Return rows and weights of the support set, [class, shots], and of the query set."""
        key_task = jax.random.fold_in(key_tasks, task)
        chosen = slice(None)
        if choose is not None:
            key_classes, key_task = jax.random.split(key_task)
            chosen = choose(key_classes, bank.count[corpus])
        between = None
        if by_speaker:
            key_sides, key_task = jax.random.split(key_task)
            between = sides(key_sides, rule, bank, of_queries, corpus)

        def draw(key: jax.Array, source: Bank, n: int, side: int) -> tuple[jax.Array, jax.Array | None]:
            table, count = source.table[corpus][chosen], source.count[corpus][chosen]
            if between is None:
                return draw_without_replacement(key, table, count, n), None
            assert source.speaker is not None
            there = (jnp.arange(table.shape[1]) < count[:, None]) & between[side][source.speaker[table]]
            rows, real = draw_some(key, table, there, n)
            return rows, real.astype(jnp.float32)

        if query_bank is None and not rule.other_speakers:
            both = draw(key_task, bank, shots + queries, 0)
            return jax.tree.map(lambda a: a[:, :shots], both), jax.tree.map(lambda a: a[:, shots:], both)
        key_support, key_query = jax.random.split(key_task)
        return draw(key_support, bank, shots, 0), draw(key_query, of_queries, queries, 1)

    def gather(source: Bank, drawn: tuple[jax.Array, jax.Array | None]) -> Batch:
        rows, weight = drawn
        y = jnp.broadcast_to(jnp.arange(rows.shape[1], dtype=jnp.int32)[:, None], rows.shape[1:])
        y = jnp.broadcast_to(y.reshape(-1), (tasks, y.size))
        x = jax.tree.map(lambda a: a[rows.reshape(tasks, -1)], source.x)
        return Batch(x, y, None if weight is None else weight.reshape(tasks, -1))

    support, query = jax.vmap(indices)(numbers, assign_corpora(key_corpus, bank.count.shape[0], numbers))
    episode = Episode(gather(bank, support), gather(of_queries, query))
    if rule == PLAIN:
        return episode

    def changed(number: jax.Array, task: Episode) -> Episode:
        # A key beside those of the draws, so that the same utterances are drawn with and without.
        key_shots, key_shift, key_disturb = jax.random.split(jax.random.fold_in(key_corpus, number), 3)
        if rule.shots_mix:
            of_class = shot_weights(key_shots, rule.shots_mix, shots)
            weight = jnp.tile(of_class, task.support.y.shape[0] // shots)
            weight = weight if task.support.weight is None else weight * task.support.weight
            task = task._replace(support=task.support._replace(weight=weight))
        return disturbed(key_disturb, rule, shifted(key_shift, rule, bank, task))

    return jax.vmap(changed)(numbers, episode)
