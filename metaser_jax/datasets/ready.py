"""A prepared corpus made ready for a run: emotions selected, split, made the input."""

from typing import NamedTuple

import numpy as np

from metaser_jax import datasets
from metaser_jax.data.corpus import Corpus
from metaser_jax.data.inputs import Input, make_input
from metaser_jax.data.splits import Split, speaker_folds, split
from metaser_jax.errors import InputError


class Ready(NamedTuple):
    """Attributes: corpus (selected; by load_ready, made the input), split (of it), raw_digest (of it as prepared)."""

    corpus: Corpus
    split: Split
    raw_digest: str

    def as_input(self, how: Input, fit: np.ndarray | None = None) -> "Ready":
        """The same as a network is given it; normalised "corpus" by the statistics of the utterances `fit`, [m] int, by
        default of this split's training part."""
        return self._replace(corpus=make_input(self.corpus, how, self.split.train if fit is None else fit))


def load_ready(
    name: str, data_dir: str, *, emotions: tuple[str, ...], split_kind: str, split_seed: int, how: Input
) -> Ready:
    """Loads a prepared corpus.

    Raises:
      InputError: unknown or unprepared corpus, an emotion that it lacks, or a split that it does not allow.
    """
    (ready,) = load_splits(name, data_dir, emotions=emotions, split_kind=split_kind, split_seed=split_seed)
    return ready.as_input(how)


def load_splits(
    name: str, data_dir: str, *, emotions: tuple[str, ...], split_kind: str, split_seed: int, folds: int = 0
) -> tuple[Ready, ...]:
    """The corpus, read once and not normalised, with its one split or with each of its folds.

    Raises:
      InputError: as load_ready; folds of a split that is not by speaker.
    """
    if folds and split_kind != "speaker":
        raise InputError(f"folds={folds}: got a {split_kind} split, expected a speaker split, which alone has folds.")
    prepared = datasets.load(name, data_dir)
    corpus, digest = prepared.select(emotions), prepared.digest()
    splits = speaker_folds(corpus, folds, split_seed) if folds else (split(corpus, split_kind, split_seed),)
    return tuple(Ready(corpus, one, digest) for one in splits)
