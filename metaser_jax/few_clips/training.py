"""From a handful of labelled clips to a model: trained, cross-validated and calibrated, as runs of one program.

The training is metaser finetune's own, so that the same clips from the same start give the same model.
"""

import dataclasses
import datetime
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from metaser_jax.adaptation.engine import Case, train_and_predict
from metaser_jax.adaptation.starts import Init, learner_of
from metaser_jax.audio.clips import Clip, first_window, voice_of
from metaser_jax.data.corpus import CLIPS, UNKNOWN_SPEAKER, Corpus, join
from metaser_jax.data.inputs import GIVEN, make_x
from metaser_jax.data.normalise import (
    MIN_STD,
    MIN_VOICE_STD,
    Scale,
    everybodys_scale,
    rescale,
    resolve,
    scales,
    shrunk_to,
)
from metaser_jax.data.splits import Parts as Indices
from metaser_jax.data.target import Target
from metaser_jax.errors import InputError
from metaser_jax.few_clips.cross_validation import Parts, compared, divide, validated, without
from metaser_jax.few_clips.simpler import NETWORK, SVM, ZERO_SHOTS, fit_svm, svm_logits, units
from metaser_jax.models.classifier import with_head
from metaser_jax.recogniser.model import Model, Start, trained_settings
from metaser_jax.results.outcomes import Amount
from metaser_jax.scores.calibration import calibrate
from metaser_jax.specs import INNER, LEARNER, FinetuneSpec, ModelSpec
from metaser_jax.specs.voice import columns
from metaser_jax.types import Params

_ALL = Amount("fraction", 1.0)
_NONE = np.zeros(0, int)


class Adaptation(NamedTuple):
    """How a model is adapted; the fields are AdaptConfig's flags."""

    optimizer: str = "learner"
    lr: float = 0.05
    max_epochs: int = 40
    batch_size: int = 64
    adapt: str = "all"
    folds: int = 5
    repeats: int = 4
    seed: int = 0
    model_kind: str = NETWORK


def corpus_of(
    clips: Sequence[Clip],
    label: Sequence[int] | np.ndarray,
    speaker: Sequence[str],
    file: Sequence[str],
    emotions: Sequence[str],
) -> Corpus:
    """Return the corpus that recordings make: the first 2.79 s of each, and where it was read all of its voice."""
    mfcc, n_frames = zip(*map(first_window, clips), strict=True)
    known = all(clip.tracks is not None for clip in clips)
    return Corpus(
        CLIPS,
        "",
        np.stack(mfcc),
        np.array(n_frames, np.int32),
        np.array(label, np.int32),
        np.array(speaker, str),
        np.array(file, str),
        np.array([clip.seconds for clip in clips], np.float32),
        tuple(emotions),
        voice=np.stack([voice_of(clip) for clip in clips]) if known else None,
        sha256=np.array([clip.sha256 for clip in clips], str),
    )


def adapt_model(
    start: Start | None,
    settings: ModelSpec,
    how: Adaptation,
    support: Corpus,
    *,
    unlabelled: Corpus | None = None,
    scale: Scale | None = None,
    about: Mapping[str, Any] | None = None,
    earlier: np.ndarray | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Model:
    """Adapt a network to labelled clips, or make the simpler model of them that `how` says.

    Args:
      start: where from; None: a support vector machine, which needs none.
      settings: of the network and its input, normalise not "auto".
      how: of the training and the cross-validation.
      support: the clips.
      unlabelled: further recordings that features are normalised by, together with the clips; their label is not
        looked at.
      scale: what features are normalised by instead of statistics of the clips.
      about: provenance that the model is to carry; support, adaptation, cross_validation, calibration, created are
        added.
      earlier: [n] bool, clips that a model was adapted to before; what learning from these alone scores on the same
        parts of all clips is added to cross_validation as `before`, see cross_validation.compared.
      progress: see engine.train_and_predict.

    Returns:
      The model. Where cross-validation is not possible (a single clip of an emotion) it is not calibrated. Beside its
      own score there are those of the other kinds of model, on the same parts.

    Raises:
      InputError: fewer than two emotions have clips; a speaker is not known, where voices are normalised apart; the
        training diverged; a support vector machine of MFCC.
    """
    emotions = settings.emotions
    if how.model_kind == SVM and settings.features != "voice":
        raise InputError(
            "--model_kind=svm: the start hears MFCC, and a machine is made of the voice alone. Give a start that hears "
            "the voice, such as open, or leave the flag out."
        )
    if len(np.unique(support.label)) < 2:
        raise InputError(
            f"Got clips of {', '.join(emotions[e] for e in np.unique(support.label)) or 'no emotion'}, expected two "
            "emotions or more: with one there is nothing to tell apart. Add clips of another."
        )
    nobodys = support.file[support.speaker == UNKNOWN_SPEAKER]
    if settings.normalise == "speaker" and len(nobodys):
        raise InputError(
            f"Of {len(nobodys)} clips, {nobodys[0]} the first, the speaker is not known, and this model normalises "
            "each voice by its own clips. Say who speaks in them, or leave them out."
        )
    of_how = {name: getattr(how, name) for name in ("optimizer", "lr", "max_epochs", "batch_size", "adapt")}
    learns = how.optimizer == LEARNER and how.adapt == "all" and start is not None and start.learner is not None
    if how.optimizer == LEARNER and not learns:
        of_how["optimizer"] = INNER
    spec = FinetuneSpec(**dataclasses.asdict(settings), **of_how, validation="none")
    corpus = support if unlabelled is None else join([support, unlabelled])
    if scale is not None and settings.normalise != "utterance":
        corpus, spec = _rescaled(settings, corpus, scale), dataclasses.replace(spec, **_AS_IS)
    n = len(support)
    parts = divide(support, how.folds, how.repeats, how.seed)
    tests = [test for repeat in parts.tests for test in repeat] if parts else []
    before = [] if earlier is None or start is None else without(tests, earlier, support.label)
    trains = [*(np.setdiff1d(np.arange(n), test) for test in [*tests, _NONE]), *before]
    folds = []
    for train, test in zip(trains, [*tests, _NONE, *tests[: len(before)]], strict=True):
        # Unlabelled recordings come after the clips; the clips of a part are not known when it is predicted.
        fit = np.concatenate([train, np.arange(n, len(corpus))])
        folds.append(Target(corpus, Indices(train=fit, valid=_NONE, test=test)))
    params: dict[str, Params] = {}
    held_out: dict[str, list[np.ndarray]] = {}
    of_earlier: list[np.ndarray] = []
    if start is not None:
        meta = None
        if learns and start.learner is not None:
            meta = learner_of(start.learner, settings, start.params, start.rates)
        init = Init(start.params, {}, start.rates, meta)
        cases = [Case(number, _ALL, how.seed, (train, _NONE)) for number, train in enumerate(trains)]
        # With no clips to learn from the start stays as it is.
        cases += [Case(number, _ALL, how.seed, (_NONE, _NONE)) for number in range(len(tests))]
        results = train_and_predict(spec, [init], folds, cases, keep_params=True, progress=progress)
        final = results[len(tests)].params
        params[NETWORK] = with_head(start.params, final) if how.adapt == "head" else final
        params[ZERO_SHOTS] = start.params
        logits = [one.logits for one in results]
        of_earlier = logits[len(tests) + 1 : len(trains)]
        held_out = {NETWORK: logits[: len(tests)], ZERO_SHOTS: logits[len(trains) :]}
    if settings.features == "voice":
        inputs = [fold.as_input(spec.front_end).corpus.mfcc[:n, 0] for fold in folds[: len(tests) + 1]]
        params[SVM] = fit_svm(inputs[-1], support.label, len(emotions))
        held_out[SVM] = svm_logits(inputs[:-1], support.label, tests, len(emotions))
    if how.model_kind == SVM:
        settings = dataclasses.replace(settings, hidden_dim=units(len(emotions)), members=1)
        start = None  # which is a network of another size
    model = Model(
        settings=settings,
        params=params[how.model_kind],
        scale=scale if scale is not None else scale_of(settings, corpus),
        temperature=1.0,
        start=start,
        support=support,
        about={},
    )
    known = dict(about or {}) | {
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "support": _about_support(support, emotions) | {"unlabelled": 0 if unlabelled is None else len(unlabelled)},
        "adaptation": how._asdict(),
        "cross_validation": None,
        "calibration": None,
    }
    if parts:
        every = {kind: _by_repeat(parts, of, n, len(emotions)) for kind, of in held_out.items()}
        logits = every.pop(how.model_kind)
        calibration = calibrate(logits, support.label, parts.tests)
        model = dataclasses.replace(model, temperature=calibration.temperature)
        told_apart = settings.normalise == "speaker"
        known["cross_validation"] = validated(support, emotions, parts, logits, told_apart, every)
        if before and how.model_kind == NETWORK:
            fewer = _by_repeat(parts, of_earlier, n, len(emotions))
            known["cross_validation"]["before"] = compared(support, logits, fewer)
        known["calibration"] = calibration._asdict() | {"verdict": calibration.verdict()}
    return dataclasses.replace(model, about=known)


def adapt_again(model: Model, support: Corpus, progress: Callable[[int, int], None] | None = None) -> Model:
    """Adapt with other clips, from where `model` started and in the same way; its own clips only if they are given.

    Where some of them are `model`'s own and others are not, both are scored: see adapt_model's `earlier`.

    A model that was normalised by further recordings without labels is still normalised as it was: all voices, or, of
    one that normalises by speaker, those of which there is too little (of a model over the voice, what each is shrunk
    to).

    Raises:
      InputError: as adapt_model.
    """
    told = model.about.get("adaptation") or {}
    how = Adaptation(**{name: told[name] for name in Adaptation._fields if name in told})
    of_support = model.about.get("support") or {}
    unlabelled = of_support.get("unlabelled") or 0
    keep = bool(unlabelled) and model.scale is not None
    of_clips = {"created", "support", "adaptation", "cross_validation", "calibration", "warnings"}
    if model.support is not None and np.isin(model.support.sha256, support.sha256).all():
        of_clips -= {"warnings"}  # what is wrong with the clips that are still there
    settings = model.settings if keep else trained_settings(model)
    if settings.normalise == "auto":
        settings = dataclasses.replace(settings, normalise=resolve(support, "auto", np.arange(len(support))))
    # Of MFCC each voice has its own statistics alone.
    same = keep and (model.settings.normalise == "corpus" or model.settings.features == "voice")
    again = adapt_model(
        None if how.model_kind == SVM else model.start or Start(model.params, None),
        settings,
        how,
        support,
        scale=model.scale if same else None,
        about={name: value for name, value in model.about.items() if name not in of_clips},
        earlier=_earlier(model.support, support),
        progress=progress,
    )
    licence = of_support.get("licence")
    if licence and (model.support is None or not np.isin(support.sha256, model.support.sha256).all()):
        licence += "; that of clips added later is not known"
    again.about["support"] |= {"language": of_support.get("language"), "licence": licence}
    if keep:
        again.about["support"]["unlabelled"] = unlabelled
        again = dataclasses.replace(again, scale=model.scale)
    return again


def _earlier(learned: Corpus | None, support: Corpus) -> np.ndarray | None:
    """Return which clips were learned from with the same label, [n] bool; None where all or none were."""
    if learned is None:
        return None
    known = set(zip(learned.sha256.tolist(), learned.label.tolist(), strict=True))
    earlier = np.array([one in known for one in zip(support.sha256.tolist(), support.label.tolist(), strict=True)])
    return earlier if earlier.any() and not earlier.all() else None


_AS_IS = {"trim_db": 0.0, "deltas": False, "normalise": "none"}


def _rescaled(settings: ModelSpec, corpus: Corpus, scale: Scale) -> Corpus:
    """Return what the network is given, normalised as before."""
    x, n = _x(settings, corpus)
    if settings.features == "mfcc":
        return dataclasses.replace(corpus, mfcc=rescale(x, n, scale), n_frames=n)
    if settings.normalise == "speaker":
        speaker = _speakers(corpus)
        each = shrunk_to(scale, x, n, speaker, np.ones(len(x), bool))
        scale = Scale(each.mean[speaker][:, None], each.std[speaker][:, None])
    voice = np.array(corpus.voice)
    voice[:, columns(settings.track_groups)] = rescale(x, n, scale)[:, 0]
    return dataclasses.replace(corpus, voice=voice)


def scale_of(settings: ModelSpec, corpus: Corpus) -> Scale | None:
    """Return what a model of these settings normalises by, of the voices of a corpus; None where it has nothing."""
    if settings.normalise not in ("corpus", "speaker"):
        return None
    x, n = _x(settings, corpus)
    voice = settings.features == "voice"
    if voice and settings.normalise == "speaker":
        return everybodys_scale(x, n, _speakers(corpus), np.ones(len(x), bool))
    one = scales(x, n, np.zeros(len(x), int), np.ones(len(x), bool), MIN_VOICE_STD if voice else MIN_STD)
    return Scale(one.mean[0], one.std[0])


def _x(settings: ModelSpec, corpus: Corpus) -> tuple[np.ndarray, np.ndarray]:
    return make_x(settings, *(getattr(corpus, name) for name in GIVEN[settings.features]))


def _speakers(corpus: Corpus) -> np.ndarray:
    return np.unique(corpus.speaker, return_inverse=True)[1]


def _by_repeat(parts: Parts, logits: Sequence[np.ndarray], n: int, classes: int) -> np.ndarray:
    """Return [repeat, n, class], from the parts' one after another."""
    whole = np.zeros((len(parts.tests), n, classes), np.float32)
    of_parts = iter(logits)
    for repeat, tests in enumerate(parts.tests):
        for test in tests:
            whole[repeat, test] = next(of_parts)
    return whole


def _about_support(support: Corpus, emotions: Sequence[str]) -> dict[str, Any]:
    counts = np.bincount(support.label, minlength=len(emotions))
    known = UNKNOWN_SPEAKER not in support.speaker
    return {
        "n_per_emotion": {emotion: int(n) for emotion, n in zip(emotions, counts, strict=True)},
        "speakers": len(np.unique(support.speaker)) if known else None,
        "seconds": float(support.seconds.sum()),
    }
