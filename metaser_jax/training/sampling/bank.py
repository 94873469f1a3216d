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
      speaker: [utterance] int32, a number for each speaker of each corpus; None: not known.
      speakers: [corpus, speaker] bool, whom a task of the corpus may hear; None: not known.
      directions: [corpus, class, coef], where a corpus has its classes beside where the others have them; None: not
        known.
    """

    x: jax.Array
    table: jax.Array
    count: jax.Array
    speaker: jax.Array | None = None
    speakers: jax.Array | None = None
    directions: jax.Array | None = None


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


def with_speakers(built: Bank, corpora: Sequence[Corpus], voices: Sequence[np.ndarray], *, least: int = 0) -> Bank:
    """Return a bank that knows its speakers.

    Args:
      built: of `build`, with the same corpora, pooled or not.
      corpora: its own.
      voices: of each corpus, all speakers' names, sorted: banks of several parts then have the same numbers.
      least: see `heard`.
    """
    sizes = [len(names) for names in voices]
    first = np.cumsum([0, *sizes])
    parts = zip(first, voices, corpora, strict=False)
    speaker = [start + np.searchsorted(names, corpus.speaker) for start, names, corpus in parts]
    number = built.count.shape[0]
    corpus = np.repeat(np.arange(len(voices)) % number, sizes)  # of pooled ones all are the first
    speakers = np.concatenate(heard(corpora, voices, least)) & (corpus == np.arange(number)[:, None])
    return built._replace(speaker=jnp.asarray(np.concatenate(speaker), jnp.int32), speakers=jnp.asarray(speakers))


def heard(corpora: Sequence[Corpus], voices: Sequence[np.ndarray], least: int = 0) -> list[np.ndarray]:
    """Return masks of each corpus's speakers with `least` utterances or more of each class, and one of any, [speaker].

    Args:
      corpora: some.
      voices: of each, speakers' names, sorted.
      least: 0 or more.
    """

    def of(corpus: Corpus, names: np.ndarray) -> np.ndarray:
        said = np.zeros((len(names), len(corpus.emotions)), int)
        np.add.at(said, (np.searchsorted(names, corpus.speaker), corpus.label), 1)
        return (said.min(axis=1) >= least) & (said.sum(axis=1) > 0)

    return list(map(of, corpora, voices))


def directions(corpora: Sequence[Corpus]) -> np.ndarray:
    """Return Bank.directions, float32.

      D_jc = sqrt(J / (J - 1)) (m_jc - mean_j m_jc),      m_jc = mean of class c in corpus j, less that over its classes

    Means are over the real frames of utterances, then over utterances; J corpora, two or more.
    """

    def mean(corpus: Corpus, label: int) -> np.ndarray:
        x = corpus.mfcc[corpus.label == label]
        return np.mean(x.sum(axis=1) / np.maximum(x.any(axis=-1).sum(axis=1), 1)[:, None], axis=0)

    means = np.stack([[mean(one, label) for label in range(len(one.emotions))] for one in corpora])
    means -= means.mean(axis=1, keepdims=True)
    apart = means - means.mean(axis=0)
    return (np.sqrt(len(means) / (len(means) - 1)) * apart).astype(np.float32)


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


def check_speakers(names: Sequence[str], speakers: Sequence[int], least: int, who: str) -> None:
    """Raise an InputError that names every corpus with fewer than `least` speakers for tasks.

    Args:
      names: of the corpora.
      speakers: how many each has.
      least: how many it needs.
      who: which speakers count, for the message.
    """
    short = [f"{name} has {n}" for name, n in zip(names, speakers, strict=True) if n < least]
    if short:
        raise InputError(
            f"Too few speakers for tasks: {', '.join(short)}, expected at least {least} {who}. Lower --shots, or leave "
            "the corpus out of --sources."
        )


def check_enough(corpora: Sequence[Corpus], shots: int, queries: int, *, pool: bool = False, part: str) -> None:
    """Raise an InputError that names every corpus and class with fewer than shots + queries utterances.

    Args:
      part: what the corpora given are a part of, for the message, e.g. "training part".
    """
    names, emotions = [corpus.name for corpus in corpora], corpora[0].emotions
    counts = np.stack([np.bincount(corpus.label, minlength=len(emotions)) for corpus in corpora])
    if pool:
        names, counts = ["all sources pooled"], counts.sum(axis=0, keepdims=True)
    few = np.argwhere(counts < shots + queries)
    if len(few):
        short = ", ".join(f"{names[i]} has {counts[i, label]} {emotions[label]}" for i, label in few)
        raise InputError(
            f"Too few utterances for episodes: {short} in the {part}, expected at least {shots + queries} of each "
            f"emotion ({shots} shots + {queries} queries). Lower --shots or --queries, leave the corpus out of "
            "--sources, or draw from all sources together with --pool_sources."
        )
