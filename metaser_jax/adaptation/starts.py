"""Starts of an adaptation: a run's checkpoint, a model folder, a start of the package, or random parameters.

A run of training becomes a start by `make_start`: a model folder adapted to no clips, to begin from and, as it is, to
predict with. Its probabilities are calibrated on voices that it has not learned from: the run is repeated without each
of its sources in turn or, of a single source, without each fold of its speakers, and what was left out is predicted
without a clip of it. Each clip counts twice: alone, and normalised by all clips of its voice.
"""

import dataclasses
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from scipy.special import softmax
from sklearn.model_selection import KFold

from metaser_jax import cli, npz, untrusted
from metaser_jax.audio.encoder import require_encoder
from metaser_jax.data import inputs, together
from metaser_jax.data.corpus import Corpus, join
from metaser_jax.data.together import Shape
from metaser_jax.datasets.loading import load as load_corpus
from metaser_jax.datasets.registry import terms
from metaser_jax.datasets.targets import Load, load_targets
from metaser_jax.errors import InputError, check_choice
from metaser_jax.messages import logged_as, say
from metaser_jax.meta.learner import MetaParams
from metaser_jax.models.classifier import make_network, trained_logits
from metaser_jax.models.losses import cross_entropy
from metaser_jax.recogniser.folder import digest
from metaser_jax.recogniser.model import Model, Start, trained_settings
from metaser_jax.recogniser.model_files import LEARNER_SETTINGS, MODEL, locate, start_names
from metaser_jax.recogniser.predictor import Predictor
from metaser_jax.results.metrics import calibrate, calibration_error, scores
from metaser_jax.results.run_dir import CONFIG, SHAPE, read_config, versions
from metaser_jax.specs import INNER, FinetuneSpec, MetaTrainSpec, ModelSpec, PretrainSpec
from metaser_jax.specs.algorithms import ALGORITHMS, methods
from metaser_jax.training.checkpoints import Checkpoints
from metaser_jax.training.finished import best_params, require_fields, spec_of
from metaser_jax.training.meta_train import run_meta_training
from metaser_jax.training.pretrain import run_pretraining
from metaser_jax.training.trainer import make_learner, make_trainer, no_utterances
from metaser_jax.types import Params

SCRATCH = "scratch"
_PRETRAINED = ("transser", "multiser")
FOLDS = 5  # of a single source: parts of its speakers, at most
# A start of one source is too sure of other corpora, which voices of its own do not tell: one of EMO-DB alone would be
# calibrated on RAVDESS, TESS, nEMO and ASED with temperatures 2.3, 1.7, 1.8 and 3.3, and with 1 on its own voices.
ONE_SOURCE = 2.0


class Meta(NamedTuple):
    """The learner of a meta-trained run. Attributes: spec: of its meta-training. params: its meta-parameters."""

    spec: MetaTrainSpec
    params: MetaParams


class Init(NamedTuple):
    """The start of a fine-tuning.

    Attributes:
      params: None is random ones per seed. source: provenance: method, order, sources, inner_steps ...
      rates: the inner rate of each parameter, where they were learned with them; else None.
      meta: how the run itself adapts, where it was meta-trained; else None.
      shape: what its sources say of the input, for clips that are labelled together; None: not known.
    """

    params: Params | None
    source: dict[str, Any]
    rates: Params | None = None
    meta: Meta | None = None
    shape: Shape | None = None


def resolve(
    start: str, spec: FinetuneSpec, target: str | None = None, given: Collection[str] = ()
) -> tuple[FinetuneSpec, Init]:
    """Load what an adaptation starts from; the network and its input are then the checkpoint's.

    Args:
      start: a run directory, a model folder, the name of a start, or SCRATCH.
      spec: of the adaptation.
      target: corpus that it adapts to, if it is one.
      given: names of the fields that the user chose himself; those must not contradict the checkpoint.

    Raises:
      InputError: no such start, or one that learned from the target, contradicts `given`, or has rates of another
        optimizer than SGD, for --optimizer=inner.
    """
    if start == SCRATCH:
        return spec, Init(None, {"method": SCRATCH, "order": None, "sources": [], "inner_steps": None})
    place = locate(start)
    trained, init = _read_folder(place) if (place / MODEL).is_file() else _read_run(start, spec.optimizer)
    model = dataclasses.asdict(trained)
    for name in sorted(set(given) & model.keys()):
        if getattr(spec, name) != model[name]:
            got = f"--{name}: got {getattr(spec, name)!r}, but {start} was trained with {model[name]!r}"
            raise InputError(f"{got}. Leave the flag out, or train another run.")
    if target in init.source["sources"]:
        raise InputError(f"--target={target} is one of the sources of {start}, expected another corpus.")
    return dataclasses.replace(spec, **model), init


def _read_folder(folder: Path) -> tuple[ModelSpec, Init]:
    model = Predictor.load(folder).model
    about = model.about.get("init") or {}
    known = ("method", "algorithm", "order", "inner_steps", "init_episode", "init_seed")
    source = {name: about.get(name) for name in known}
    source["method"] = source["method"] or "model"  # of a folder that does not say how it was trained
    source["sources"] = [one.get("name") for one in about.get("sources") or []]
    settings = trained_settings(model)
    init = init_of(model.start or Start(model.params, None), settings, source)
    return settings, init._replace(shape=model.shape)


def _read_run(run_dir: str, optimizer: str) -> tuple[ModelSpec, Init]:
    saved = read_config(run_dir)
    meta_train, pretrain = map(cli.program, ("meta-train", "pretrain"))
    require_fields(run_dir, saved, {"method", "sources"}, f"{meta_train} or {pretrain}")
    method = check_choice(f"{run_dir}: method in {CONFIG}", str(saved["method"]), [*methods(), *_PRETRAINED])
    if method in _PRETRAINED:
        trained = spec_of(PretrainSpec, run_dir, saved, pretrain)
        with Checkpoints(run_dir, read_only=True) as checkpoints:
            params, epoch = best_params(trained, run_dir, checkpoints)
        init = Init(params, {"order": None, "inner_steps": None, "init_episode": epoch})
    else:
        trained = spec_of(MetaTrainSpec, run_dir, saved, meta_train)
        init = _restore_meta_trained(trained, run_dir)
        # Rates of Adam's updates, say, are of another size than those of gradients.
        if optimizer == INNER and init.rates is not None and trained.inner_optimizer != "sgd":
            got = f"--optimizer={INNER}: {run_dir} has learned rates with --inner_optimizer={trained.inner_optimizer}"
            raise InputError(f"{got}, expected sgd. Give another --optimizer.")
    source = {"method": method, "sources": list(trained.sources)} | init.source | {"init_seed": trained.seed}
    return ModelSpec.of(trained), init._replace(source=source, shape=_read_shape(Path(run_dir), trained))


def _read_shape(run_dir: Path, spec: ModelSpec) -> Shape | None:
    """Return the shape in a run's folder; None of a run that has none."""
    path, want = run_dir / SHAPE, together.specs(len(spec.emotions), spec.coefs)
    if not path.exists():
        return None
    try:
        return together.unpack(npz.read_npz(untrusted.read_bytes(path, npz.most_bytes(want)), want))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged: {error}. Remove it, and go on with the run to have it again.") from error


def _restore_meta_trained(spec: MetaTrainSpec, run_dir: str) -> Init:
    with Checkpoints(run_dir, read_only=True) as checkpoints:
        best = checkpoints.best()
        # Shapes alone: initial parameters would be computed only to be replaced.
        with jax.enable_x64(spec.dtype == "float64"):
            state = checkpoints.restore(best, jax.eval_shape(lambda: make_trainer(spec, no_utterances(spec)).state))
    params = jax.tree.map(lambda p: p.astype(np.float32), state.meta_params)
    algorithm = ALGORITHMS[spec.algorithm]
    known = {"algorithm": spec.algorithm, "order": spec.order if algorithm.has_order else None}
    known |= {"inner_steps": spec.inner_steps if algorithm.has_steps else None, "init_episode": best}
    # Rates per layer and step stay behind: fine-tuning has other steps.
    rates = params.rates if algorithm.learned_rates == "parameter" else None
    return Init(_make_learner(spec).params(params), known, rates, Meta(spec, jax.tree.map(np.asarray, params)))


def _make_learner(spec: MetaTrainSpec):
    return make_learner(spec, cross_entropy(trained_logits(make_network(spec))))


def init_of(start: Start, settings: ModelSpec, source: dict[str, Any]) -> Init:
    """Return the start that a model folder keeps; raises InputError: its learner is that of another network."""
    meta = None if start.learner is None else learner_of(start.learner, settings, start.params, start.rates)
    return Init(start.params, source, start.rates, meta)


def learner_facts(meta: Meta) -> dict[str, Any]:
    """Return how a meta-trained start adapts, JSON-able, but for its parameters and their rates: Start.learner."""
    settings = {name: getattr(meta.spec, name) for name in LEARNER_SETTINGS}
    settings["order"] = "second" if settings["order"] == "annealed" else settings["order"]
    # Where the parameters are all that is learned, no name stands before their path.
    apart = ("[", "params", *(["rates"] if ALGORITHMS[meta.spec.algorithm].learned_rates == "parameter" else []))
    numbers = {path.lstrip("."): np.asarray(leaf).tolist() for path, leaf in _by_path("", meta.params).items()}
    return {"settings": settings, "numbers": {path: n for path, n in numbers.items() if not path.startswith(apart)}}


def learner_of(facts: Mapping[str, Any], model: ModelSpec, params: Params, rates: Params | None) -> Meta:
    """Return `learner_facts` undone. Raises InputError: facts of another learner or network."""
    try:
        spec = MetaTrainSpec(**dataclasses.asdict(model), sources=("one", "another"), **facts["settings"])
        like = jax.eval_shape(_make_learner(spec).init, params)
        numbers = _by_path("params", params) | _by_path("rates", rates) | facts["numbers"]
        prefix = "" if hasattr(like, "params") else "params"

        def find(path: Any, leaf: jax.ShapeDtypeStruct) -> np.ndarray:
            found = np.asarray(numbers[prefix + jax.tree_util.keystr(path).lstrip(".")], np.float32)
            return found.reshape(leaf.shape)

        learned = jax.tree_util.tree_map_with_path(find, like)
    except (TypeError, ValueError, KeyError) as error:
        raise InputError(f"The start's learner is not as it was written ({error}). Give another start.") from error
    return Meta(spec, learned)


def _by_path(name: str, part: Any) -> dict[str, Any]:
    return {f"{name}{jax.tree_util.keystr(path)}": leaf for path, leaf in jax.tree_util.tree_leaves_with_path(part)}


def read_start(init: str | os.PathLike[str], normalise: str, optimizer: str) -> Model:
    """Read what an adaptation to clips starts from, as a model with a start; settings.normalise may still be "auto".

    Of its provenance there is `init`, and, where what it learned from clips is no part of the start, `support`.

    Args:
      init: a run directory, a model folder, or the name of a start.
      normalise: of AdaptConfig: "auto", "corpus" or "speaker".
      optimizer: that is to follow; "inner" wants a run whose inner rates are those of gradient descent.

    Raises:
      InputError: it is neither, or an unfinished run; a network that clips are not adapted to; a normalisation that it
        was not trained with.
    """
    init = os.fspath(init)
    place, of_clips, encoder = locate(init), None, None
    if (place / MODEL).exists():
        model = Predictor.load(place).model
        known = dict(model.about.get("init") or {}) | {"model": digest(model)}
        of_clips = model.start and model.about.get("support")
        start, settings = model.start or Start(model.params, None), trained_settings(model)
        shape, encoder = model.shape, model.encoder
    elif (place / CONFIG).exists():
        (settings, found), saved = _read_run(init, optimizer), read_config(init)
        start = Start(found.params, found.rates, found.meta and learner_facts(found.meta))
        shape = found.shape
        if settings.features == "encoder":
            encoder = require_encoder(f"--init={init}", saved["encoder"])
        digests = saved.get("corpus_digests", {})
        sources = [{"name": name, **terms(name), "digest": digests.get(name)} for name in saved["sources"]]
        known = found.source | {"algorithm": saved.get("algorithm"), "sources": sources}
    else:
        what = f"has neither {CONFIG} nor {MODEL}" if Path(init).is_dir() else "is no folder"
        starts = " or ".join((*start_names(), f"a run ({cli.program('meta-train')}, {cli.program('pretrain')})"))
        raise InputError(f"--init={init}: it {what}, expected {starts}, or a model of metaser adapt.")
    if normalise != "auto":
        if settings.normalise not in ("auto", "corpus", "speaker"):
            raise InputError(f"--normalise={normalise}: {init} was trained with {settings.normalise}. Leave it out.")
        settings = dataclasses.replace(settings, normalise=normalise)
    known = {"about": {"init": known | {"normalise": settings.normalise}, "support": of_clips}, "start": start}
    known |= {"shape": shape, "encoder": encoder}
    return Model(settings=settings, params=start.params, scale=None, temperature=1.0, support=None, **known)


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
    for one in start.about["init"]["sources"]:
        (target,) = load_targets(one["name"], data_dir, emotions=start.settings.emotions, load=load)
        if one["digest"] not in (None, target.digest):
            got = f"--data_dir={data_dir}: {one['name']} has digest {target.digest}"
            raise InputError(f"{got}, expected the run's, {one['digest']}. Give the corpora that it was trained on.")
        corpora[one["name"]] = target.corpus
    more = dict(about or {})
    said = {one["name"]: one for one in more.pop("sources", ())}
    if unknown := sorted(said.keys() - corpora.keys()):
        raise InputError(f"--about: sources has {', '.join(unknown)}, expected some of {', '.join(corpora)}.")
    sources = [
        {**one, "language": one.get("language") or corpora[one["name"]].language, **said.get(one["name"], {})}
        for one in start.about["init"]["sources"]
    ]
    model = _make_model(start, list(corpora.values()))
    calibration = _calibrate(run_dir, data_dir, corpora, load) if calibrate else None
    temperature = calibration["temperature"] if calibration else 1.0
    known = {"versions": versions(), "init": {**start.about["init"], "sources": sources}, "calibration": calibration}
    return dataclasses.replace(model, temperature=temperature, about=known | more)


def _make_model(start: Model, corpora: Sequence[Corpus]) -> Model:
    """Return the start normalised by all voices of its sources, not calibrated."""
    normalise = start.settings.normalise
    if normalise == "auto":
        each = {inputs.resolve(corpus, normalise, np.arange(len(corpus))) for corpus in corpora}
        normalise = "speaker" if each == {"speaker"} else "corpus"
    settings = dataclasses.replace(start.settings, normalise=normalise)
    # Speakers of two corpora stay apart.
    speakers = [np.char.add(f"{one.name}/", one.speaker.astype(str)) for one in corpora]
    corpus = join([dataclasses.replace(one, speaker=own) for one, own in zip(corpora, speakers, strict=True)])
    return dataclasses.replace(start, settings=settings, scale=inputs.find_scale(corpus, settings))


_CALIBRATED = (
    "Found with runs like this one that had not learned from {what}, and were given no labelled clip of it. Macro F1 "
    "there, of clips alone and of clips together with all others of their voice: {f1}. Calibration error: "
    "{error}.{surer} On another language both may be worse."
)
_SURER = f" It was then multiplied by {ONE_SOURCE:g}: who has learned from one corpus is too sure of others."


def _calibrate(run_dir: str, data_dir: str, corpora: Mapping[str, Corpus], load: Load) -> dict[str, Any]:
    """Return about.calibration: the temperature for what such runs have not learned from, and what that was."""
    names, one_source, beside = tuple(corpora), len(corpora) == 1, f"{run_dir.rstrip('/')}_without_"
    # Of each part, the voices that are left out of the sources that stay.
    parts, first = dict.fromkeys(names, np.array([], str)), corpora[names[0]]
    if one_source:
        speakers = np.unique(first.speaker)
        folds = KFold(min(FOLDS, len(speakers)), shuffle=True, random_state=0).split(speakers)
        parts = {f"voices_{n}": speakers[test] for n, (_, test) in enumerate(folds, start=1)}
    say(f"Calibrating: {len(parts)} more runs, each without one of {', '.join(parts)}: {beside}*.")
    logits, labels, found = [], [], []
    for part, speakers in parts.items():
        folder, sources = f"{beside}{part.replace('/', '_')}", tuple(name for name in names if name != part)

        def fewer(name: str, place: str, speakers: np.ndarray = speakers) -> Corpus:
            return _take_others(load(name, place), speakers)

        _repeat(run_dir, data_dir, folder, sources, fewer)
        say(f"Trained without {part}: {folder}.")
        known = [_take_others(corpora[name], speakers) for name in sources]
        unknown = first.take(np.isin(first.speaker, speakers)) if one_source else corpora[part]
        predictor = Predictor(_make_model(read_start(folder, "auto", "learner"), known))
        given = inputs.given_of(unknown, predictor.model.settings)
        silent = np.zeros(len(unknown), bool)
        by_voice = predictor.scale_of_speakers(given, silent, unknown.speaker, np.unique(unknown.speaker))
        # Of each clip alone, and of each with all clips of its voice.
        both = [predictor.logits(*given, scale=scale) for scale in (None, by_voice)]
        found.append([scores(unknown.label, one.argmax(-1), len(unknown.emotions))["macro_f1"] for one in both])
        logits.append(np.stack(both))
        labels.append(unknown.label)
    every, label = np.concatenate(logits, axis=1), np.concatenate(labels)
    tests = np.split(np.arange(len(label)), np.cumsum([len(one) for one in labels])[:-1])
    calibration = calibrate(every, label, [tests] * len(every))
    after = [calibration_error(softmax(one / calibration.temperature, axis=-1), label) for one in every]
    temperature, both = calibration.temperature, "{:.2f} and {:.2f}".format
    texts = {"what": "a corpus", "surer": "", "error": both(*after)}
    texts["f1"] = ", ".join(f"{part} {both(*one)}" for part, one in zip(parts, found, strict=True))
    if one_source:
        temperature *= ONE_SOURCE
        texts |= {"what": "the voices", "surer": _SURER, "f1": both(*np.mean(found, axis=0))}
    said = _CALIBRATED.format(**texts)
    return calibration._asdict() | {"temperature": temperature, "verdict": None, "said": said}


def _take_others(corpus: Corpus, speakers: np.ndarray) -> Corpus:
    """Return the clips of others than these speakers."""
    return corpus.take(~np.isin(corpus.speaker, speakers))


@logged_as("")
def _repeat(run_dir: str, data_dir: str, folder: str, sources: tuple[str, ...], load: Load) -> None:
    """Repeat a run, and the one that it started from, with these of its sources."""
    saved = read_config(run_dir)
    if "batch_size" in saved:
        spec = spec_of(PretrainSpec, run_dir, saved, cli.program("pretrain"))
        run_pretraining(dataclasses.replace(spec, sources=sources), data_dir, folder, load=load)
        return
    if init := saved.get("init", ""):
        own = f"{folder}_{Path(init).name}"
        _repeat(init, data_dir, own, sources, load)
        init = own
    spec = spec_of(MetaTrainSpec, run_dir, saved, cli.program("meta-train"))
    run_meta_training(dataclasses.replace(spec, sources=sources), data_dir, folder, init=init, load=load)
