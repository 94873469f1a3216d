"""The bank: source corpora as arrays that live on the device, from which episodes are drawn without the host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from metaser_jax.errors import InputError

if TYPE_CHECKING:
    from metaser_jax.data.corpus import Corpus


class Bank(NamedTuple):
    """Utterances of several corpora, and where those of each corpus and class are.

    Attributes:
      x: [utterance, time, coef] float32, all utterances.
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
    rows = [
        [np.flatnonzero((source == corpus) & (label == emotion)) for emotion in range(len(emotions))]
        for corpus in range(1 if pool else len(corpora))
    ]
    count = np.array([[len(r) for r in row] for row in rows], np.int32)
    table = np.zeros((*count.shape, count.max()), np.int32)
    for corpus, emotion in np.ndindex(*count.shape):
        table[corpus, emotion, : count[corpus, emotion]] = rows[corpus][emotion]
    x = np.concatenate([corpus.mfcc for corpus in corpora])
    return Bank(jnp.asarray(x), jnp.asarray(table), jnp.asarray(count))


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
