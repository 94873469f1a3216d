"""The corpora: from recordings to prepared MFCC on disk, and back as a Corpus."""

from metaser_jax.datasets.loading import check, is_prepared, load, load_statistics, prepare, prepared_names, put_back
from metaser_jax.datasets.registry import (
    NAMES,
    OF_FOLDER,
    PAPER,
    Options,
    builder,
    builder_class,
    check_name,
    known_name,
)
from metaser_jax.datasets.statistics import Published, Statistics

__all__ = [
    "NAMES",
    "OF_FOLDER",
    "PAPER",
    "Options",
    "Published",
    "Statistics",
    "builder",
    "builder_class",
    "check",
    "check_name",
    "is_prepared",
    "known_name",
    "load",
    "load_statistics",
    "prepare",
    "prepared_names",
    "put_back",
]
