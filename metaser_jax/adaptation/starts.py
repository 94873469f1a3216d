"""Where an adaptation starts: a run's checkpoint, a model folder, a start of the package, or random parameters."""

import dataclasses
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from metaser_jax import cli
from metaser_jax.datasets.registry import terms
from metaser_jax.errors import InputError, check_choice
from metaser_jax.meta.learner import MetaParams
from metaser_jax.models.classifier import make_network, trained_logits
from metaser_jax.models.losses import cross_entropy
from metaser_jax.recogniser.folder import digest
from metaser_jax.recogniser.model import Start, trained_settings
from metaser_jax.recogniser.model_files import MODEL, locate, start_names
from metaser_jax.recogniser.predictor import Predictor
from metaser_jax.results.run_dir import CONFIG, read_config
from metaser_jax.specs import INNER, FinetuneSpec, MetaTrainSpec, ModelSpec, PretrainSpec
from metaser_jax.specs.algorithms import ALGORITHMS, methods
from metaser_jax.training.checkpoints import Checkpoints
from metaser_jax.training.finished import best_params, require_fields, spec_of
from metaser_jax.training.trainer import make_learner, make_trainer, no_utterances
from metaser_jax.types import Params

SCRATCH = "scratch"
# The method, in rows, of a model folder that does not say how it was trained.
MODEL_FOLDER = "model"
# The methods of metaser pretrain.
_PRETRAINED = ("transser", "multiser")
# The settings of a meta-training that say how its learner adapts.
_ADAPTS = ("algorithm", "order", "inner_steps", "inner_lr", "inner_optimizer", "prototype_scale")
_OF_SPEAKERS = ("auto", "corpus", "speaker")


class Meta(NamedTuple):
    """The learner of a meta-trained run.

    Attributes:
      spec: of its meta-training. params: its meta-parameters, of the spec's learner.
    """

    spec: MetaTrainSpec
    params: MetaParams


class Init(NamedTuple):
    """The start of a fine-tuning.

    Attributes:
      params: None is random ones per seed.
      source: provenance: method, order, sources, inner_steps ...
      rates: the inner rate of each parameter, where they were learned with them; else None.
      meta: how the run itself adapts, where it was meta-trained; else None.
    """

    params: Params | None
    source: dict[str, Any]
    rates: Params | None = None
    meta: Meta | None = None


class ClipStart(NamedTuple):
    """The start of an adaptation to clips.

    Attributes:
      start: parameters and rates.
      settings: whose normalise may still be "auto".
      about: the part `init` of Model.about.
      clips: that a model folder was adapted to; what it learned from them is not part of `start`.
    """

    start: Start
    settings: ModelSpec
    about: dict[str, Any]
    clips: int = 0


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
      InputError: start is neither scratch nor a finished run nor a model folder, learned from the target, or
        contradicts `given`; inner rates that are not those of SGD, for --optimizer=inner.
    """
    if start == SCRATCH:
        return spec, Init(None, {"method": SCRATCH, "order": None, "sources": [], "inner_steps": None})
    place = locate(start)
    trained, init = _read_folder(place) if (place / MODEL).is_file() else _read_run(start, spec.optimizer)
    model = dataclasses.asdict(trained)
    for name in sorted(set(given) & model.keys()):
        if getattr(spec, name) != model[name]:
            raise InputError(
                f"--{name}: got {getattr(spec, name)!r}, but {start} was trained with {model[name]!r}. Leave "
                "the flag out (the network and its input are the run's), or train another run."
            )
    sources = init.source["sources"]
    if target in sources:
        raise InputError(
            f"--target={target} is one of the sources of {start} ({', '.join(sources)}): "
            "its test part would be scored by a model that has learned from it. Give a corpus that is not among them."
        )
    return dataclasses.replace(spec, **model), init


def _read_folder(folder: Path) -> tuple[ModelSpec, Init]:
    model = Predictor.load(folder).model
    settings, start = trained_settings(model), model.start or Start(model.params, None)
    about = model.about.get("init") or {}
    known = ("method", "algorithm", "order", "inner_steps", "init_episode", "init_seed")
    source = {name: about.get(name) for name in known}
    source["method"] = source["method"] or MODEL_FOLDER
    source["sources"] = [one.get("name") for one in about.get("sources") or []]
    return settings, init_of(start, settings, source)


def _read_run(run_dir: str, optimizer: str) -> tuple[ModelSpec, Init]:
    saved = read_config(run_dir)
    programs = f"{cli.program('meta-train')} or {cli.program('pretrain')}"
    require_fields(run_dir, saved, {"method", "sources"}, programs)
    method = check_choice(f"{run_dir}: method in {CONFIG}", str(saved["method"]), [*methods(), *_PRETRAINED])
    if method in _PRETRAINED:
        trained = spec_of(PretrainSpec, run_dir, saved, cli.program("pretrain"))
        with Checkpoints(run_dir, read_only=True) as checkpoints:
            params, epoch = best_params(trained, run_dir, checkpoints)
        init = Init(params, {"order": None, "inner_steps": None, "init_episode": epoch})
    else:
        trained = spec_of(MetaTrainSpec, run_dir, saved, cli.program("meta-train"))
        learned_rates = ALGORITHMS[trained.algorithm].learned_rates == "parameter"
        # Rates of Adam's updates, say, are of another size than those of gradients.
        if optimizer == INNER and learned_rates and trained.inner_optimizer != "sgd":
            raise InputError(
                f"--optimizer={INNER}: {run_dir} has learned its rates with --inner_optimizer="
                f"{trained.inner_optimizer}, expected sgd. Give another --optimizer, or train another run."
            )
        init = _restore_meta_trained(trained, run_dir)
    source = {"method": method, "sources": list(trained.sources)} | init.source | {"init_seed": trained.seed}
    return ModelSpec.of(trained), init._replace(source=source)


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
    """Return the start that a model folder keeps, of a network with these settings.

    Raises:
      InputError: its learner is that of another network.
    """
    meta = None if start.learner is None else learner_of(start.learner, settings, start.params, start.rates)
    return Init(start.params, source, start.rates, meta)


def start_of(init: Init) -> Start:
    """Return what a model folder keeps of a start whose parameters are trained: `init_of` undone."""
    return Start(init.params, init.rates, None if init.meta is None else learner_facts(init.meta))


def learner_facts(meta: Meta) -> dict[str, Any]:
    """Return how a meta-trained start adapts, JSON-able, but for its parameters and their rates: Start.learner."""
    settings = {name: getattr(meta.spec, name) for name in _ADAPTS}
    settings["order"] = "second" if settings["order"] == "annealed" else settings["order"]
    numbers = {}
    if hasattr(meta.params, "params"):
        apart = {"params"} | ({"rates"} if ALGORITHMS[meta.spec.algorithm].learned_rates == "parameter" else set())
        for name in [field for field in meta.params._fields if field not in apart]:
            for path, leaf in jax.tree_util.tree_leaves_with_path(getattr(meta.params, name)):
                numbers[f"{name}{jax.tree_util.keystr(path)}"] = np.asarray(leaf).tolist()
    return {"settings": settings, "numbers": numbers}


def learner_of(facts: Mapping[str, Any], model: ModelSpec, params: Params, rates: Params | None) -> Meta:
    """Return `learner_facts` undone.

    Raises:
      InputError: facts of another learner or network.
    """
    try:
        spec = MetaTrainSpec(**dataclasses.asdict(model), sources=("one", "another"), **facts["settings"])
        like = jax.eval_shape(_make_learner(spec).init, params)
        numbers = {}
        for name, part in (("params", params), ("rates", rates)):
            for path, leaf in jax.tree_util.tree_leaves_with_path(part):
                numbers[f"{name}{jax.tree_util.keystr(path)}"] = leaf
        numbers |= facts["numbers"]
        leaves, treedef = jax.tree_util.tree_flatten_with_path(like)
        # Where the parameters are all that is learned, nothing stands before their path.
        prefix = "" if hasattr(like, "params") else "params"
        found = [np.asarray(numbers[prefix + jax.tree_util.keystr(path).lstrip(".")], np.float32) for path, _ in leaves]
        if any(leaf.shape != one.shape for leaf, (_, one) in zip(found, leaves, strict=True)):
            raise ValueError("numbers of another shape")
    except (TypeError, ValueError, KeyError) as error:
        raise InputError(f"The start's learner is not as it was written ({error}). Give another start.") from error
    return Meta(spec, treedef.unflatten(found))


def read_start(init: str | os.PathLike[str], normalise: str, optimizer: str) -> ClipStart:
    """Read what an adaptation to clips starts from.

    Args:
      init: a run directory, a model folder, or the name of a start.
      normalise: of AdaptConfig: "auto", "corpus" or "speaker".
      optimizer: that is to follow; "inner" wants a run whose inner rates are those of gradient descent.

    Raises:
      InputError: it is neither, or an unfinished run; a network that clips are not adapted to; a normalisation that it
        was not trained with.
    """
    init = os.fspath(init)
    place, clips = locate(init), 0
    runs = f"the --run_dir of {cli.program('meta-train')} or {cli.program('pretrain')}"
    if (place / MODEL).exists():
        model = Predictor.load(place).model
        start, settings = model.start or Start(model.params, None), trained_settings(model)
        about = dict(model.about.get("init") or {}) | {"model": digest(model)}
        if model.start is not None:
            counts = (model.about.get("support") or {}).get("n_per_emotion") or {}
            clips = sum(filter(None, counts.values()))
    elif (place / CONFIG).exists():
        spec, found = resolve(init, FinetuneSpec(validation="none", optimizer=optimizer))
        start, settings, saved = start_of(found), ModelSpec.of(spec), read_config(init)
        digests = saved.get("corpus_digests", {})
        sources = [{"name": name, **terms(name), "digest": digests.get(name)} for name in saved["sources"]]
        about = found.source | {"algorithm": saved.get("algorithm"), "sources": sources}
    else:
        what = f"has neither {CONFIG} nor {MODEL}" if Path(init).is_dir() else "is no folder"
        if init in (SCRATCH, "svm", "joint"):
            what = "is no network that has learned from other languages"
        raise InputError(
            f"--init={init}: it {what}, expected {' or '.join(start_names())}, {runs}, or a model folder of metaser "
            "adapt."
        )
    trained = settings.normalise
    if trained not in _OF_SPEAKERS and normalise != "auto":
        raise InputError(
            f"--normalise={normalise}: {init} was trained with normalise={trained}, which the clips then have as well. "
            "Leave the flag out."
        )
    wanted = trained if normalise == "auto" else normalise
    return ClipStart(start, dataclasses.replace(settings, normalise=wanted), about | {"normalise": wanted}, clips)
