"""Episodes drawn on the device: a pure function of a key, made to run inside jit.

Each task's randomness depends on (key, task index) alone, so any way of dividing the tasks among devices draws the
same episode.

Tasks whose support and query sets come from one corpus are solved by one network that does not adapt. With voices of
its own, or classes that lie elsewhere than in the other tasks, a task has to be learned from its support set.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from metaser_jax.models.frames import frame_mask
from metaser_jax.training.sampling.bank import Bank
from metaser_jax.types import Batch, Episode


class TaskRule(NamedTuple):
    """Rule by which tasks are made; static. The defaults draw a task from one corpus.

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
) -> tuple[jax.Array, jax.Array]:
    """Return the speakers of a task's support and of its query set, [speaker] bool each."""
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
    choose: Callable[[jax.Array, jax.Array], jax.Array] | None = None,
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
      choose: (key, count [class]) -> a task's classes, in its own order, [n] int32; None takes all in the bank's.
      rule: what else makes a task; banks must know what it asks for.

    Returns:
      Episode with support x [tasks, class * shots, ...] and query x [tasks, class * queries, ...], both grouped by
      class; weights where a rule may leave fewer than shots or queries, 0 for what is missing.
    """
    numbers = first + jnp.arange(tasks)
    key_corpus, key_tasks = jax.random.split(key)
    of_queries = bank if query_bank is None else query_bank

    def indices(task, corpus):
        """Return rows and weights of the support set, [class, shots], and of the query set."""
        key_task = jax.random.fold_in(key_tasks, task)
        chosen = slice(None)
        if choose is not None:
            key_classes, key_task = jax.random.split(key_task)
            chosen = choose(key_classes, bank.count[corpus])
        between = None
        if rule.one_speaker or rule.other_speakers:
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
