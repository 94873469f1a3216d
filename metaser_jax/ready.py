"""A prepared corpus made ready for a run: emotions selected, split, inputs normalised."""

from typing import NamedTuple

from metaser_jax import datasets
from metaser_jax.corpus import Corpus
from metaser_jax.normalise import normalise
from metaser_jax.splits import Split, split


class Ready(NamedTuple):
    """Attributes: corpus (selected and normalised), split (of it), raw_digest (of the corpus as prepared)."""

    corpus: Corpus
    split: Split
    raw_digest: str


def load_ready(
    name: str, data_dir: str, *, emotions: tuple[str, ...], split_kind: str, split_seed: int, normalisation: str
) -> Ready:
    """Loads a prepared corpus.

    Raises:
      InputError: unknown or unprepared corpus, an emotion that it lacks, or a split that it does not allow.
    """
    prepared = datasets.load(name, data_dir)
    corpus = prepared.select(emotions)
    parts = split(corpus, split_kind, split_seed)
    return Ready(normalise(corpus, normalisation, parts.train), parts, prepared.digest())
