"""A run of training -> a start: a model folder adapted to no clips, to begin from and, as it is, to predict with.

Its probabilities are calibrated on voices that it has not learned from: the run is repeated without each of its sources
in turn or, of a single source, without each fold of its speakers, and what was left out is predicted without a clip of
it. Each clip counts twice: alone, and normalised by all clips of its voice.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.special import softmax
from sklearn.model_selection import KFold

from metaser_jax import cli
from metaser_jax.adaptation.few_clips import scale_of
from metaser_jax.adaptation.starts import ClipStart, read_start
from metaser_jax.data.corpus import Corpus, join
from metaser_jax.data.inputs import GIVEN, resolve
from metaser_jax.datasets.loading import load as load_corpus
from metaser_jax.datasets.targets import Load, load_targets
from metaser_jax.errors import InputError
from metaser_jax.messages import say
from metaser_jax.recogniser.model import Model
from metaser_jax.recogniser.predictor import Predictor
from metaser_jax.results.calibration import calibrate as find_temperature
from metaser_jax.results.calibration import calibration_error
from metaser_jax.results.environment import versions
from metaser_jax.results.metrics import scores
from metaser_jax.results.run_dir import read_config
from metaser_jax.specs import MetaTrainSpec, PretrainSpec
from metaser_jax.training.finished import spec_of
from metaser_jax.training.meta_train import run_meta_training
from metaser_jax.training.pretrain import run_pretraining

# Of a single source: parts of its speakers, at most.
FOLDS = 5
# A start of one source is too sure of other corpora, which voices of its own do not tell: one of EMO-DB alone would be
# calibrated on RAVDESS, TESS, nEMO and ASED with temperatures 2.3, 1.7, 1.8 and 3.3, and with 1 on its own voices.
ONE_SOURCE = 2.0


class Part(NamedTuple):
    """The part of the sources that a run is repeated without.

    Attributes:
      name: for a folder's name, and for people.
      sources: that are left.
      speakers: of a single source, those that are not learned from; else ().
    """

    name: str
    sources: tuple[str, ...]
    speakers: tuple[str, ...] = ()

    def leave_out(self, corpus: Corpus) -> Corpus:
        """Return the clips of a corpus that are learned from."""
        return corpus.take(~np.isin(corpus.speaker, self.speakers)) if self.speakers else corpus


def make_start(
    run_dir: str,
    data_dir: str | None = None,
    *,
    about: Mapping[str, Any] | None = None,
    calibrate: bool = True,
    load: Load = load_corpus,
) -> Model:
    """Return the start that a finished run makes.

    Args:
      run_dir: of a meta-training or a pre-training, whose network hears the voice or MFCC alone.
      data_dir: folder of the prepared sources; by default that of the run.
      about: what else is to be said, over what is known: keys of Model.about, and of `sources` a list of objects with
        `name` and any of the keys of about.init.sources.
      calibrate: whether the run is repeated to calibrate; those runs are kept beside it, in RUN_without_*.
      load: reads a prepared corpus.

    Raises:
      InputError: no such run; sources that are not those that it has learned from; from the training.
    """
    start, saved = read_start(run_dir, "auto", "learner"), read_config(run_dir)
    data_dir = data_dir or str(saved["data_dir"])
    corpora: dict[str, Corpus] = {}
    for one in start.about["sources"]:
        (target,) = load_targets(one["name"], data_dir, emotions=start.settings.emotions, load=load)
        if one["digest"] not in (None, target.digest):
            raise InputError(
                f"--data_dir={data_dir}: {one['name']} has digest {target.digest}, but the run has learned from "
                f"{one['digest']}. Give the folder of the corpora that it was trained on, or train again."
            )
        corpora[one["name"]] = target.corpus
    more = dict(about or {})
    said = {one["name"]: one for one in more.pop("sources", ())}
    unknown = sorted(said.keys() - corpora.keys())
    if unknown:
        raise InputError(f"--about: sources has {', '.join(unknown)}, expected some of {', '.join(corpora)}.")
    sources = [
        {**one, "language": one.get("language") or corpora[one["name"]].language, **said.get(one["name"], {})}
        for one in start.about["sources"]
    ]
    model = _make_model(start, list(corpora.values()))
    calibration = _calibrate(run_dir, data_dir, corpora, load) if calibrate else None
    temperature = calibration["temperature"] if calibration else 1.0
    known = {"versions": versions(), "init": {**start.about, "sources": sources}, "calibration": calibration}
    return dataclasses.replace(model, temperature=temperature, about=known | more)


def _make_model(start: ClipStart, corpora: Sequence[Corpus]) -> Model:
    """Return the start as a model, not calibrated: normalised by all voices of its sources."""
    normalise = start.settings.normalise
    if normalise == "auto":
        each = {resolve(corpus, normalise, np.arange(len(corpus))) for corpus in corpora}
        normalise = "speaker" if each == {"speaker"} else "corpus"
    settings = dataclasses.replace(start.settings, normalise=normalise)
    # Speakers of two corpora stay apart.
    speakers = [np.char.add(f"{one.name}/", one.speaker.astype(str)) for one in corpora]
    corpus = join([dataclasses.replace(one, speaker=own) for one, own in zip(corpora, speakers, strict=True)])
    params, scale = start.start.params, scale_of(settings, corpus)
    return Model(
        settings=settings, params=params, scale=scale, temperature=1.0, start=start.start, support=None, about={}
    )


def _calibrate(run_dir: str, data_dir: str, corpora: Mapping[str, Corpus], load: Load) -> dict[str, Any]:
    """Return about.calibration: the temperature for what such runs have not learned from, and what that was."""
    names, one_source = tuple(corpora), len(corpora) == 1
    if one_source:
        (corpus,) = corpora.values()
        speakers = np.unique(corpus.speaker)
        folds = KFold(min(FOLDS, len(speakers)), shuffle=True, random_state=0).split(speakers)
        parts = [Part(f"voices_{n}", names, tuple(speakers[test])) for n, (_, test) in enumerate(folds, start=1)]
    else:
        parts = [Part(name, tuple(other for other in names if other != name)) for name in names]
    say(
        f"Calibrating: {len(parts)} more runs, each without a part of what this one has learned from "
        f"({', '.join(part.name for part in parts)}), beside it in {run_dir.rstrip('/')}_without_*."
    )
    logits, labels, found = [], [], []
    for part in parts:
        folder = f"{run_dir.rstrip('/')}_without_{part.name.replace('/', '_')}"
        _train_without(part, run_dir, data_dir, folder, load)
        known = [part.leave_out(corpora[name]) for name in part.sources]
        unknown = corpora[names[0] if one_source else part.name]
        if one_source:
            unknown = unknown.take(np.isin(unknown.speaker, part.speakers))
        both = _predict_zero_shots(Predictor(_make_model(read_start(folder, "auto", "learner"), known)), unknown)
        found.append([scores(unknown.label, one.argmax(-1), len(unknown.emotions))["macro_f1"] for one in both])
        logits.append(np.stack(both))
        labels.append(unknown.label)
    every, label = np.concatenate(logits, axis=1), np.concatenate(labels)
    tests = np.split(np.arange(len(label)), np.cumsum([len(one) for one in labels])[:-1])
    calibration = find_temperature(every, label, [tests] * len(every))
    after = [calibration_error(softmax(one / calibration.temperature, axis=-1), label) for one in every]
    temperature, surer = calibration.temperature, ""
    what, f1 = "a corpus", [f"{part.name} {a:.2f} and {b:.2f}" for part, (a, b) in zip(parts, found, strict=True)]
    if one_source:
        temperature *= ONE_SOURCE
        surer = f" It was then multiplied by {ONE_SOURCE:g}: who has learned from one corpus is too sure of others."
        what, f1 = "the voices", ["{:.2f} and {:.2f}".format(*np.mean(found, axis=0))]
    said = (
        f"Found with runs like this one that had not learned from {what}, and were given no labelled clip of it. Macro "
        f"F1 there, of clips alone and of clips together with all others of their voice: {', '.join(f1)}. Calibration "
        f"error: {after[0]:.2f} and {after[1]:.2f}.{surer} On another language both may be worse."
    )
    return calibration._asdict() | {"temperature": temperature, "verdict": None, "said": said}


def _train_without(part: Part, run_dir: str, data_dir: str, folder: str, load: Load) -> None:
    """Repeat a run, and the one that it started from, without a part of its sources."""
    saved = read_config(run_dir)

    def fewer(name: str, place: str) -> Corpus:
        return part.leave_out(load(name, place))

    quiet = {"log": lambda line: None, "load": fewer}
    if "batch_size" in saved:
        spec = spec_of(PretrainSpec, run_dir, saved, cli.program("pretrain"))
        run_pretraining(dataclasses.replace(spec, sources=part.sources), data_dir, folder, **quiet)
        return
    init = saved.get("init", "")
    if init:
        own = f"{folder}_{Path(init).name}"
        _train_without(part, init, data_dir, own, load)
        init = own
    spec = spec_of(MetaTrainSpec, run_dir, saved, cli.program("meta-train"))
    run_meta_training(dataclasses.replace(spec, sources=part.sources), data_dir, folder, init=init, **quiet)
    say(f"Trained without {part.name}: {folder}.")


def _predict_zero_shots(predictor: Predictor, corpus: Corpus) -> list[np.ndarray]:
    """Return logits [n, class] of each clip alone, and of each with all clips of its voice."""
    given = [getattr(corpus, name) for name in GIVEN[predictor.model.settings.features]]
    silent = np.zeros(len(corpus), bool)
    scale = predictor.scale_of_speakers(given, silent, corpus.speaker, np.unique(corpus.speaker))
    return [predictor.logits(*given, scale=of) for of in (None, scale)]
