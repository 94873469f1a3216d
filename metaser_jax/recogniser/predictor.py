"""The answer of a model to recordings: label, calibrated probabilities, and how they change over a long recording.

Of a recording's windows (clips.windows: 2.79 s every 1.39 s; of a model over the voice clips.voice_windows: all, or of
more than 8 s, 5 s every 2.5 s), with logits z_w and the model's temperature T:

    p_w = softmax(z_w / T)          p = mean of p_w over the windows that are not silent          label = argmax p

NOTE: a network is trained on the first window alone; windows="first" takes that.

Features of a model that normalises by speaker are normalised by the model's own statistics, of the voices that it
learned from, or by those of the voice at hand where the speakers are given: of MFCC where there is enough of it; of the
voice from one window on, its mean over all of the windows shrunk to the model's (inputs.shrunk_to). Where speakers
are not given, a window of a model over the voice is one clip of a voice of its own.

Clips of voices that are told apart can be labelled together (`predict_together`, data/together.py): p_w is then what
the EM says, and depends on the clips beside it.
"""

import dataclasses
import functools
import hashlib
import os
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import jax
import numpy as np

from metaser_jax.audio import clips as recordings
from metaser_jax.audio.clips import Clip, VoiceWindows, Windows
from metaser_jax.audio.quality import notes_of
from metaser_jax.data.corpus import UNKNOWN_SPEAKER
from metaser_jax.data.inputs import SHRINK, Scale, bounded, given, make_x, own_scale, rescale, scales, shrunk_to
from metaser_jax.data.inputs import weights as weights_of
from metaser_jax.data.together import Together, label_together, reason_off
from metaser_jax.errors import InputError, check_choice
from metaser_jax.models.classifier import answer_of, make_network
from metaser_jax.recogniser.folder import load_model
from metaser_jax.recogniser.hearing import hear
from metaser_jax.recogniser.model import Model
from metaser_jax.recogniser.model_files import AGAIN
from metaser_jax.specs import ModelSpec
from metaser_jax.types import N_FRAMES, Params

WINDOWS = ("all", "first")
BATCH = 32
"""Windows per call of the compiled program; fewer are padded."""

# Windows of which it is remembered what an encoder hears: some 3 KB each.
_REMEMBERED = 2**12

MIN_SPEAKER_SECONDS = 10.0
"""Seconds of a voice: of less, mean and deviation of its MFCC are of what was said, and not yet of the voice."""


Forward = Callable[..., jax.Array]
"""(params, scale, *given, each [n, ...]) -> logits [n, class].

Given what inputs.given says: mfcc [n, 120, 20] and n_frames [n] int32, or voice [n, 171] and where there are some
vectors [n, k, d], not normalised yet.
scale: mean and std, [coef] or [n, 1, coef]; None where normalise is "none" or "utterance".
"""


class Window(NamedTuple):
    """A part of a recording.

    Attributes:
      start, end: in s.
      probabilities: [class] float32, calibrated.
      silent: whether nobody speaks in it; such a window counts for nothing.
    """

    start: float
    end: float
    probabilities: np.ndarray
    silent: bool


class Prediction(NamedTuple):
    """The answer of a model to one recording.

    Attributes:
      label: the most probable emotion.
      probabilities: [class] float32, calibrated, the mean over the windows that are not silent.
      start, end: what of the recording was looked at, in s.
      track: its windows, in order.
      notes: what is wrong with the recording and may make the answer wrong, for people (audio/quality.py): too short,
        samples of another scale, a low rate, clipped, very quiet ...; empty where nothing is.
    """

    label: str
    probabilities: np.ndarray
    start: float
    end: float
    track: tuple[Window, ...]
    notes: tuple[str, ...] = ()


class PredictedTogether(NamedTuple):
    """The answers of a model to recordings that were labelled together.

    Attributes:
      predictions: of each, together; of a voice that was not told, and where `found` is None, by itself.
      alone: of each by itself.
      found: what was found of each voice that was told, by its clips; posteriors are of all clips [n, class]. None
        where clips cannot be labelled together.
      why_off: why `alone` is to be taken, for people; None where nothing speaks against `predictions`.
    """

    predictions: list[Prediction]
    alone: list[Prediction]
    found: Together | None
    why_off: str | None

    @property
    def chosen(self) -> list[Prediction]:
        """What `auto` takes."""
        return self.alone if self.why_off else self.predictions


class Predictor:
    """Predicts with one model.

    What `predict` says of a recording does not depend on what else it is given, other recordings of a named speaker
    excepted.

    Attributes:
      model: the model.
      emotions: the classes, in the order of all probabilities.
      features: what is heard, FrontEnd.features, for which clips must be read (clips.read_clip).
      voice: whether that is what is heard of a voice.
    """

    def __init__(self, model: Model):
        self.model = model
        self.emotions = model.settings.emotions
        self.features, self.voice = model.settings.features, model.settings.of_voice
        self._params = jax.device_put(model.params)
        self._scale = scale_of_one_clip(model.settings, model.scale)
        self._forward = _compiled(model.settings)
        self._heard: dict[bytes, np.ndarray] = {}

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Predictor":
        """Load a model folder, and try it once: finite arrays may still make no finite answers, weights of 3e38, say.

        Raises:
          InputError: as recogniser.folder.load_model; or the answer of the model, or of its start, to a fixed input is
            not finite.
        """
        model = load_model(path)
        rng = np.random.default_rng(0)
        fixed = [
            np.full((1, *shape), N_FRAMES) if dtype == np.int32 else 30 * rng.standard_normal((1, *shape))
            for dtype, shape in given(model.settings).values()
        ]
        predictor = cls(model)
        start = model.start and cls(dataclasses.replace(model, params=model.start.params))
        for what, one in (("model", predictor), ("start", start)):
            if one is not None and not np.isfinite(one.logits(*fixed)).all():
                raise InputError(f"{path} is no model to use: the {what}'s answer is not finite. {AGAIN}")
        return predictor

    def predict(self, waveform: np.ndarray, sample_rate: int, *, windows: str = "all") -> Prediction:
        """Predict samples.

        Args:
          waveform: [n] or [n, channels], float in [-1, 1] or int16 or int32 of their whole range. Of another scale, the
            answer is wrong and `notes` says so.
          sample_rate: in Hz.
          windows: "all", or "first" for the first alone.

        Raises:
          InputError: samples that cannot be used (clips.clip_of), nobody who can be heard, an unknown `windows`.
        """
        clip = recordings.clip_of(waveform, sample_rate, features=self.features)
        recordings.check_audible(clip, "waveform")
        return self.predict_clips([clip], windows=windows)[0]

    def predict_file(self, path: str | os.PathLike[str], *, windows: str = "all") -> Prediction:
        """Predict a file. Raises RecordingError: it cannot be used; InputError: an unknown `windows`."""
        clip = recordings.read_audible(path, features=self.features)
        return self.predict_clips([clip], windows=windows)[0]

    def predict_clips(
        self, clips: Sequence[Clip], *, windows: str = "all", speakers: Sequence[str] | None = None
    ) -> list[Prediction]:
        """Predict clips that have been read (clips.read_clip, clips.clip_of).

        Args:
          clips: the clips.
          windows: "all" or "first", see `predict`.
          speakers: of each clip, where they are known. Of use to a model that normalises by speaker: a speaker with
            MIN_SPEAKER_SECONDS or more among the clips is normalised by the statistics of these; by a model over the
            voice, each speaker.

        Raises:
          InputError: an unknown `windows`; as many speakers as clips are expected; clips without tracks, for a model
            over the voice.
        """
        if not clips:
            check_choice("windows", windows, WINDOWS)
            return []
        parts, arrays, scale = self._hear(clips, windows, speakers)
        return self._predictions(clips, parts, self._probabilities(arrays, scale))

    def predict_together(
        self, clips: Sequence[Clip], speakers: Sequence[str], *, windows: str = "all"
    ) -> PredictedTogether:
        """Predict clips that help each other: those of a voice are labelled together, without a label of them.

        Args: as predict_clips; a clip of UNKNOWN_SPEAKER is predicted by itself.

        Raises:
          InputError: as predict_clips.
        """
        told = np.asarray(speakers, str) != UNKNOWN_SPEAKER
        why, shape = self.why_alone(speakers), self.model.shape
        if why is not None or shape is None:
            alone = self.predict_clips(clips, windows=windows, speakers=speakers)
            return PredictedTogether(alone, alone, None, why)
        parts, arrays, scale = self._hear(clips, windows, speakers)
        each, settings = self._probabilities(arrays, scale), self.model.settings
        alone = self._predictions(clips, parts, each)
        voice = np.repeat(np.asarray(speakers, str), [len(part.start) for part in parts])
        counts = np.concatenate([_counts(part) for part in parts]) & (voice != UNKNOWN_SPEAKER)
        assert scale is not None  # of a model that normalises by speaker
        x, n = make_x(settings, *(array[counts] for array in arrays))
        x = bounded(settings, rescale(x, n, Scale(scale.mean[counts], scale.std[counts])))[:, 0]
        temperature, labelled, weight = self.model.temperature, self.model.labelled, weights_of(settings)
        answer = functools.partial(answer_of, make_network(settings), self._params, temperature=temperature)
        each[counts] = label_together(x, voice[counts], answer, shape, labelled, weight=weight).posteriors
        predictions = self._predictions(clips, parts, each)
        posteriors = np.array([prediction.probabilities for prediction in predictions])
        voices, group, number = np.unique(np.asarray(speakers, str)[told], return_inverse=True, return_counts=True)
        mix = np.stack([posteriors[told][group == v].mean(0) for v in range(len(voices))])
        found = Together(posteriors, voices, mix, number)
        return PredictedTogether(predictions, alone, found, reason_off(found))

    def why_alone(self, speakers: Collection[str]) -> str | None:
        """Return why recordings of these speakers cannot be labelled together, for people; None: they can."""
        if self.model.settings.normalise != "speaker":
            return f"the model does not normalise by speaker (but {self.model.settings.normalise!r})"
        if self.model.shape is None:
            return (
                "the model does not say how emotions sound in what it was trained on (shape, in docs/model_folder.md)"
            )
        return None if set(speakers) - {UNKNOWN_SPEAKER} else "it was not said whose voices the recordings are"

    def _hear(
        self, clips: Sequence[Clip], windows: str, speakers: Sequence[str] | None
    ) -> tuple[list[Windows | VoiceWindows], list[np.ndarray], Scale | None]:
        """Return the windows of clips, what the network is given of them, and what that is normalised by."""
        check_choice("windows", windows, WINDOWS)
        if speakers is not None and len(speakers) != len(clips):
            raise InputError(f"speakers: got {len(speakers)} for {len(clips)} clips, expected one of each clip.")
        divided = recordings.voice_windows if self.voice else recordings.windows
        parts = [divided(clip, windows) for clip in clips]
        inputs = given(self.model.settings)
        arrays = [self._vectors(clips, parts) if name == "vectors" else _join(parts, name) for name in inputs]
        if speakers is None:
            return parts, arrays, None
        names = np.repeat(np.asarray(speakers, str), [len(part.start) for part in parts])
        own = set(speakers) - {UNKNOWN_SPEAKER} if self.voice else own_voices(seconds_of(clips, speakers, windows))
        silent = np.concatenate([part.silent for part in parts])
        return parts, arrays, self.scale_of_speakers(arrays, silent, names, own)

    def _probabilities(self, arrays: Sequence[np.ndarray], scale: Scale | None) -> np.ndarray:
        """Return calibrated probabilities, [n, class] float64, so that what is printed adds up to 1."""
        return _softmax(self.logits(*arrays, scale=scale).astype(np.float64) / self.model.temperature)

    def _predictions(
        self, clips: Sequence[Clip], parts: Sequence[Windows | VoiceWindows], probabilities: np.ndarray
    ) -> list[Prediction]:
        each = np.split(probabilities, np.cumsum([len(part.start) for part in parts])[:-1])
        return [self._prediction(*of) for of in zip(clips, parts, each, strict=True)]

    def _vectors(self, clips: Sequence[Clip], parts: Sequence[Windows | VoiceWindows]) -> np.ndarray:
        """Return what an encoder hears of windows, [w, k, d]: the model's, the same once; of another each clip's."""
        if self.model.encoder is None:
            of_clips = [clip.vectors for clip in clips if clip.vectors is not None]
            if len(of_clips) < len(clips):
                named = self.model.settings.embeddings_name
                raise InputError(f"The model hears vectors of {named!r}, and clips have none. Give --embeddings.")
            return np.concatenate([np.repeat(v[None], len(p.start), 0) for v, p in zip(of_clips, parts, strict=True)])
        mels = [mel for part in parts if isinstance(part, VoiceWindows) for mel in part.mels]
        names = [hashlib.sha256(mel.tobytes()).digest() for mel in mels]
        if len(self._heard) > _REMEMBERED:
            self._heard.clear()
        new = {name: mel for name, mel in zip(names, mels, strict=True) if name not in self._heard}
        self._heard |= zip(new, hear(self.model.encoder, list(new.values())), strict=True)
        return np.array([self._heard[name] for name in names]).reshape(-1, *self.model.settings.vectors)

    def logits(self, *arrays: np.ndarray, scale: Scale | None = None) -> np.ndarray:
        """Return what the network says, before calibration, in calls of one compiled program.

        Args:
          arrays: mfcc [n, 120, 20] float32, zero after the real frames, and n_frames [n] int, 1 to 120; or, to a
            model over the voice, voice [n, 171] float32 and, where it hears some, vectors [n, k, d] float32.
          scale: mean and std [n, 1, coef] that features are normalised by, instead of the model's.

        Returns:
          [n, class] float32. Those of an utterance are the same to the bit, whatever it is together with.
        """
        n = len(arrays[0])
        scale = _of_each(self._scale, n) if scale is None else scale
        wanted = given(self.model.settings).values()
        all_given = (scale, *(np.asarray(array, dtype) for array, (dtype, _) in zip(arrays, wanted, strict=True)))
        chunks = []
        for first in range(0, n, BATCH):
            chunk = jax.tree.map(lambda a, first=first: _padded(a[first : first + BATCH]), all_given)
            chunks.append(self._forward(self._params, *chunk))
        return np.concatenate([np.zeros((0, len(self.emotions)), np.float32), *chunks])[:n]

    def scale_of_speakers(
        self, arrays: Sequence[np.ndarray], silent: np.ndarray, names: np.ndarray, own: Collection[str]
    ) -> Scale | None:
        """Return of each window what it is normalised by: its speaker's windows, or what the model has.

        Args: arrays: of n windows, as `logits` takes them. silent: [n] bool. names: [n] str, who speaks. own: who has
          statistics of his own.

        Returns: mean and std [n, 1, coef]; None of a model that does not normalise by speaker.
        """
        everybody = self.model.scale
        if everybody is None or self.model.settings.normalise != "speaker":
            return None
        scale = jax.tree.map(np.array, _of_each(self._scale, len(names)))
        for name in own:
            of = np.flatnonzero((names == name) & ~silent)
            if not len(of):
                continue
            x, n = make_x(self.model.settings, *(array[of] for array in arrays))
            of_one = (x, n, np.zeros(len(of), int), np.ones(len(of), bool))
            found = shrunk_to(everybody, *of_one) if self.voice else scales(*of_one)
            for target, value in zip(scale, found, strict=True):
                target[names == name] = value
        return scale

    def _prediction(self, clip: Clip, part: Windows | VoiceWindows, probabilities: np.ndarray) -> Prediction:
        mean = probabilities[_counts(part)].mean(axis=0)
        each = (part.start.tolist(), part.end.tolist(), probabilities.astype(np.float32), part.silent.tolist())
        track = tuple(map(Window, *each))
        label = self.emotions[int(mean.argmax())]
        return Prediction(label, mean.astype(np.float32), track[0].start, track[-1].end, track, notes_of(clip))


def make_forward(settings: ModelSpec) -> Forward:
    """Return all that a model does after feature extraction; as inputs.make_input and the network, up to rounding."""
    network = make_network(settings)

    def forward(params: Params, scale: Scale | None, *arrays: jax.Array) -> jax.Array:
        x, n = make_x(settings, *arrays)
        if settings.normalise == "utterance":
            scale = own_scale(x, n)
        if scale is not None:
            x = rescale(x, n, scale)
        if settings.of_voice:
            x = bounded(settings, x)
        return network.apply(params, x)  # pyright: ignore[reportReturnType]

    return forward


def scale_of_one_clip(settings: ModelSpec, everybody: Scale | None) -> Scale | None:
    """Return what a model normalises a clip by of whose voice it has no other.

    A model over the voice that normalises each by its own clips shrinks the mean of this one clip to everybody's
    (inputs.shrunk_scales): so (x - mean) SHRINK / (1 + SHRINK) is left of it, and it is half as sure of what it
    hears as of a voice that it knows. Of every other model, what the model has.
    """
    if everybody is None or not settings.of_voice or settings.normalise != "speaker":
        return everybody
    return Scale(everybody.mean, everybody.std * ((1 + SHRINK) / SHRINK))


def _counts(part: Windows | VoiceWindows) -> np.ndarray:
    """Return which windows count, [w] bool: those that are not silent, or all where every one is."""
    return np.ones_like(part.silent) if part.silent.all() else ~part.silent


def _join(parts: Sequence[Windows | VoiceWindows], name: str) -> np.ndarray:
    return np.concatenate([getattr(part, name) for part in parts])


def seconds_of(clips: Sequence[Clip], speakers: Sequence[str], windows: str = "all") -> dict[str, float]:
    """Return how much there is of each speaker's voice, in s, of what `windows` looks at."""
    limit = recordings.WINDOW * recordings.HOP_SECONDS if windows == "first" else np.inf
    seconds = dict.fromkeys(speakers, 0.0)
    for clip, speaker in zip(clips, speakers, strict=True):
        seconds[speaker] += min(clip.seconds, limit)
    return seconds


def own_voices(seconds: dict[str, float]) -> list[str]:
    """Return the speakers of `seconds_of` who are normalised by their own statistics."""
    return [name for name, length in seconds.items() if length >= MIN_SPEAKER_SECONDS and name != UNKNOWN_SPEAKER]


@functools.cache
def _compiled(settings: ModelSpec) -> Forward:
    """Return one program for all models of the same settings: adapting again compiles nothing."""
    return jax.jit(make_forward(settings))


def _of_each(scale: Scale | None, n: int) -> Scale | None:
    return scale and Scale(*(np.broadcast_to(np.float32(a), (n, 1, a.shape[-1])) for a in scale))


def _padded(array: np.ndarray) -> np.ndarray:
    """Pad to BATCH entries, by repeating the last."""
    return np.concatenate([array, np.repeat(array[-1:], BATCH - len(array), axis=0)])


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)
