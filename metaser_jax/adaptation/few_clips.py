"""`metaser adapt`: a handful of labelled clips -> a model, cross-validated and calibrated, as runs of one program.

The clips are a Corpus, and its folds are Targets: the training is metaser finetune's own, so that the same clips from
the same start give the same model.
"""

import dataclasses
import datetime
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metaser_jax.adaptation.classifiers import Labelled, count_units, fit_votes, votes
from metaser_jax.adaptation.clip_warnings import read_clips, read_labelled, warnings_of
from metaser_jax.adaptation.cross_validation import NETWORK, VOTES, ZERO_SHOTS, divide, validate, without
from metaser_jax.adaptation.engine import Case, label_part, train_and_predict
from metaser_jax.adaptation.starts import init_of, read_start
from metaser_jax.audio.clips import Clip, first_window, speech_of, voice_of
from metaser_jax.audio.encoder import Encoder
from metaser_jax.data.corpus import CLIPS, UNKNOWN_SPEAKER, Corpus, join
from metaser_jax.data.inputs import Scale, apply_scale, find_scale, resolve
from metaser_jax.data.splits import Parts
from metaser_jax.data.target import Target
from metaser_jax.data.together import Shape, count_labelled
from metaser_jax.datasets.files import audio_files, folders_between
from metaser_jax.errors import InputError
from metaser_jax.messages import logged_as, say
from metaser_jax.models.classifier import with_head
from metaser_jax.recogniser.card import non_commercial
from metaser_jax.recogniser.hearing import hear
from metaser_jax.recogniser.model import Model, Start, trained_settings
from metaser_jax.results.metrics import calibrate
from metaser_jax.results.outcomes import Amount
from metaser_jax.results.run_dir import versions
from metaser_jax.specs import INNER, LEARNER, FinetuneSpec, ModelSpec
from metaser_jax.specs.commands import AdaptConfig

_ALL = Amount("fraction", 1.0)
_NONE = np.zeros(0, int)
# A front end that leaves what it is given as it is.
_AS_IS = {"trim_db": 0.0, "deltas": False, "normalise": "none"}
# Fields of AdaptConfig: of the training, and all that a model keeps to be adapted again.
_TRAINING = ("optimizer", "lr", "max_epochs", "batch_size", "adapt")
_KEPT = (*_TRAINING, "folds", "repeats", "seed", "model_kind")


def check_out(out: str) -> None:
    """Raise an InputError unless a model may be written there: before the work, not after it."""
    folder = Path(out)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"--out={out} is there already, expected a new or an empty folder. Give another one.")


def corpus_of(
    clips: Sequence[Clip],
    label: Sequence[int],
    speaker: Sequence[str],
    file: Sequence[str],
    emotions: Sequence[str],
    encoder: Encoder | None = None,
    made_by: str = "",
) -> Corpus:
    """Return the corpus that recordings make.

    It has the first 2.79 s of each, where it was read all of its voice, and what an encoder, if there is one, hears.
    """
    heard = hear(encoder, [speech_of(clip) for clip in clips]) if encoder else None
    given = [clip.vectors for clip in clips if clip.vectors is not None]
    heard = np.stack(given) if heard is None and len(given) == len(clips) else heard
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
        vectors=heard,
        vectors_of=encoder.digest if encoder else made_by,
        sha256=np.array([clip.sha256 for clip in clips], str),
    )


def run_adapt(config: AdaptConfig) -> Model:
    """Read the clips, say what is wrong with them, and adapt.

    Raises:
      InputError: clips that cannot be used, unless config.skip_bad; from reading the start, or from the training.
    """
    start = read_start(config.init, config.normalise, config.optimizer)
    settings, emotions, voice = start.settings, start.settings.emotions, start.settings.of_voice
    if bound := non_commercial(start.about):
        say(f"note: {config.init} is {bound}")
    elif config.init == AdaptConfig.init:
        say(f"Starting from {config.init}, for any use. --init=research has learned from more, not for commercial use.")
    earlier = (start.about.get("support") or {}).get("n_per_emotion") or {}
    if learned := sum(filter(None, earlier.values())):
        say(
            f"note: {config.init} was adapted to {learned} clips. This adaptation starts where that one did, and "
            "learns from --support alone: put those clips there as well, if they are to count."
        )
    listed, clips, left = read_labelled(config, settings)
    files = listed.recordings
    label = [emotions.index(one.parsed.label) for one in files]
    names, heard_by = [one.file for one in files], (start.encoder, settings.embeddings_name)
    support = corpus_of(clips, label, [one.parsed.speaker for one in files], names, emotions, *heard_by)
    warnings = warnings_of(clips, support, whole=voice)
    for warning in warnings:
        say(f"warning: {warning}")
    settings = dataclasses.replace(settings, normalise=resolve(support, settings.normalise, np.arange(len(support))))
    unlabelled = None
    if config.unlabelled is not None:
        if settings.normalise not in ("corpus", "speaker"):
            got = f"--unlabelled={config.unlabelled}: {config.init} normalises by {settings.normalise}"
            raise InputError(f"{got}, expected corpus or speaker. Leave the flag out.")
        more = [(one, str(one)) for one in audio_files([config.unlabelled])]
        read, _ = read_clips("--unlabelled", more, config, settings)
        # What is in both would count twice. Folders say whose voices they are, as those of --support do.
        known = {clip.sha256 for clip in clips}
        if others := [i for i, clip in read.items() if clip.sha256 not in known]:
            voices = [folders_between(str(more[i][0]), [config.unlabelled]) or UNKNOWN_SPEAKER for i in others]
            clips_of = [read[i] for i in others]
            names = [clip.sha256 for clip in clips_of]
            unlabelled = corpus_of(clips_of, [0] * len(others), voices, names, emotions, *heard_by)
    about: dict[str, Any] = {
        "name": Path(config.out).resolve().name,
        "language": config.language or listed.language,
        "versions": versions(),
        "init": start.about["init"],
        "warnings": warnings,
        "left_out": [one._asdict() for one in left],
    }
    say(f"Learning from {len(support)} clips, and from parts of them to see how well that works.")
    known = {"unlabelled": unlabelled, "about": about, "shape": start.shape, "encoder": start.encoder}
    model = adapt_model(start.start, settings, config, support, **known)
    model.about["support"] |= {"language": about["language"], "licence": config.licence}
    return dataclasses.replace(model, support=_kept(config, support, settings))


def _kept(config: AdaptConfig, support: Corpus, settings: ModelSpec) -> Corpus | None:
    """Return what a model keeps of its clips: vectors, which identify people, only where that was said."""
    vectors = settings.vectors[0] > 0
    if not (config.keep_clips or (config.keep_clips is None and not vectors)):
        return None
    if not vectors or config.keep_names:
        return support
    voices = np.unique(support.speaker, return_inverse=True)[1] + 1
    known = config.keep_voices & (support.speaker != UNKNOWN_SPEAKER)
    speaker = np.where(known, voices.astype(str), UNKNOWN_SPEAKER)
    return dataclasses.replace(support, speaker=speaker, file=np.arange(1, len(support) + 1).astype(str))


def adapt_model(
    start: Start | None,
    settings: ModelSpec,
    config: AdaptConfig,
    support: Corpus,
    *,
    unlabelled: Corpus | None = None,
    scale: Scale | None = None,
    about: Mapping[str, Any] | None = None,
    earlier: np.ndarray | None = None,
    shape: Shape | None = None,
    encoder: Encoder | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Model:
    """Adapt a network to labelled clips, or make the simpler model of them that `config` says.

    Args:
      start: where from; None: a support vector machine, which needs none.
      settings: of the network and its input, normalise not "auto".
      config: of the training and the cross-validation; its files are not looked at.
      support: the clips.
      unlabelled: further recordings that features are normalised by, together with the clips; their label is not
        looked at.
      scale: what features are normalised by instead of statistics of the clips.
      about: provenance that the model is to carry; support, adaptation, cross_validation, calibration, created are
        added.
      earlier: [n] bool, clips that a model was adapted to before; what learning from these alone scores on the same
        parts of all clips is added to cross_validation as `before`.
      shape, encoder: of the start, for the model.
      progress: see engine.train_and_predict.

    Returns:
      The model. Where cross-validation is not possible (a single clip of an emotion) it is not calibrated. Beside its
      own score there are those of the other kinds of model, on the same parts.

    Raises:
      InputError: fewer than two emotions have clips; a speaker is not known, where voices are normalised apart; the
        training diverged; a support vector machine of MFCC.
    """
    emotions, n, voice = settings.emotions, len(support), settings.of_voice
    if config.model_kind == VOTES and not voice:
        raise InputError("--model_kind=svm: got a start that hears MFCC, expected one of the voice, such as open.")
    present = [emotions[e] for e in np.unique(support.label)]
    if len(present) < 2:
        raise InputError(f"Got clips of {', '.join(present) or 'no emotion'}, expected two emotions or more.")
    nobodys = support.file[support.speaker == UNKNOWN_SPEAKER]
    if settings.normalise == "speaker" and len(nobodys):
        got = f"normalise=speaker: of {len(nobodys)} clips, {nobodys[0]} the first, the speaker is not known"
        raise InputError(f"{got}. Give each a folder, --speaker_pattern or a CSV's column speaker, or leave them out.")
    training = {name: getattr(config, name) for name in _TRAINING}
    if config.optimizer == LEARNER and config.adapt == "head":
        training["optimizer"] = INNER
    spec = FinetuneSpec(**dataclasses.asdict(settings), **training, validation="none")
    corpus = support if unlabelled is None else join([support, unlabelled])
    seen = corpus
    if scale is not None and settings.normalise != "utterance":
        seen, spec = apply_scale(corpus, settings, scale), dataclasses.replace(spec, **_AS_IS)

    # Each part is learned without, and last all clips; after these each part by the earlier clips alone.
    parts = divide(support, config.folds, config.repeats, config.seed)
    tests = [test for repeat in parts.tests for test in repeat] if parts else []
    before = [] if earlier is None or start is None else without(tests, earlier, support.label)
    fits = [(np.setdiff1d(np.arange(n), test), test) for test in [*tests, _NONE]]
    fits += zip(before, tests, strict=False)
    # Recordings without labels come after the clips; the clips of a part are not known when it is predicted.
    rest = np.arange(n, len(corpus))
    folds = [Target(seen, Parts(train=np.concatenate([train, rest]), valid=_NONE, test=test)) for train, test in fits]
    params: dict[str, Any] = {}
    held_out: dict[str, list[np.ndarray]] = {}
    of_earlier: list[np.ndarray] = []
    of_together: list[np.ndarray] = []
    if start is not None:
        init = init_of(start, settings, {})
        cases = [Case(number, _ALL, config.seed, (train, _NONE)) for number, (train, _) in enumerate(fits)]
        # With no clips to learn from the start stays as it is.
        cases += [Case(number, _ALL, config.seed, (_NONE, _NONE)) for number in range(len(tests))]
        with logged_as(""):
            results = train_and_predict(spec, [init], folds, cases, keep_params=True, progress=progress)
        final, logits = results[len(tests)].params, [one.logits for one in results]
        adapted = with_head(start.params, final) if config.adapt == "head" else final
        params = {NETWORK: adapted, ZERO_SHOTS: start.params}
        held_out = {NETWORK: logits[: len(tests)], ZERO_SHOTS: logits[len(fits) :]}
        of_earlier = logits[len(tests) + 1 : len(fits)]
        if shape is not None and settings.normalise == "speaker" and config.model_kind == NETWORK:
            for fold, (train, test), one in zip(folds[: len(tests)], fits, results, strict=False):
                learned = with_head(start.params, one.params) if config.adapt == "head" else one.params
                heard = fold.as_input(spec.front_end).corpus
                of_together.append(label_part(spec, learned, heard, test, train, shape).posteriors)
    if voice:
        held_out[VOTES] = []
        for fold, (train, test) in zip(folds[: len(tests) + 1], fits, strict=False):
            x = fold.as_input(spec.front_end).corpus.mfcc[:, 0]
            params[VOTES] = fit_votes(Labelled(x[train], support.label[train]), len(emotions))
            held_out[VOTES].append(votes(params[VOTES], x[test]))
        held_out[VOTES].pop()  # of all clips, which has no test part
    if config.model_kind == VOTES:
        settings = dataclasses.replace(settings, hidden_dim=count_units(len(emotions)), members=1)
        start = None  # which is a network of another size

    known = dict(about or {}) | {
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "support": {
            "n_per_emotion": {emotion: int((support.label == e).sum()) for e, emotion in enumerate(emotions)},
            "speakers": None if UNKNOWN_SPEAKER in support.speaker else len(np.unique(support.speaker)),
            "seconds": float(support.seconds.sum()),
            "unlabelled": len(rest),
        },
        "adaptation": {name: getattr(config, name) for name in _KEPT},
        "cross_validation": None,
        "calibration": None,
    }
    temperature = 1.0
    if parts:
        # A repeat's parts have each clip once: [repeat, n] int, where among the predictions.
        order = np.array([np.argsort(np.concatenate(repeat)) for repeat in parts.tests])
        order += n * np.arange(config.repeats)[:, None]

        def gather(of_parts: Sequence[np.ndarray]) -> np.ndarray:  # [repeat, n, class]
            return np.concatenate(of_parts)[order]

        every = {kind: gather(of_parts) for kind, of_parts in held_out.items()}
        own = every.pop(config.model_kind)
        fewer = gather(of_earlier) if before and config.model_kind == NETWORK else None
        told_apart, together = settings.normalise == "speaker", gather(of_together) if of_together else None
        known["cross_validation"] = validate(support, parts, own, told_apart, every, fewer, together)
        calibration = calibrate(own, support.label, parts.tests)
        temperature = calibration.temperature
        known["calibration"] = calibration._asdict() | {"verdict": calibration.verdict()}
    made = {"params": params[config.model_kind], "scale": scale or find_scale(corpus, settings), "encoder": encoder}
    if shape is not None:
        heard = folds[len(tests)].as_input(spec.front_end).corpus.mfcc[:n, 0]
        made |= {"shape": shape, "labelled": count_labelled(heard, support.label, len(emotions))}
    return Model(settings=settings, temperature=temperature, start=start, support=support, about=known, **made)


def adapt_again(model: Model, support: Corpus, progress: Callable[[int, int], None] | None = None) -> Model:
    """Adapt with other clips, from where `model` started and in the same way; its own clips only if they are given.

    Where some of them are `model`'s own and others are not, both are scored: see adapt_model's `earlier`.

    A model that was normalised by further recordings without labels is still normalised as it was: all voices, or, of
    one that normalises by speaker, those of which there is too little (of a model over the voice, what each is shrunk
    to).

    Raises:
      InputError: as adapt_model.
    """
    told, of_support = (model.about.get(name) or {} for name in ("adaptation", "support"))
    config = AdaptConfig(support="", out="", **{name: told[name] for name in _KEPT if name in told})
    unlabelled, licence = of_support.get("unlabelled") or 0, of_support.get("licence")
    keep = bool(unlabelled) and model.scale is not None
    of_clips = {"created", "support", "adaptation", "cross_validation", "calibration", "warnings"}
    new, old = _identify(support), [] if model.support is None else _identify(model.support)
    files, files_before = ({sha256 for sha256, _ in clips} for clips in (new, old))
    if old and files_before <= files:
        of_clips -= {"warnings"}  # what is wrong with the clips that are still there
    # Those that were learned from with the same label.
    learned = [one in set(old) for one in new]
    earlier = np.array(learned) if any(learned) and not all(learned) else None
    settings = model.settings if keep else trained_settings(model)
    settings = dataclasses.replace(settings, normalise=resolve(support, settings.normalise, np.arange(len(support))))
    # Of MFCC each voice has its own statistics alone.
    same = keep and (model.settings.normalise == "corpus" or model.settings.of_voice)
    start = None if config.model_kind == VOTES else model.start or Start(model.params, None)
    about = {name: value for name, value in model.about.items() if name not in of_clips}
    known = {"scale": model.scale if same else None, "about": about, "earlier": earlier, "progress": progress}
    known |= {"shape": model.shape, "encoder": model.encoder}
    again = adapt_model(start, settings, config, support, **known)
    if licence and files - files_before:
        licence += "; that of clips added later is not known"
    again.about["support"] |= {"language": of_support.get("language"), "licence": licence}
    if keep:
        again.about["support"]["unlabelled"] = unlabelled
        again = dataclasses.replace(again, scale=model.scale)
    return again


def _identify(clips: Corpus) -> list[tuple[str, int]]:
    """Return each clip's file, by its sha256, and its label."""
    assert clips.sha256 is not None
    return list(zip(clips.sha256.tolist(), clips.label.tolist(), strict=True))
