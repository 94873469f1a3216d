"""metaser predict: reading, predicting and printing side by side, with a row or an error for each recording."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, NamedTuple, TextIO

import numpy as np

from metaser_jax.audio.clips import WINDOW, Clip, Upload, read_all
from metaser_jax.audio.decoding import Source
from metaser_jax.audio.encoder import FETCH, PUBLISHED
from metaser_jax.audio.extraction import processes_for
from metaser_jax.audio.quality import Measured, named, notes_of_all
from metaser_jax.commands.rows import make_rows
from metaser_jax.data.corpus import UNKNOWN_SPEAKER
from metaser_jax.data.embeddings import embeddings_for, name_below, rows_of
from metaser_jax.data.together import Voice, voices_of
from metaser_jax.datasets.files import MAX_BYTES, audio_files, folders_between, one_form
from metaser_jax.errors import InputError, RecordingError
from metaser_jax.messages import MIN_FILES_FOR_BAR, progress_bar, say
from metaser_jax.recogniser.card import note_of_start
from metaser_jax.recogniser.model_files import settings_of_model
from metaser_jax.specs.commands import PredictConfig
from metaser_jax.untrusted import plain

if TYPE_CHECKING:
    from metaser_jax.recogniser.model import Model
    from metaser_jax.recogniser.predictor import Prediction, Predictor

Read = tuple[Source, Clip | RecordingError]
"""A recording, and what was read of it."""

SpeakerOf = Callable[[Source], str]
"""A recording's speaker."""

STDIN = "-"

# What was read waits for so much more, but no longer than this, to be predicted and printed.
_FRAMES = 32 * WINDOW
_SECONDS = 0.5
# Voices of which it is said how they came out.
_MOST_VOICES = 20
_TOGETHER = "Leave it out, or give a start or model that can, and whose the recordings are (--speakers)."
# By what a model hears: notes where it normalises by speaker, and the speakers are not known.
_UNKNOWN = {
    "mfcc": "this model normalises by speaker, and whose these recordings are was not said; they are normalised by the "
    "voices that the model learned from. --speakers=one or --speakers=folder may do better.",
    "voice": "this model hears each voice beside its other recordings, and whose these are was not said: each is heard "
    "by itself. A folder for each voice inside the folder that you give, or --speakers=one if all are one voice's, "
    "makes it better, if the voice says several emotions in them.",
}


def predict_recordings(config: PredictConfig, arguments: Sequence[str], stdin: TextIO | None = None) -> int:
    """Print the rows, and return the exit status: 1 where a recording failed."""
    sources = sources_of(arguments, stdin)
    failed = print_rows(config, sources, folders=[argument for argument in arguments if os.path.isdir(argument)])
    if failed and len(sources) > 1:
        say(f"{failed} of {len(sources)} recordings failed.")
    return 1 if failed else 0


def print_rows(
    config: PredictConfig, sources: Sequence[Source], frames: int = _FRAMES, folders: Sequence[str] = ()
) -> int:
    """Return how many failed; folders: that were given, whose own folders may say who speaks."""
    settings = settings_of_model(config.model)
    vectors = embeddings_for(config.embeddings, settings, config.embeddings_name)
    if vectors is not None:
        names = [name_below(str(source), folders, vectors) for source in sources]
        vectors = dict(zip(map(str, sources), rows_of(vectors, names), strict=True))
    with read(sources, config.workers, settings.features) as recordings:
        # It imports jax: after the worker processes have started.
        from metaser_jax.recogniser.predictor import Predictor

        predictor = Predictor.load(config.model)
        speaker_of = _speaker_of(config, predictor, sources, folders)
        if config.together == "on":
            why = predictor.why_alone(() if speaker_of is None else {speaker_of(source) for source in sources})
            if why is not None:
                raise InputError(f"--together=on: {why}. {_TOGETHER}")
        for note in _notes(config, predictor.model, speaker_of):
            say(f"note: {note}")
        failed, heard, rows = 0, {}, None
        shown = recordings
        if vectors is not None:
            shown = ((source, with_vector(clip, vectors[str(source)])) for source, clip in recordings)
        if len(sources) >= MIN_FILES_FOR_BAR and not sys.stdout.isatty():
            shown = progress_bar(shown, total=len(sources), unit="recording")
        # A voice's statistics are those of all its recordings.
        for group in _groups(shown, frames) if speaker_of is None else [list(shown)]:
            heard |= {str(source): Measured.of(clip) for source, clip in group if isinstance(clip, Clip)}
            results, voices = _predicted(config, predictor, group, speaker_of)
            if rows is None:
                names = list(map(str, sources))
                rows = make_rows(config.format, predictor.emotions, names, track=config.track, together=bool(voices))
                sys.stdout.write(rows.header)
            for source, result in results:
                if isinstance(result, RecordingError):
                    failed += 1
                    say(f"error: {result}")
                    sys.stdout.write(rows.failed(str(source), result.reason))
                else:
                    voice = voices.get(one_form(speaker_of(source))) if speaker_of and voices else None
                    sys.stdout.write(rows.of(str(source), result, voice))
            sys.stdout.flush()
    for note in notes_of_all(list(heard.values()), list(heard), "recording"):
        say(f"note: {note}")
    return failed


def with_vector(clip: Clip | RecordingError, vector: np.ndarray) -> Clip | RecordingError:
    """Return a clip, if it is one, with its vector [1, d]."""
    return clip._replace(vectors=vector) if isinstance(clip, Clip) else clip


def _groups(recordings: Iterable[Read], most: int) -> Iterator[list[Read]]:
    """Yield recordings that are predicted and printed together."""
    group, frames, since = [], 0, time.monotonic()
    for source, result in recordings:
        group.append((source, result))
        frames += len(result.frames) if isinstance(result, Clip) else 0
        if frames >= most or time.monotonic() - since > _SECONDS:
            yield group
            group, frames, since = [], 0, time.monotonic()
    if group:
        yield group


def _speaker_of(
    config: PredictConfig, predictor: Predictor, sources: Sequence[Source], folders: Sequence[str]
) -> SpeakerOf | None:
    """Return who speaks in a recording; None where nobody knows, or it makes no difference."""
    normalise = predictor.model.settings.normalise
    if config.speakers in ("one", "folder") and normalise != "speaker":
        got = f"--speakers: got {config.speakers!r}, expected none"
        raise InputError(f"{got}: {config.model} does not normalise by speaker (but {normalise!r}). Leave it out.")
    if config.speakers == "one":
        return lambda source: "one"
    if config.speakers == "folder":
        # Of the archive's members that is the part of the name before the last slash.
        return lambda source: os.path.normpath(os.path.dirname(str(source)))
    if config.speakers == "none" or not predictor.voice or normalise != "speaker":
        return None
    known = {str(source): folders_between(str(source), folders) for source in sources}
    return (lambda source: known[str(source)] or UNKNOWN_SPEAKER) if any(known.values()) else None


def _predicted(
    config: PredictConfig, predictor: Predictor, group: Sequence[Read], speaker_of: SpeakerOf | None
) -> tuple[Iterator[tuple[Source, Prediction | RecordingError]], dict[str, Voice]]:
    """Return what is heard in recordings, and the voices of those that were labelled together."""
    read = [(source, result) for source, result in group if isinstance(result, Clip)]
    clips, speakers, voices = [clip for _, clip in read], None, {}
    if speaker_of is not None:
        speakers = [one_form(speaker_of(source)) for source, _ in read]
        if not predictor.voice:
            _say_too_short(clips, speakers, config.windows)
    if speakers and config.together != "off":
        beside = predictor.predict_together(clips, speakers, windows=config.windows)
        predictions, found = (beside.predictions if config.together == "on" else beside.chosen), beside.found
        if found is not None and predictions is beside.predictions:
            voices = voices_of(found, predictor.emotions)
            _say_voices(voices.values(), config.format)
        elif found is not None:
            say(f"note: each recording is heard by itself: {beside.why_off}. --together=on does it all the same.")
    else:
        predictions = predictor.predict_clips(clips, windows=config.windows, speakers=speakers)
    each = iter(predictions)
    return ((source, next(each) if isinstance(result, Clip) else result) for source, result in group), voices


def _say_voices(voices: Collection[Voice], format: str) -> None:
    """Say how uneven each voice came out; of JSON, which has it in its rows, only where that is to be doubted."""
    say(
        "note: the recordings of each voice were labelled together: a label depends on those beside it. "
        "--together=off labels each by itself."
    )
    said = [voice for voice in voices if voice.doubts or format != "json"]
    for voice in said[:_MOST_VOICES]:
        say(f"{'warning' if voice.doubts else 'note'}: {plain(str(voice))}")
    if len(said) > _MOST_VOICES:
        say(f"note: and {len(said) - _MOST_VOICES} more voices; --format=json has how each came out.")


def _notes(config: PredictConfig, model: Model, speaker_of: SpeakerOf | None) -> Iterator[str]:
    if model.settings.normalise == "speaker" and speaker_of is None:
        yield _UNKNOWN["voice" if model.settings.of_voice else "mfcc"]
    if speaker_of is not None and config.speakers == "auto":
        yield "the folders here are taken for voices, each heard beside its other recordings; not so: --speakers=none."
    if bound := note_of_start(model.about):
        yield f"{config.model} is {bound}"
    if model.encoder is not None and model.encoder.digest != PUBLISHED:
        yield f"{config.model} hears with an encoder that is not that of {FETCH}: {model.encoder.digest}."
    if not model.about.get("calibration"):
        yield "this model was not calibrated: it may be surer than it should be, or less sure."


def _say_too_short(clips: Sequence[Clip], speakers: Sequence[str], windows: str) -> None:
    from metaser_jax.recogniser.predictor import MIN_SPEAKER_SECONDS, own_voices, seconds_of

    seconds = seconds_of(clips, speakers, windows)
    short = sorted(set(seconds) - set(own_voices(seconds)))
    if short:
        voices = named([f"{name} ({seconds[name]:.1f} s)" for name in short])
        less = f"note: less than {MIN_SPEAKER_SECONDS:.0f} s of {voices}"
        say(f"{less}: normalised by the voices that the model learned from.")


class Nothing(NamedTuple):
    """An argument without a recording: an error when it is read, so that it stops no other."""

    name: str
    reason: str

    def __str__(self) -> str:
        return self.name

    def read_bytes(self) -> bytes:
        """Raise OSError."""
        raise OSError(errno.ENOENT, self.reason, self.name)


def sources_of(arguments: Sequence[str], stdin: TextIO | None = None, max_bytes: int = MAX_BYTES) -> list[Source]:
    """Return what is to be read: files and folders as typed, or one recording from stdin.

    That is for "-" or, from a pipe, no argument. Folders in which there is nothing come first, as Nothing.

    Args:
      arguments: as typed.
      stdin: instead of sys.stdin.
      max_bytes: of one recording from stdin.

    Raises:
      InputError: nothing was named, or nothing that has a recording; "-" beside something else.
    """
    if STDIN in arguments and len(arguments) > 1:
        raise InputError(f"Got {STDIN} (one recording from stdin) and other recordings, expected one or the others.")
    stdin = sys.stdin if stdin is None else stdin
    if list(arguments) == [STDIN] or (not arguments and stdin is not None and not stdin.isatty()):
        # One byte more than may be: what is larger is an error of its own, and never fills the memory.
        data = stdin.buffer.read(max_bytes + 1)
        if len(data) > max_bytes:
            raise InputError(f"stdin: got more than {max_bytes:,} bytes, expected one recording. Give files instead.")
        return [Upload("stdin", data)]
    if not arguments:
        raise InputError("No recording was named, expected files or folders, or one recording from a pipe.")
    found, nothing = {}, []
    for argument in arguments:
        try:
            for one in audio_files([argument]):
                found.setdefault((os.path.realpath(one.path), one.member), one)
        except InputError as error:
            nothing.append(Nothing(argument, str(error).rstrip(".")))
    if not found:
        raise InputError(f"{nothing[0].reason}.")
    return [*nothing, *found.values()]


@contextmanager
def read(sources: Sequence[Source], workers: int, features: str) -> Iterator[Iterator[Read]]:
    """Yield each source with what was read of it, in order; for one that cannot be used, or is silent, the error.

    `features`: of who hears them, see clips.read_clip.
    Worker processes, where there are some, start at once and not at the first item: they import what reads while
    this process imports jax and loads a model.
    """
    results = read_all(sources, workers, features=features)
    with closing(results), ThreadPoolExecutor(1) as thread:
        # In this process, a second thread would import the same modules at the same time as the first.
        early = thread.submit(next, results) if processes_for(len(sources), workers) > 1 else None

        def each() -> Iterator[Clip | RecordingError]:
            if early is not None:
                yield early.result()
            yield from results

        yield zip(sources, each(), strict=True)
