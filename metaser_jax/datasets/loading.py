"""From a prepared corpus on disk to arrays in memory."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from metaser_jax.corpus import Corpus
from metaser_jax.datasets.registry import builder, builder_class, quiet
from metaser_jax.datasets.statistics import Statistics
from metaser_jax.errors import InputError


def folder_of(name: str, data_dir: str | os.PathLike[str]) -> Path:
    """Where TFDS puts a corpus: data_dir/NAME/VERSION. Raises InputError: unknown name."""
    return Path(data_dir, name, str(builder_class(name).VERSION))


def is_prepared(name: str, data_dir: str | os.PathLike[str]) -> bool:
    """Whether data_dir has the corpus, complete and in the version of this code. Raises InputError: unknown name."""
    return _is_complete(folder_of(name, data_dir))


def load(name: str, data_dir: str | os.PathLike[str]) -> Corpus:
    """Reads a prepared corpus into memory, sorted by file.

    Args:
      name: one of NAMES.
      data_dir: folder of all prepared corpora.

    Raises:
      InputError: unknown name; not prepared in data_dir, or damaged.
    """
    columns, _ = _read(name, data_dir)
    fields = ("mfcc", "n_frames", "label", "speaker", "file", "seconds")
    return Corpus(name=name, language=builder_class(name).LANGUAGE, **{field: columns[field] for field in fields})


def load_statistics(name: str, data_dir: str | os.PathLike[str]) -> Statistics:
    """What a prepared corpus consists of. Arguments and errors are those of load."""
    corpus = builder_class(name)
    return Statistics.of(name, corpus.LANGUAGE, corpus.PUBLISHED, *_read(name, data_dir))


def _read(name: str, data_dir: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Each feature of all examples as one array, sorted by file; and the metadata."""
    folder = folder_of(name, data_dir)
    command = f"python experiments/prepare.py --corpora={name} --manual_dir=RECORDINGS --data_dir={data_dir}"
    if not _is_complete(folder):
        there = sorted(f"{path.parent.name} {path.name}" for path in Path(data_dir).glob("*/*") if _is_complete(path))
        raise InputError(
            f"{name} {folder.name} is not prepared in --data_dir={data_dir}; prepared there: "
            f"{', '.join(there) or 'nothing'}. To prepare it: {command}"
        )
    try:
        with quiet():
            prepared = builder(name, data_dir)
            source = prepared.as_data_source("train")
            examples = source.__getitems__(list(range(len(source))))
            metadata = {key: prepared.info.metadata[key] for key in ("skipped", "excluded", "duplicates")}
    except Exception as error:  # whatever TFDS, protobuf, JSON and array_record raise
        raise InputError(f"{folder} is damaged ({error}). Prepare it again: {command} --overwrite") from error
    return _columns(examples, prepared.info.features), metadata


def _columns(examples: list[dict[str, Any]], features: Any) -> dict[str, np.ndarray]:
    columns = {}
    for name, feature in features.items():
        values = [example[name] for example in examples]
        if feature.np_dtype == np.object_:  # text
            columns[name] = np.array([value.decode("utf-8") for value in values])
        else:
            columns[name] = np.array(values, np.int32 if name == "label" else feature.np_dtype)
    order = np.argsort(columns["file"])
    return {name: column[order] for name, column in columns.items()}


def _is_complete(folder: Path) -> bool:
    # TFDS writes into incomplete.RANDOM_VERSION and renames it at the end.
    return (folder / "dataset_info.json").is_file() and not folder.name.startswith(("incomplete.", "replaced."))
