"""From recordings to a prepared corpus: complete, or not there."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metaser_jax import processes
from metaser_jax.datasets.loading import folder_of, is_prepared, load_statistics
from metaser_jax.datasets.recordings import Listing
from metaser_jax.datasets.registry import Options, builder, quiet
from metaser_jax.datasets.statistics import Statistics
from metaser_jax.errors import InputError
from metaser_jax.messages import say

if TYPE_CHECKING:
    from metaser_jax.datasets.base import CorpusBuilder

Make = Callable[..., "CorpusBuilder"]
"""(name, data_dir, **options) -> the builder of a corpus, as registry.builder."""


def check(name: str, manual_dir: str | os.PathLike[str] | None, *, make: Make = builder, **options: Any) -> Listing:
    """List the recordings of a corpus; none is opened, but those that seem to be copies.

    Args:
      name: one of NAMES, or folder/ANYTHING.
      manual_dir: folder with the corpus's folder or its zip archives; None: nothing is listed, and the corpus must be
        one that can be downloaded.
      make: what makes the builder.
      **options: those of Options.

    Raises:
      InputError: unknown name, or what CorpusBuilder.listing says.
    """
    with tempfile.TemporaryDirectory() as nothing:  # a builder wants a data_dir, and reads what is there
        corpus = make(name, nothing, **options)
    if manual_dir is not None:
        return corpus.listing(Path(manual_dir))
    if not corpus.downloads:
        raise corpus.not_downloadable()
    return Listing((), (), ())


def prepare(
    name: str,
    manual_dir: str | os.PathLike[str] | None,
    data_dir: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    make: Make = builder,
    found: Listing | None = None,
    **options: Any,
) -> Statistics:
    """Extract the features of one corpus, unless it is prepared already; shows a progress bar.

    A run that fails or is interrupted leaves nothing that counts as prepared. With `overwrite`, what was there before
    is put back if the run fails.

    Args:
      name: one of NAMES, or folder/ANYTHING.
      manual_dir: folder with the corpus's folder or its zip archives; None downloads it into data_dir/downloads.
      data_dir: folder of all prepared corpora; made if it is missing.
      overwrite: prepare it again.
      make: what makes the builder.
      found: what `check` found with the same arguments, if it was called already.
      **options: those of Options; they must be those of a corpus that is prepared already.

    Raises:
      InputError: unknown name or option; recordings that are missing or cannot be used; a download that fails; data_dir
        cannot be written, or has the corpus prepared with other options.
    """
    wanted = Options(**options).of_content()
    put_back(name, data_dir)
    if overwrite or not is_prepared(name, data_dir):
        found = found or check(name, manual_dir, make=make, **options)
        folder = folder_of(name, data_dir)
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with _alone(folder):
                # Another process may have prepared it meanwhile.
                if overwrite or not is_prepared(name, data_dir):
                    with _replacing(folder), quiet():
                        corpus = make(name, data_dir, **options)
                        corpus.found = None if manual_dir is None else found
                        corpus.download_and_prepare()
        except OSError as error:
            raise InputError(f"{name} could not be prepared in --data_dir={data_dir}: {error}") from error
    statistics = load_statistics(name, data_dir)
    before = Options().of_content() | statistics.options  # which may have fewer, of an earlier version
    for option, value in wanted.items():
        if before[option] != value:
            raise InputError(
                f"{name} is prepared in --data_dir={data_dir} with {option}={before[option]!r}, and now "
                f"--{option}={value!r} is asked for. Give --overwrite to prepare it again, or another --data_dir."
            )
    return statistics


def put_back(name: str, data_dir: str | os.PathLike[str]) -> None:
    """Undo what a run did that was killed, once no other is running; `prepare` does that first."""
    folder = folder_of(name, data_dir)
    if _left(folder):
        with _alone(folder):
            pass


def _aside(folder: Path) -> Path:
    return folder.with_name(f"replaced.{folder.name}")


def _left(folder: Path) -> list[Path]:
    """Return what a run that was killed, or is running, has left beside the corpus's folder."""
    return [path for path in (_aside(folder), *folder.parent.glob(f"incomplete.*_{folder.name}")) if path.exists()]


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep the corpus to this process, as it was before a run that was killed; folder.parent is there."""
    with processes.hold(folder.parent, f"{folder.parent} is being prepared", None, "", say):
        if not folder.exists() and _aside(folder).exists():
            _aside(folder).rename(folder)
        for left in _left(folder):
            shutil.rmtree(left, ignore_errors=True)
        yield


@contextlib.contextmanager
def _replacing(folder: Path) -> Iterator[None]:
    """Put `folder` aside, and back if the body fails; TFDS would delete it before the new one is there."""
    aside = _aside(folder)
    if folder.exists():
        folder.rename(aside)
    try:
        yield
    except BaseException:
        if aside.exists():
            aside.rename(folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)
