"""The practitioner's pipeline: eGeMAPS functionals by openSMILE, z-scored per speaker, then joint training.

Eyben et al., IEEE Transactions on Affective Computing, 2016. openSMILE's licence is not ours (free for research), so it
is an extra, `peers`, and imported where it is used. It hears the recordings themselves, whole.
"""

import functools
import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metaser_jax.adaptation.classifiers import EGEMAPS
from metaser_jax.audio.decoding import UTTERANCE, read_sound
from metaser_jax.audio.extraction import read_each
from metaser_jax.data.corpus import Corpus
from metaser_jax.data.inputs import Scale, rescale, scales
from metaser_jax.datasets.loading import is_prepared, load_statistics
from metaser_jax.datasets.registry import FOLDER, builder
from metaser_jax.errors import InputError, RecordingError
from metaser_jax.results.run_dir import replacing

# The least deviation of a functional: some are shares of a thousandth.
MIN_STD = 1e-6

Extract = Callable[[Sequence[Any]], Iterable[np.ndarray | RecordingError]]
"""Recordings -> the functionals of each, [feature]; of one that cannot be used the error."""

Find = Callable[[str], Mapping[str, Any]]
"""Name of a corpus -> its recordings by their `file`."""


@functools.cache
def opensmile() -> Any:
    """Return openSMILE's extractor of eGeMAPSv02 functionals. Raises InputError, with what to do: not installed."""
    try:
        module = importlib.import_module("opensmile")
    except ImportError as error:
        needs = f"--methods={EGEMAPS} needs openSMILE ({error}). Leave it out, or, if its licence (research) suits you"
        raise InputError(f'{needs}: pip install "metaser_jax[peers]"') from error
    return module.Smile(module.FeatureSet.eGeMAPSv02, module.FeatureLevel.Functionals)


def functionals(source: Any) -> np.ndarray:
    """Return the eGeMAPSv02 functionals of one recording, [88] float32, 0 for what is not defined.

    Raises:
      RecordingError: the recording cannot be used.
    """
    sound, _ = read_sound(source, UTTERANCE)
    found = opensmile().process_signal(sound.mono, sound.sample_rate)
    return np.nan_to_num(found.to_numpy(np.float32)[0])


extract_all: Extract = functools.partial(read_each, functionals)
"""Compute `functionals` of each recording, by a process per core."""


def find_in(manual_dirs: Sequence[str], data_dir: str) -> Find:
    """Return what finds the recordings of a corpus: in the first of these folders (--manual_dir) that has it."""

    def find(name: str) -> dict[str, Any]:
        # The options that it was prepared with say which recordings it has. Who speaks is known, and not asked.
        stored = load_statistics(name, data_dir).options if is_prepared(name, data_dir) else {}
        options: dict[str, Any] = {key: tuple(of) if isinstance(of, list) else of for key, of in stored.items()}
        if name.startswith(f"{FOLDER}/") and options.get("speakers", "auto") == "auto":
            options["speakers"] = "folders"
        errors = []
        for folder in manual_dirs:
            try:
                listing = builder(name, data_dir, **dict(options, skip_bad=True)).listing(Path(folder))
            except InputError as error:
                errors.append(str(error))
            else:
                return {recording.file: recording.source for recording in listing.recordings}
        raise InputError(f"--manual_dir: none has the recordings of {name}.\n" + "\n".join(errors))

    return find


def read_functionals(corpus: Corpus, digest: str, folder: Path, find: Find, extract: Extract) -> np.ndarray:
    """Return the functionals of a corpus, [n, feature] float32, computed once and kept in the folder.

    Args:
      corpus: its emotions selected.
      digest: of the corpus as it was prepared; functionals of another are computed anew.
      folder: for NAME.npz.
      find: its recordings.
      extract: as extract_all.

    Raises:
      InputError: a recording that is not there or cannot be used.
    """
    path = folder / f"{corpus.name.replace('/', '.')}.npz"
    if path.is_file():
        with np.load(path, allow_pickle=False) as saved:
            if str(saved["digest"]) == digest and np.array_equal(saved["path"], corpus.file):
                return saved["x"]
    sources = find(corpus.name)
    if missing := [file for file in corpus.file if file not in sources]:
        got = f"--manual_dir: of {corpus.name} {len(missing)} of {len(corpus)} are missing, {missing[0]} first"
        raise InputError(f"{got}. Give the folder that it was prepared from.")
    found = []
    for one in extract([sources[file] for file in corpus.file]):
        if isinstance(one, RecordingError):
            raise one
        found.append(one)
    x = np.stack(found)
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("wb") as out:
        np.savez(out, x=x, digest=digest, path=corpus.file)
    return x


def by_speaker(x: np.ndarray, speaker: np.ndarray) -> np.ndarray:
    """Return x [n, feature] at mean 0 and deviation 1 over each speaker's clips."""
    one, everything = np.ones(len(x), np.int32), np.ones(len(x), bool)
    group = np.unique(speaker, return_inverse=True)[1]
    scale = scales(x[:, None], one, group, everything, MIN_STD)
    return rescale(x[:, None], one, Scale(scale.mean[group][:, None], scale.std[group][:, None]))[:, 0]
