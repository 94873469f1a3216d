"""A run of training -> a start: a model folder adapted to no clips, to begin from and, as it is, to predict with.

Its probabilities are calibrated on voices that it has not learned from: the run is repeated without each of its sources
in turn or, of a single source, without each fold of its speakers, and what was left out is predicted without a clip of
it. Each clip counts twice: alone, and normalised by all clips of its voice.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.special import softmax
from sklearn.model_selection import KFold

from metaser_jax import cli
from metaser_jax.data.corpus import Corpus, join
from metaser_jax.data.inputs import GIVEN
from metaser_jax.data.normalise import resolve
from metaser_jax.datasets.loading import load as load_corpus
from metaser_jax.datasets.targets import Load, load_targets
from metaser_jax.errors import InputError
from metaser_jax.few_clips.start import ClipStart, read_start
from metaser_jax.few_clips.training import scale_of
from metaser_jax.recogniser.model import Model
from metaser_jax.recogniser.predictor import Predictor
from metaser_jax.results.environment import versions
from metaser_jax.results.run_dir import read_config
from metaser_jax.scores.calibration import calibrate, calibration_error
from metaser_jax.scores.metrics import scores
from metaser_jax.specs import MetaTrainSpec, PretrainSpec
from metaser_jax.training.finished import spec_of
from metaser_jax.training.meta_train import run_meta_training
from metaser_jax.training.pretrain import run_pretraining

# Of a single source: parts of its speakers, at most.
FOLDS = 5
# A start of one source is too sure of other corpora, which voices of its own do not tell: one of EMO-DB alone would be
# calibrated on RAVDESS, TESS, nEMO and ASED with temperatures 2.3, 1.7, 1.8 and 3.3, and with 1 on its own voices.
ONE_SOURCE = 2.0

Log = Callable[[str], None]


class Held(NamedTuple):
    """What a run is repeated without.

    Attributes:
      name: for a folder's name, and for people.
      sources: that are left.
      speakers: of a single source, those that are not learned from; else ().
    """

    name: str
    sources: tuple[str, ...]
    speakers: tuple[str, ...] = ()


def make_start(
    run_dir: str,
    data_dir: str | None = None,
    *,
    about: Mapping[str, Any] | None = None,
    calibrate: bool = True,
    log: Log = print,
    load: Load = load_corpus,
) -> Model:
    """Return the start that a finished run makes.

    Args:
      run_dir: of a meta-training or a pre-training, whose network hears the voice or MFCC alone.
      data_dir: folder of the prepared sources; by default that of the run.
      about: what else is to be said, over what is known: keys of Model.about, and of `sources` a list of objects with
        `name` and any of the keys of about.init.sources.
      calibrate: whether the run is repeated to calibrate; those runs are kept beside it, in RUN_without_*.
      log: is told of progress.
      load: reads a prepared corpus.

    Raises:
      InputError: no such run; sources that are not those that it has learned from; from the training.
    """
    start = read_start(run_dir, "auto", "learner")
    saved = read_config(run_dir)
    data_dir = data_dir or str(saved["data_dir"])
    names = [one["name"] for one in start.about["sources"]]
    corpora = {name: _load(name, data_dir, start, saved, load) for name in names}
    model = _model(start, list(corpora.values()))
    more = dict(about or {})
    known = {"versions": versions(), "init": _with_sources(start.about, corpora, more.pop("sources", ()))}
    calibration = None
    if calibrate:
        calibration = _calibration(run_dir, data_dir, start, corpora, log, load)
        model = dataclasses.replace(model, temperature=calibration["temperature"])
    return dataclasses.replace(model, about=known | {"calibration": calibration} | more)


def _load(name: str, data_dir: str, start: ClipStart, saved: Mapping[str, Any], load: Load) -> Corpus:
    (target,) = load_targets(name, data_dir, emotions=start.settings.emotions, load=load)
    trained = saved.get("corpus_digests", {}).get(name)
    if trained not in (None, target.digest):
        raise InputError(
            f"--data_dir={data_dir}: {name} has digest {target.digest}, but the run has learned from {trained}. Give "
            "the folder of the corpora that it was trained on, or train again."
        )
    return target.corpus


def _with_sources(about: Mapping[str, Any], corpora: Mapping[str, Corpus], more: Sequence[Mapping]) -> dict[str, Any]:
    """Return about.init with what the corpora and the user say of the sources."""
    said = {one["name"]: one for one in more}
    unknown = sorted(said.keys() - corpora.keys())
    if unknown:
        raise InputError(f"--about: sources has {', '.join(unknown)}, expected some of {', '.join(corpora)}.")
    sources = [
        {**one, "language": one.get("language") or corpora[one["name"]].language, **said.get(one["name"], {})}
        for one in about["sources"]
    ]
    return {**about, "sources": sources}


def _model(start: ClipStart, corpora: Sequence[Corpus]) -> Model:
    """Return the start as a model, not calibrated: normalised by all voices of its sources."""
    normalise = start.settings.normalise
    if normalise == "auto":
        each = {resolve(corpus, normalise, np.arange(len(corpus))) for corpus in corpora}
        normalise = "speaker" if each == {"speaker"} else "corpus"
    settings = dataclasses.replace(start.settings, normalise=normalise)
    return Model(
        settings=settings,
        params=start.start.params,
        scale=scale_of(settings, _together(corpora)),
        temperature=1.0,
        start=start.start,
        support=None,
        about={},
    )


def _together(corpora: Sequence[Corpus]) -> Corpus:
    """Return the utterances of several corpora as one's, whose speakers stay apart."""
    return join(
        [dataclasses.replace(one, speaker=np.char.add(f"{one.name}/", one.speaker.astype(str))) for one in corpora]
    )


def _calibration(
    run_dir: str, data_dir: str, start: ClipStart, corpora: Mapping[str, Corpus], log: Log, load: Load
) -> dict[str, Any]:
    """Return about.calibration: the temperature for what such runs have not learned from, and what that was."""
    parts = _parts(corpora)
    log(
        f"Calibrating: {len(parts)} more runs, each without a part of what this one has learned from "
        f"({', '.join(part.name for part in parts)}), beside it in {run_dir.rstrip('/')}_without_*."
    )
    logits: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    found = []
    for part in parts:
        folder = f"{run_dir.rstrip('/')}_without_{part.name.replace('/', '_')}"
        _train_without(part, run_dir, data_dir, folder, log, load)
        again = read_start(folder, "auto", "learner")
        known = [_without(part, corpora[name]) for name in part.sources]
        predictor = Predictor(_model(again, known))
        unknown = _held_out(part, corpora)
        both = _zero_shots(predictor, unknown)
        found.append([scores(unknown.label, one.argmax(-1), len(unknown.emotions))["macro_f1"] for one in both])
        logits.append(np.stack(both))
        labels.append(unknown.label)
    every, label = np.concatenate(logits, axis=1), np.concatenate(labels)
    tests = np.split(np.arange(len(label)), np.cumsum([len(one) for one in labels])[:-1])
    calibration = calibrate(every, label, [tests] * len(every))
    after = [calibration_error(softmax(one / calibration.temperature, axis=-1), label) for one in every]
    if len(corpora) > 1:
        what, f1 = "a corpus", [f"{part.name} {a:.2f} and {b:.2f}" for part, (a, b) in zip(parts, found, strict=True)]
    else:
        what, f1 = "the voices", ["{:.2f} and {:.2f}".format(*np.mean(found, axis=0))]
    temperature = calibration.temperature * (ONE_SOURCE if len(corpora) == 1 else 1)
    surer = (
        f" It was then multiplied by {ONE_SOURCE:g}: who has learned from one corpus is too sure of others."
        if len(corpora) == 1
        else ""
    )
    said = (
        f"Found with runs like this one that had not learned from {what}, and were given no labelled clip of it. Macro "
        f"F1 there, of clips alone and of clips together with all others of their voice: {', '.join(f1)}. Calibration "
        f"error: {after[0]:.2f} and {after[1]:.2f}.{surer} On another language both may be worse."
    )
    return calibration._asdict() | {"temperature": temperature, "verdict": None, "said": said}


def _parts(corpora: Mapping[str, Corpus]) -> list[Held]:
    names = tuple(corpora.keys())
    if len(names) > 1:
        return [Held(name, tuple(other for other in names if other != name)) for name in names]
    (corpus,) = corpora.values()
    speakers = np.unique(corpus.speaker)
    folds = KFold(min(FOLDS, len(speakers)), shuffle=True, random_state=0).split(speakers)
    return [Held(f"voices_{n}", names, tuple(speakers[test])) for n, (_, test) in enumerate(folds, start=1)]


def _without(part: Held, corpus: Corpus) -> Corpus:
    return corpus.take(~np.isin(corpus.speaker, part.speakers)) if part.speakers else corpus


def _held_out(part: Held, corpora: Mapping[str, Corpus]) -> Corpus:
    if part.speakers:
        (corpus,) = corpora.values()
        return corpus.take(np.isin(corpus.speaker, part.speakers))
    return corpora[part.name]


def _train_without(part: Held, run_dir: str, data_dir: str, folder: str, log: Log, load: Load) -> None:
    """Repeat a run, and the one that it started from, without a part of its sources."""
    saved = read_config(run_dir)

    def fewer(name: str, place: str) -> Corpus:
        return _without(part, load(name, place))

    quiet = {"log": lambda line: None, "load": fewer}
    if "batch_size" in saved:
        spec = spec_of(PretrainSpec, run_dir, saved, cli.program("pretrain"))
        spec = dataclasses.replace(spec, sources=part.sources)
        run_pretraining(spec, data_dir, folder, **quiet)
    else:
        init = saved.get("init", "")
        if init:
            _train_without(part, init, data_dir, f"{folder}_{Path(init).name}", log, load)
            init = f"{folder}_{Path(init).name}"
        spec = dataclasses.replace(
            spec_of(MetaTrainSpec, run_dir, saved, cli.program("meta-train")), sources=part.sources
        )
        run_meta_training(spec, data_dir, folder, init=init, **quiet)
        log(f"Trained without {part.name}: {folder}.")


def _zero_shots(predictor: Predictor, corpus: Corpus) -> list[np.ndarray]:
    """Return logits [n, class] of each clip alone, and of each with all clips of its voice."""
    given = [getattr(corpus, name) for name in GIVEN[predictor.model.settings.features]]
    silent = np.zeros(len(corpus), bool)
    scale = predictor.scale_of_speakers(given, silent, corpus.speaker, np.unique(corpus.speaker))
    return [predictor.logits(*given, scale=of) for of in (None, scale)]
