"""The bank: source corpora as arrays that live on the device, from which episodes are drawn without the host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from metaser_jax.errors import InputError

if TYPE_CHECKING:
    from metaser_jax.data.corpus import Corpus


class Bank(NamedTuple):
    """Utterances of several corpora, and where those of each corpus and class are.

    Attributes:
      x: [utterance, time, coef] float32, all utterances; from `tasks.py` any pytree of arrays [example, ...].
      table: [corpus, class, slot] int32, rows of x; slots from `count` on are padding.
      count: [corpus, class] int32, number of utterances.
    """

    x: jax.Array
    table: jax.Array
    count: jax.Array


def build(corpora: Sequence[Corpus], *, pool: bool = False) -> Bank:
    """Put corpora on the default device.

    Args:
      corpora: with the same emotions, in the same order.
      pool: make one task distribution of all corpora (as the authors' code) instead of one each (as the paper).

    Raises:
      InputError: no corpus, or corpora with different emotions.
    """
    if not corpora:
        raise InputError("A bank needs at least one corpus, got none.")
    emotions = corpora[0].emotions
    for corpus in corpora:
        if corpus.emotions != emotions:
            raise InputError(f"{corpus.name} has emotions {corpus.emotions}, expected those of the others: {emotions}.")
    label = np.concatenate([corpus.label for corpus in corpora])
    source = np.repeat(np.arange(len(corpora)), [len(corpus) for corpus in corpora])
    source = np.zeros_like(source) if pool else source
    x = np.concatenate([corpus.mfcc for corpus in corpora])
    return of_arrays(x, source, label, (1 if pool else len(corpora), len(emotions)))


def of_arrays(x: Any, source: np.ndarray, label: np.ndarray, shape: tuple[int, int]) -> Bank:
    """Put examples on the default device.

    Args:
      x: pytree of arrays [example, ...].
      source: [example] int, the corpus of each.
      label: [example] int, the class of each.
      shape: number of corpora, and of classes.
    """
    cell = np.ravel_multi_index((source, label), shape)
    rows = np.argsort(cell, kind="stable").astype(np.int32)
    count = np.bincount(cell, minlength=shape[0] * shape[1]).astype(np.int32)
    slot = np.arange(len(cell)) - (np.cumsum(count) - count)[cell[rows]]
    table = np.zeros((count.size, count.max()), np.int32)
    table[cell[rows], slot] = rows
    return Bank(jax.tree.map(jnp.asarray, x), jnp.asarray(table.reshape(*shape, -1)), jnp.asarray(count.reshape(shape)))


def check_enough(corpora: Sequence[Corpus], shots: int, queries: int, *, pool: bool = False, part: str) -> None:
    """Raise an InputError that names every corpus and class with fewer than shots + queries utterances.

    Args:
      part: what the corpora given are a part of, for the message, e.g. "training part".
    """
    groups = {"all sources pooled": corpora} if pool else {corpus.name: [corpus] for corpus in corpora}
    short = []
    for name, members in groups.items():
        for label, emotion in enumerate(members[0].emotions):
            have = sum(int(np.sum(corpus.label == label)) for corpus in members)
            if have < shots + queries:
                short.append(f"{name} has {have} {emotion}")
    if short:
        raise InputError(
            f"Too few utterances for episodes: {', '.join(short)} in the {part}, expected at least "
            f"{shots + queries} of each emotion ({shots} shots + {queries} queries). "
            "Lower --shots or --queries, leave the corpus out of --sources, or draw from all sources together "
            "with --pool_sources."
        )
