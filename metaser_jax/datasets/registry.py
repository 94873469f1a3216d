"""The corpora by name. A builder's module, and TFDS with it, is imported when it is needed."""

import contextlib
import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from absl import logging

from metaser_jax.errors import check_choice

if TYPE_CHECKING:
    from metaser_jax.datasets.base import CorpusBuilder

_CLASSES = {
    "demo_english": "demo.demo_dataset_builder:DemoEnglish",
    "demo_german": "demo.demo_dataset_builder:DemoGerman",
    "demo_italian": "demo.demo_dataset_builder:DemoItalian",
    "demo_persian": "demo.demo_dataset_builder:DemoPersian",
    "demo_urdu": "demo.demo_dataset_builder:DemoUrdu",
    "emodb": "emodb.emodb_dataset_builder:Builder",
    "ravdess": "ravdess.ravdess_dataset_builder:Builder",
    "urdu": "urdu.urdu_dataset_builder:Builder",
}
NAMES = tuple(sorted(_CLASSES))


def builder_class(name: str) -> type["CorpusBuilder"]:
    """The class of one corpus. Raises InputError: unknown name."""
    module, _, class_name = _CLASSES[check_choice("corpus", name, NAMES)].partition(":")
    return getattr(importlib.import_module(f"metaser_jax.datasets.{module}"), class_name)


def builder(
    name: str, data_dir: str | os.PathLike[str], *, skip_bad: bool = False, workers: int = 0
) -> "CorpusBuilder":
    """The TFDS builder of one corpus.

    Args:
      name: one of NAMES.
      data_dir: folder of all prepared corpora.
      skip_bad: leave out recordings that cannot be used, instead of raising an error.
      workers: processes that extract features; 0 takes one per core. The result does not depend on it.

    Raises:
      InputError: unknown name.
    """
    make = builder_class(name)
    with quiet():
        return make(data_dir=os.fspath(data_dir), skip_bad=skip_bad, workers=workers)


def check(name: str, manual_dir: str | os.PathLike[str], *, skip_bad: bool = False) -> None:
    """Looks at the recordings of a corpus, without opening them.

    Raises:
      InputError: unknown name, or what CorpusBuilder.listing says.
    """
    # A builder wants a data_dir; nothing is written there.
    builder(name, manual_dir, skip_bad=skip_bad).listing(Path(manual_dir))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without TFDS's log of its steps, which absl programs show by default; --verbosity=1 has it."""
    verbosity = logging.get_verbosity()
    if verbosity == logging.INFO:
        logging.set_verbosity(logging.WARNING)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
