"""The corpora by name. A builder's module, and TFDS with it, is imported when it is needed."""

import contextlib
import importlib
import locale
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from absl import logging

from metaser_jax.datasets.options import Options
from metaser_jax.datasets.recordings import loosely
from metaser_jax.errors import InputError, check_choice

if TYPE_CHECKING:
    from metaser_jax.datasets.base import CorpusBuilder, Extract

# The eight of the paper, sources first, in the order of its Table 1.
PAPER = ("tess", "ravdess", "savee", "iemocap", "emodb", "emovo", "shemo", "urdu")
FOLDER = "folder"

_CLASSES = {
    "demo_english": "demo.demo_dataset_builder:DemoEnglish",
    "demo_german": "demo.demo_dataset_builder:DemoGerman",
    "demo_italian": "demo.demo_dataset_builder:DemoItalian",
    "demo_persian": "demo.demo_dataset_builder:DemoPersian",
    "demo_urdu": "demo.demo_dataset_builder:DemoUrdu",
    FOLDER: "folder.folder_dataset_builder:Builder",
    **{name: f"{name}.{name}_dataset_builder:Builder" for name in PAPER},
}
# Other labels of the same recordings, as TFDS's configurations; the first of a corpus goes by its name alone.
_CONFIGS = {
    "iemocap": ("excited_apart", "excited_as_happy"),
    "shemo": ("file_names", "corrected"),
}
_WITH_CONFIG = [f"{name}/{config}" for name, configs in _CONFIGS.items() for config in configs[1:]]
NAMES = tuple(sorted([*(name for name in _CLASSES if name != FOLDER), *_WITH_CONFIG]))


def check_name(name: str, what: str = "corpus") -> str:
    """Return the name if it is one of NAMES, or folder/ANYTHING. Raises InputError otherwise."""
    if name.partition("/")[0] != FOLDER:
        return check_choice(what, name, [*NAMES, f"{FOLDER}/NAME"])
    if not is_folder_name(name.partition("/")[2]):
        raise InputError(
            f"{what}: got {name!r}, expected {FOLDER}/NAME, where NAME is the name of a folder below --manual_dir, in "
            "letters, digits, '_', '-' and '.'."
        )
    return name


def known_name(name: str, what: str = "corpus") -> str:
    """Return check_name of a corpus as people may write it, e.g. TESS or EMO-DB."""
    alike = {loosely(one): one for one in NAMES}
    return check_name(alike.get(loosely(name), name), what)


def is_folder_name(name: str) -> bool:
    """Return whether folder/NAME can be a corpus."""
    return re.fullmatch(r"[A-Za-z0-9][\w.-]*", name, re.ASCII) is not None


def builder_class(name: str) -> type["CorpusBuilder"]:
    """Return the class of one corpus. Raises InputError: unknown name."""
    module, _, class_name = _CLASSES[check_name(name).partition("/")[0]].partition(":")
    with _c_characters():
        return getattr(importlib.import_module(f"metaser_jax.datasets.{module}"), class_name)


class Terms(NamedTuple):
    """Attributes: language, its English name, None where the recordings' owner says it; licence, for people."""

    language: str | None
    licence: str


def terms(name: str) -> Terms:
    """Return what a corpus's builder says of its language and licence.

    TFDS is imported. Raises InputError: unknown name.
    """
    corpus = builder_class(name)
    return Terms(getattr(corpus, "LANGUAGE", None), corpus.LICENSE)


def config_of(name: str) -> str | None:
    """Return the name of the TFDS configuration that a corpus's name says or implies; None if it has none."""
    base, _, config = name.partition("/")
    return config or _CONFIGS.get(base, (None,))[0]


def builder(
    name: str, data_dir: str | os.PathLike[str], *, extract: "Extract | None" = None, **options: Any
) -> "CorpusBuilder":
    """Return the TFDS builder of one corpus.

    Args:
      name: one of NAMES, or folder/ANYTHING.
      data_dir: folder of all prepared corpora.
      extract: how features are extracted; by worker_pool.extract_all, unless it is given.
      **options: those of Options.

    Raises:
      InputError: unknown name; an option that the corpus does not have, or that cannot be understood.
    """
    made = builder_class(name)
    with quiet():
        return made(data_dir=os.fspath(data_dir), config=config_of(name), options=Options(**options), extract=extract)


def check(
    name: str,
    manual_dir: str | os.PathLike[str] | None,
    *,
    make: "Callable[..., CorpusBuilder]" = builder,
    **options: Any,
) -> tuple[str, ...]:
    """Look at the recordings of a corpus, and return notes; without manual_dir, see whether it can be downloaded.

    None is opened, but those that seem to be copies.

    Args:
      name: one of NAMES, or folder/ANYTHING.
      manual_dir: folder with the corpus's folder or its zip archives.
      make: as builder.
      **options: those of Options.

    Raises:
      InputError: unknown name, or what CorpusBuilder.listing says.
    """
    with tempfile.TemporaryDirectory() as nothing:  # a builder wants a data_dir, and reads what is there
        corpus = make(name, nothing, **options)
    if manual_dir is not None:
        return corpus.listing(Path(manual_dir)).notes
    if not corpus.downloads:
        raise corpus.not_downloadable()
    return ()


@contextlib.contextmanager
def _c_characters() -> Iterator[None]:
    """Have C's own upper and lower case while TFDS is imported.

    protobuf makes the names of its JSON fields then, by C's toupper, which in Turkish makes no I of i: what is prepared
    in one locale could not be read in another.
    """
    before = locale.setlocale(locale.LC_CTYPE)
    locale.setlocale(locale.LC_CTYPE, "C")
    try:
        yield
    finally:
        locale.setlocale(locale.LC_CTYPE, before)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Leave out TFDS's log of its steps, which absl programs show by default; --verbosity=1 has it."""
    verbosity = logging.get_verbosity()
    if verbosity == logging.INFO:
        logging.set_verbosity(logging.WARNING)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
