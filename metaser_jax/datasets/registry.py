"""The corpora by name, and their options. A builder's module, and TFDS with it, is imported when it is needed."""

import contextlib
import dataclasses
import importlib
import json
import locale
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import logging

from metaser_jax.datasets.recordings import loosely
from metaser_jax.errors import InputError, check_choice
from metaser_jax.specs.labelling import Labelling

if TYPE_CHECKING:
    from metaser_jax.datasets.base import CorpusBuilder, Extract

# The eight of the paper, sources first, in the order of its Table 1.
PAPER = ("tess", "ravdess", "savee", "iemocap", "emodb", "emovo", "shemo", "urdu")
FOLDER = "folder"
_FOLDER_NAME = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)
# Options of folder/NAME: what other corpora say themselves.
OF_FOLDER = ("language", *(field.name for field in dataclasses.fields(Labelling)))

_CLASSES = {
    **{
        f"demo_{language.lower()}": f"demo.demo_dataset_builder:Demo{language}"
        for language in ("English", "German", "Italian", "Persian", "Urdu")
    },
    FOLDER: "folder.folder_dataset_builder:Builder",
    **{name: f"{name}.{name}_dataset_builder:Builder" for name in PAPER},
}
# Other labels of the same recordings, as TFDS's configurations; the first of a corpus goes by its name alone.
_CONFIGS = {"iemocap": ("excited_apart", "excited_as_happy"), "shemo": ("file_names", "corrected")}
_WITH_CONFIG = [f"{name}/{config}" for name, configs in _CONFIGS.items() for config in configs[1:]]
NAMES = tuple(sorted([*(name for name in _CLASSES if name != FOLDER), *_WITH_CONFIG]))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(Labelling):
    """Options of every builder; those of Labelling are for folder/NAME alone.

    Attributes:
      skip_bad: leave out recordings that cannot be used (they are counted and listed), instead of raising an error.
      drop_duplicates: keep the first of several byte-identical recordings; the others are counted and listed.
      language: English name of the language; for folder/NAME alone.
      encoder: whether what the speech encoder hears is kept: "auto" where it was fetched, "on" or "off".
      workers: processes that extract features; 0 takes one per core. The result does not depend on it.
    """

    skip_bad: bool = False
    drop_duplicates: bool = False
    language: str | None = None
    encoder: str = "auto"
    workers: int = 0

    def of_content(self) -> dict[str, Any]:
        """Return the options that what is prepared depends on, as they are read again from JSON."""
        values = dataclasses.asdict(self)
        del values["workers"], values["encoder"]
        return json.loads(json.dumps(values))


def check_name(name: str, what: str = "corpus") -> str:
    """Return the name if it is one of NAMES, or folder/ANYTHING. Raises InputError otherwise."""
    if name.partition("/")[0] != FOLDER:
        return check_choice(what, name, [*NAMES, f"{FOLDER}/NAME"])
    if not _FOLDER_NAME.fullmatch(name.partition("/")[2]):
        raise InputError(f"{what}: got {name!r}, expected {FOLDER}/NAME, in letters, digits, '_', '-' and '.'.")
    return name


def known_name(name: str, what: str = "corpus") -> str:
    """Return check_name of a corpus as people may write it, e.g. TESS or EMO-DB."""
    alike = {loosely(one): one for one in NAMES}
    return check_name(alike.get(loosely(name), name), what)


def names_below(data_dir: str | os.PathLike[str]) -> list[str]:
    """Return the corpora folder/NAME that may be prepared in data_dir, in order."""
    names = sorted(path.name for path in Path(data_dir, FOLDER).glob("*"))
    return [f"{FOLDER}/{name}" for name in names if _FOLDER_NAME.fullmatch(name)]


def builder_class(name: str) -> type["CorpusBuilder"]:
    """Return the class of one corpus. Raises InputError: unknown name."""
    module, _, class_name = _CLASSES[check_name(name).partition("/")[0]].partition(":")
    # protobuf makes the names of its JSON fields while TFDS is imported, by C's toupper, which in Turkish makes no I of
    # i: what is prepared in one locale could not be read in another.
    before = locale.setlocale(locale.LC_CTYPE)
    locale.setlocale(locale.LC_CTYPE, "C")
    try:
        return getattr(importlib.import_module(f"metaser_jax.datasets.{module}"), class_name)
    finally:
        locale.setlocale(locale.LC_CTYPE, before)


def terms(name: str) -> dict[str, str | None]:
    """Return a corpus's language, None where the recordings' owner says it, and its licence. Raises InputError."""
    corpus = builder_class(name)
    return {"language": None if corpus.LABELLED_BY_USER else corpus.LANGUAGE, "licence": corpus.LICENSE}


def config_of(name: str) -> str | None:
    """Return the name of the TFDS configuration that a corpus's name says or implies; None if it has none."""
    base, _, config = name.partition("/")
    return config or _CONFIGS.get(base, (None,))[0]


def builder(
    name: str,
    data_dir: str | os.PathLike[str],
    *,
    extract: "Extract | None" = None,
    version: str | None = None,
    **options: Any,
) -> "CorpusBuilder":
    """Return the TFDS builder of one corpus.

    Args:
      name: one of NAMES, or folder/ANYTHING.
      data_dir: folder of all prepared corpora.
      version: of what is prepared there; None: the newest.
      extract: how features are extracted; by extraction.extract_all, unless it is given.
      **options: those of Options.

    Raises:
      InputError: unknown name; an option that the corpus does not have, or that cannot be understood.
    """
    made = builder_class(name)
    with quiet():
        of = {"config": config_of(name), "version": version, "options": Options(**options), "extract": extract}
        return made(data_dir=os.fspath(data_dir), **of)


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
