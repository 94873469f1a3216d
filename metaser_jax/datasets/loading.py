"""Prepared corpora on disk: made from recordings, complete or not there; and read into memory."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from metaser_jax import cli, processes
from metaser_jax.audio.tracks import pooled
from metaser_jax.data.corpus import Corpus
from metaser_jax.datasets.recordings import Listing
from metaser_jax.datasets.registry import NAMES, PAPER, Options, builder, builder_class, config_of, names_below, quiet
from metaser_jax.datasets.statistics import Statistics
from metaser_jax.errors import InputError, out_of_memory
from metaser_jax.messages import say

if TYPE_CHECKING:
    from metaser_jax.datasets.base import CorpusBuilder

Make = Callable[..., "CorpusBuilder"]
"""(name, data_dir, **options) -> the builder of a corpus, as registry.builder."""

_METADATA = ("language", "options", "encoder", "skipped", "excluded", "duplicates", "dropped", "notes")
# Examples in memory beside what is wanted of them: a corpus's MFCC take much more than the rest.
_BATCH = 1000


def folder_of(name: str, data_dir: str | os.PathLike[str]) -> Path:
    """Return data_dir/NAME/VERSION or data_dir/NAME/CONFIG/VERSION, where TFDS puts a corpus.

    An earlier version that can be read is as good, where there is no newer one. Raises InputError: unknown name.
    """
    newest = _newest(name, data_dir)
    folders = [newest, *(newest.with_name(str(version)) for version in builder_class(name).SUPPORTED_VERSIONS)]
    return next(filter(_is_complete, folders), newest)


def _newest(name: str, data_dir: str | os.PathLike[str]) -> Path:
    return Path(data_dir, name.partition("/")[0], config_of(name) or "", str(builder_class(name).VERSION))


def is_prepared(name: str, data_dir: str | os.PathLike[str]) -> bool:
    """Return whether data_dir has the corpus, complete and in the version of this code.

    Raises InputError: unknown name.
    """
    return _is_complete(folder_of(name, data_dir))


def prepared_names(data_dir: str | os.PathLike[str]) -> list[str]:
    """Return the corpora that data_dir has, as is_prepared says; those of the paper first, in its order."""
    place = {name: i for i, name in enumerate(PAPER)}
    names = sorted(NAMES, key=lambda name: place.get(name.partition("/")[0], len(PAPER)))
    return [name for name in (*names, *names_below(data_dir)) if is_prepared(name, data_dir)]


def load(name: str, data_dir: str | os.PathLike[str]) -> Corpus:
    """Read a prepared corpus into memory, sorted by file.

    Args:
      name: one of NAMES, or folder/ANYTHING.
      data_dir: folder of all prepared corpora.

    Raises:
      InputError: unknown name; not prepared in data_dir, or damaged.
    """
    fields = ("mfcc", "n_frames", "voice", "tracks", "vectors", "label", "speaker", "file", "seconds")
    _, columns, metadata = _read(name, data_dir, fields)
    if not metadata["encoder"]:
        columns.pop("vectors", None)
    if metadata["duplicates"]:
        first = {file: group[0] for group in metadata["duplicates"] for file in group}
        names = np.array([first.get(file, file) for file in columns["file"].tolist()], str)
        columns["same"] = np.unique(names, return_inverse=True)[1].astype(np.int32)
    known: dict[str, Any] = {"language": metadata["language"], "vectors_of": metadata["encoder"] or "", **columns}
    return Corpus(name=name, **known)


def load_statistics(name: str, data_dir: str | os.PathLike[str]) -> Statistics:
    """Return what a prepared corpus consists of. Arguments and errors are those of load."""
    fields = ("label", "emotion", "speaker", "seconds", "sample_rate")
    prepared, columns, metadata = _read(name, data_dir, fields)
    return Statistics.of(name, metadata["language"], prepared.published, columns, metadata)


def _read(
    name: str, data_dir: str | os.PathLike[str], fields: Sequence[str]
) -> tuple["CorpusBuilder", dict[str, np.ndarray], dict[str, Any]]:
    """Return the builder; some features of all examples, each as one array, sorted by file; and the metadata."""
    folder = folder_of(name, data_dir)
    command = f"{cli.program('prepare')} --corpora={name} --manual_dir=RECORDINGS --data_dir={data_dir}"
    if not _is_complete(folder):
        folders = [path for depth in ("*/*", "*/*/*") for path in Path(data_dir).glob(depth) if _is_complete(path)]
        there = sorted(" ".join(path.relative_to(data_dir).parts) for path in folders)
        raise InputError(
            f"{name} {folder.name} is not prepared in --data_dir={data_dir}; prepared there: "
            f"{', '.join(there) or 'nothing'}. To prepare it: {command}"
        )
    try:
        with quiet():
            prepared = builder(name, data_dir, version=folder.name, encoder="off")
            new = () if prepared.version >= "2.1.0" else ("vectors",)
            columns = _columns(prepared, [name for name in fields if name not in new])
            # Corpora that were prepared before there were notes, or an encoder, have none.
            found = {"notes": [], "encoder": None, **(prepared.info.metadata or {})}
            metadata = {key: found[key] for key in _METADATA}
    except Exception as error:  # whatever TFDS, protobuf, JSON and array_record raise
        if out_of_memory(error):
            raise
        raise InputError(f"{folder} is damaged ({error}). Prepare it again: {command} --overwrite") from error
    return prepared, columns, metadata


def _columns(prepared: "CorpusBuilder", fields: Sequence[str]) -> dict[str, np.ndarray]:
    """Return some features of all examples, sorted by file; tracks pooled."""
    features = {name: prepared.info.features[name] for name in {*fields, "file"}}
    source = prepared.as_data_source("train")
    parts = {name: [] for name in features}
    for start in range(0, len(source), _BATCH):
        examples = source.__getitems__(list(range(start, min(start + _BATCH, len(source)))))
        for name, feature in features.items():
            values = [example[name] for example in examples]
            if name == "tracks":
                part = np.stack([pooled(tracks) for tracks in values])
            elif feature.np_dtype == np.object_:  # text
                part = np.array([value.decode("utf-8") for value in values])
            else:
                part = np.array(values, np.int32 if name == "label" else feature.np_dtype)
            parts[name].append(part)
    columns = {name: np.concatenate(part) for name, part in parts.items()}
    order = np.argsort(columns["file"], kind="stable")
    return {name: columns[name][order] for name in fields}


def _is_complete(folder: Path) -> bool:
    # TFDS writes into incomplete.RANDOM_VERSION and renames it at the end.
    return (folder / "dataset_info.json").is_file() and not folder.name.startswith(("incomplete.", "replaced."))


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
    corpus.require_downloads()
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
    folder = _newest(name, data_dir)
    if overwrite or not is_prepared(name, data_dir):
        found = found or check(name, manual_dir, make=make, **options)
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with _alone(folder), quiet():
                # Another process may have prepared it meanwhile.
                if overwrite or not is_prepared(name, data_dir):
                    if folder.exists():  # TFDS would delete it before the new one is there
                        folder.rename(_aside(folder))
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
                f"{name} is prepared in --data_dir={data_dir} with {option}={before[option]!r}, and now --{option}="
                f"{value!r} is asked for. Give --overwrite, or another --data_dir."
            )
    if options.get("encoder") == "on" and statistics.encoder is None:
        got = f"{name} is prepared in --data_dir={data_dir} without the speech encoder, and now --encoder=on"
        raise InputError(f"{got} is asked for. Give --overwrite, or another --data_dir.")
    return statistics


def put_back(name: str, data_dir: str | os.PathLike[str]) -> None:
    """Undo what a run did that was killed, once no other is running; `prepare` does that first."""
    folder = _newest(name, data_dir)
    if _left(folder):
        with _alone(folder):
            pass


def _aside(folder: Path) -> Path:
    return folder.with_name(f"replaced.{folder.name}")


def _left(folder: Path) -> list[Path]:
    """Return the folders that a run that was killed, or is running, has left beside the corpus's folder."""
    return [path for path in (_aside(folder), *folder.parent.glob(f"incomplete.*_{folder.name}")) if path.exists()]


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep the corpus to this process, as it was before a run that was killed or that fails; folder.parent is there."""

    def repair() -> None:
        if not folder.exists() and _aside(folder).exists():
            _aside(folder).rename(folder)
        for left in _left(folder):
            shutil.rmtree(left, ignore_errors=True)

    with processes.hold(folder.parent, f"{folder.parent} is being prepared", None, "", say):
        repair()
        try:
            yield
        finally:
            repair()
