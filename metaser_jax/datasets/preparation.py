"""From recordings to a prepared corpus: complete, or not there."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from metaser_jax.datasets.loading import folder_of, is_prepared, load_statistics
from metaser_jax.datasets.registry import builder, check, quiet
from metaser_jax.datasets.statistics import Statistics
from metaser_jax.errors import InputError


def prepare(
    name: str,
    manual_dir: str | os.PathLike[str],
    data_dir: str | os.PathLike[str],
    *,
    skip_bad: bool = False,
    workers: int = 0,
    overwrite: bool = False,
) -> Statistics:
    """Extracts the features of one corpus, unless it is prepared already; shows a progress bar.

    A run that fails or is interrupted leaves nothing that counts as prepared. With `overwrite`, what was there before
    is put back if the run fails.

    Args:
      name: one of NAMES.
      manual_dir: folder with the corpus's folder.
      data_dir: folder of all prepared corpora; made if it is missing.
      skip_bad: leave out recordings that cannot be used, instead of raising an error.
      workers: processes that extract features; 0 takes one per core. The result does not depend on it.
      overwrite: prepare it again.

    Raises:
      InputError: unknown name; recordings that are missing or cannot be used; data_dir cannot be written.
    """
    if overwrite or not is_prepared(name, data_dir):
        check(name, manual_dir, skip_bad=skip_bad)
        try:
            with _replacing(folder_of(name, data_dir)):
                _run(name, manual_dir, data_dir, skip_bad, workers)
        except OSError as error:
            raise InputError(f"{name} could not be prepared in --data_dir={data_dir}: {error}") from error
    return load_statistics(name, data_dir)


def _run(name: str, manual_dir: str, data_dir: str, skip_bad: bool, workers: int) -> None:
    import tensorflow_datasets as tfds

    corpus = builder(name, data_dir, skip_bad=skip_bad, workers=workers)
    with quiet():
        corpus.download_and_prepare(
            download_config=tfds.download.DownloadConfig(manual_dir=os.path.abspath(manual_dir))
        )


@contextlib.contextmanager
def _replacing(folder: Path) -> Iterator[None]:
    """Puts `folder` aside, and back if the body fails; TFDS would delete it before the new one is there."""
    if not folder.exists():
        yield
        return
    aside = folder.with_name(f"replaced.{folder.name}")
    shutil.rmtree(aside, ignore_errors=True)
    folder.rename(aside)
    try:
        yield
    except BaseException:
        aside.rename(folder)
        raise
    shutil.rmtree(aside)
