"""`metaser adapt`: labelled clips -> an adapted model with its provenance."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metaser_jax.audio.clips import Clip, read_all
from metaser_jax.data.corpus import UNKNOWN_SPEAKER, Corpus
from metaser_jax.data.normalise import resolve
from metaser_jax.datasets.labelled_files import audio_files, labelled_files
from metaser_jax.datasets.recordings import Left, bad_recordings, by_reason
from metaser_jax.errors import InputError, RecordingError
from metaser_jax.few_clips.clip_warnings import warnings_of
from metaser_jax.few_clips.start import read_start
from metaser_jax.few_clips.training import Adaptation, adapt_model, corpus_of
from metaser_jax.recogniser.licences import non_commercial
from metaser_jax.recogniser.model import Model
from metaser_jax.results.environment import versions
from metaser_jax.specs.commands import AdaptConfig

Log = Callable[[str], None]


def check_out(out: str) -> None:
    """Raise an InputError unless a model may be written there: before the work, not after it."""
    folder = Path(out)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"--out={out} is there already, expected a new or an empty folder. Give another one.")


def run_adapt(config: AdaptConfig, log: Log | None = None) -> Model:
    """Read the clips, say what is wrong with them, and adapt.

    Args:
      log: is told of progress, and of clips that are left out.

    Raises:
      InputError: clips that cannot be used, unless config.skip_bad; from reading the start, or from the training.
    """
    log = log or (lambda line: None)
    how = Adaptation(**{name: getattr(config, name) for name in Adaptation._fields})
    start = read_start(config.init, config.normalise, config.optimizer)
    bound = non_commercial({"init": start.about})
    if bound:
        log(f"note: {config.init} is {bound}")
    elif config.init == AdaptConfig.init:
        log(
            f"Starting from {config.init}, which may be used for anything. --init=research has learned from more, and "
            "is not for commercial use."
        )
    if start.clips:
        log(
            f"note: {config.init} was adapted to {start.clips} clips. This adaptation starts where that one did, and "
            "learns from --support alone: put those clips there as well, if they are to count."
        )
    emotions = start.settings.emotions
    listed = labelled_files(config.support, emotions, config, config.skip_bad)
    for note in listed.notes:
        log(f"note: {note}")
    files = [(one.source, one.file, one.speaker) for one in listed.files]
    voice = start.settings.features == "voice"
    clips, kept, bad = _read("--support", files, config.skip_bad, config.workers, voice)
    left = [*listed.left, *bad]
    for line in by_reason(left):
        log(f"left out: {line}")
    label = np.array([emotions.index(listed.files[i].emotion) for i in kept])
    speaker, file = [[getattr(listed.files[i], name) for i in kept] for name in ("speaker", "file")]
    warnings = warnings_of(clips, label, speaker, file, emotions, whole=voice)
    for warning in warnings:
        log(f"warning: {warning}")
    support = corpus_of(clips, label, speaker, file, emotions)
    settings = start.settings
    normalise = resolve(support, settings.normalise, np.arange(len(support)))
    if normalise == "speaker" and (support.speaker == UNKNOWN_SPEAKER).any():
        raise InputError(
            "--normalise=speaker: of some clips the speaker is not known. Put each speaker's clips into a folder of "
            "his own, give --speaker_pattern or a CSV with the column speaker, or leave the flag out."
        )
    unlabelled = None
    if config.unlabelled is not None:
        if normalise not in ("corpus", "speaker"):
            raise InputError(
                f"--unlabelled={config.unlabelled}: {config.init} normalises by {normalise}, for which further "
                "recordings have no use. Leave the flag out."
            )
        unlabelled = _read_unlabelled(config.unlabelled, support, config.skip_bad, config.workers, voice, log)
    settings = dataclasses.replace(settings, normalise=normalise)
    about: dict[str, Any] = {
        "name": Path(config.out).resolve().name,
        "language": config.language or listed.language,
        "versions": versions(),
        "init": start.about,
        "warnings": warnings,
        "left_out": [one._asdict() for one in left],
    }
    log(f"Learning from {len(support)} clips, and from parts of them to see how well that works.")
    model = adapt_model(start.start, settings, how, support, unlabelled=unlabelled, about=about)
    model.about["support"] |= {"language": about["language"], "licence": config.licence}
    return model if config.keep_clips else dataclasses.replace(model, support=None)


def _read_unlabelled(
    folder: str, support: Corpus, skip_bad: bool, workers: int, voice: bool, log: Log
) -> Corpus | None:
    """Return the recordings of a folder that are no clips of the support set, whose speakers are not known."""
    files = audio_files([folder])
    # Whose they are is not asked: they count for voices that the clips do not have.
    named = [(one, str(one), UNKNOWN_SPEAKER) for one in files]
    clips, _, bad = _read("--unlabelled", named, skip_bad, workers, voice)
    for line in by_reason(bad):
        log(f"left out: {line}")
    # What is both would count twice.
    clips = [clip for clip in clips if clip.sha256 not in set(support.sha256)]
    if not clips:
        return None
    names = [f"unlabelled {i}" for i in range(len(clips))]
    return corpus_of(clips, [0] * len(clips), [UNKNOWN_SPEAKER] * len(clips), names, support.emotions)


def _read(
    flag: str, files: Sequence[tuple[Any, str, str]], skip_bad: bool, workers: int, voice: bool
) -> tuple[list[Clip], list[int], list[Left]]:
    """Return the clips that can be used, which those are, and the others.

    Raises an InputError for those unless skip_bad.
    """
    clips, kept, bad = [], [], []
    for i, one in enumerate(read_all([source for source, _, _ in files], workers, voice=voice)):
        if isinstance(one, RecordingError):
            bad.append(Left(files[i][1], one.listed))
        else:
            clips.append(one)
            kept.append(i)
    if (bad and not skip_bad) or not clips:
        raise bad_recordings(flag, bad, len(files))
    return clips, kept, bad
