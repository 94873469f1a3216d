"""The corpora: from recordings to prepared MFCC on disk, and back as a Corpus."""

from metaser_jax.datasets.loading import check, is_prepared, load, load_statistics, prepare, prepared_names, put_back
from metaser_jax.datasets.registry import NAMES, OF_FOLDER, PAPER, Options, builder, builder_class, known_name
from metaser_jax.datasets.statistics import Statistics

__all__ = [
    "NAMES",
    "OF_FOLDER",
    "PAPER",
    "Options",
    "Statistics",
    "builder",
    "builder_class",
    "check",
    "is_prepared",
    "known_name",
    "load",
    "load_statistics",
    "prepare",
    "prepared_names",
    "put_back",
]
