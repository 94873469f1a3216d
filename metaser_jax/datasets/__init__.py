"""The corpora: from recordings to prepared MFCC on disk, and back as a Corpus."""

from metaser_jax.datasets.loading import is_prepared, load, load_statistics
from metaser_jax.datasets.preparation import prepare
from metaser_jax.datasets.registry import NAMES, builder, check
from metaser_jax.datasets.statistics import Statistics

__all__ = ["NAMES", "Statistics", "builder", "check", "is_prepared", "load", "load_statistics", "prepare"]
