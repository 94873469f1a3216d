"""Prepared corpora with their splits."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from metaser_jax.data.corpus import Corpus, require_emotions
from metaser_jax.data.splits import speaker_folds, split
from metaser_jax.data.target import Target
from metaser_jax.datasets import loading
from metaser_jax.errors import InputError

Load = Callable[[str, str], Corpus]
"""(name, data_dir) -> Corpus, as datasets.load."""


class Corpora(NamedTuple):
    """Source of prepared corpora.

    Attributes:
      load: as datasets.load.
      is_prepared: (name, data_dir) -> whether load would find it.
    """

    load: Load
    is_prepared: Callable[[str, str], bool]


ON_DISK = Corpora(loading.load, loading.is_prepared)


def load_together(names: Iterable[str], data_dir: str, emotions: tuple[str, ...], load: Load = loading.load) -> Load:
    """Read corpora that are used together, each once, and return what loads them from memory.

    Raises:
      InputError: unknown or unprepared corpus; an emotion that one lacks, with those that all have.
    """
    corpora = {name: load(name, data_dir) for name in names}
    require_emotions(list(corpora.values()), emotions)
    return lambda name, _: corpora[name]


def load_targets(
    name: str,
    data_dir: str,
    *,
    emotions: tuple[str, ...],
    split_kind: str = "random",
    split_seed: int = 0,
    folds: int = 0,
    load: Load = loading.load,
) -> tuple[Target, ...]:
    """Load a prepared corpus, read once and not normalised, with its one split or with each of its folds.

    Raises:
      InputError: unknown or unprepared corpus, an emotion that it lacks, a split that it does not allow, or folds of a
        split that is not by speaker.
    """
    if folds and split_kind != "speaker":
        raise InputError(f"folds={folds}: got a {split_kind} split, expected a speaker split, which alone has folds.")
    prepared = load(name, data_dir)
    corpus, digest = prepared.select(emotions), prepared.digest()
    splits = speaker_folds(corpus, folds, split_seed) if folds else (split(corpus, split_kind, split_seed),)
    return tuple(Target(corpus, one, digest) for one in splits)
