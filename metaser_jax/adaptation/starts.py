"""Where an adaptation starts: a run's checkpoint, a start folder, or random parameters."""

import dataclasses
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from metaser_jax import cli
from metaser_jax.errors import InputError, check_choice
from metaser_jax.meta.learner import MetaParams
from metaser_jax.models.classifier import make_network, trained_logits
from metaser_jax.models.losses import cross_entropy
from metaser_jax.recogniser.model import Start, trained_settings
from metaser_jax.recogniser.model_files import MODEL, located
from metaser_jax.recogniser.predictor import Predictor
from metaser_jax.results.run_dir import CONFIG, read_config
from metaser_jax.specs import INNER, FinetuneSpec, MetaTrainSpec, ModelSpec, PretrainSpec
from metaser_jax.specs.algorithms import ALGORITHMS, methods
from metaser_jax.training.checkpoints import Checkpoints
from metaser_jax.training.finished import best_params, require_fields, spec_of
from metaser_jax.training.trainer import make_learner, make_trainer, no_utterances
from metaser_jax.types import Params

SCRATCH = "scratch"
# What rows call the method of a model folder that does not say how it was trained.
MODEL_FOLDER = "model"


class Meta(NamedTuple):
    """Hold how a meta-trained run adapts.

    Attributes:
      spec: of its meta-training. params: its meta-parameters, of the spec's learner.
    """

    spec: MetaTrainSpec
    params: MetaParams


class Init(NamedTuple):
    """Where fine-tuning starts.

    Attributes:
      params: None is random ones per seed.
      source: what is known of their training.
      rates: the inner rate of each parameter, where they were learned with them; else None.
      meta: how the run itself adapts, where it was meta-trained; else None.
    """

    params: Params | None
    source: dict[str, Any]
    rates: Params | None = None
    meta: Meta | None = None


class _Kind(NamedTuple):
    """How the runs of a program are read.

    Attributes:
      spec: class of what the runs are.
      program: its sub-command of metaser, for messages.
      restore: (spec, run_dir, Checkpoints) -> Init, whose source still lacks method, sources and init_seed.
    """

    spec: type[MetaTrainSpec] | type[PretrainSpec]
    program: str
    restore: Callable[[Any, str, Checkpoints], Init]


def _restore_meta_trained(spec: MetaTrainSpec, run_dir: str, checkpoints: Checkpoints) -> Init:
    del run_dir
    best = checkpoints.best()
    # Shapes alone: initial parameters would be computed only to be replaced.
    with jax.enable_x64(spec.dtype == "float64"):
        state = checkpoints.restore(best, jax.eval_shape(lambda: make_trainer(spec, no_utterances(spec)).state))
    meta_params = jax.tree.map(lambda p: p.astype(np.float32), state.meta_params)
    learner = make_learner(spec, cross_entropy(trained_logits(make_network(spec))))
    algorithm = ALGORITHMS[spec.algorithm]
    # Rates per layer and step stay behind: fine-tuning has other steps.
    rates = meta_params.rates if algorithm.learned_rates == "parameter" else None
    known = {"algorithm": spec.algorithm, "order": spec.order if algorithm.has_order else None}
    known |= {"inner_steps": spec.inner_steps if algorithm.has_steps else None, "init_episode": best}
    return Init(learner.params(meta_params), known, rates, Meta(spec, jax.tree.map(np.asarray, meta_params)))


def _restore_pretrained(spec: PretrainSpec, run_dir: str, checkpoints: Checkpoints) -> Init:
    params, epoch = best_params(spec, run_dir, checkpoints)
    return Init(params, {"order": None, "inner_steps": None, "init_episode": epoch})


_META_TRAINED = _Kind(MetaTrainSpec, "meta-train", _restore_meta_trained)
_PRETRAINED = _Kind(PretrainSpec, "pretrain", _restore_pretrained)


def _kinds() -> dict[str, _Kind]:
    """Return the kind of a run by the method in its config.json."""
    return dict.fromkeys(methods(), _META_TRAINED) | dict.fromkeys(("transser", "multiser"), _PRETRAINED)


# What of a meta-training says how its learner adapts.
_ADAPTS = ("algorithm", "order", "inner_steps", "inner_lr", "inner_optimizer", "prototype_scale")


def learner_facts(meta: Meta) -> dict[str, Any]:
    """Return how a meta-trained start adapts, JSON-able, but for its parameters and their rates: Start.learner."""
    settings = {name: getattr(meta.spec, name) for name in _ADAPTS}
    settings["order"] = "second" if settings["order"] == "annealed" else settings["order"]
    named = _named(meta)
    return {"settings": settings, "numbers": {name: np.asarray(a).tolist() for name, a in named.items()}}


def learner_of(facts: Mapping[str, Any], model: ModelSpec, params: Params, rates: Params | None) -> Meta:
    """Return `learner_facts` undone.

    Raises:
      InputError: facts of another learner or network.
    """
    try:
        spec = MetaTrainSpec(**dataclasses.asdict(model), sources=("one", "another"), **facts["settings"])
        learner = make_learner(spec, cross_entropy(trained_logits(make_network(spec))))
        like = jax.eval_shape(learner.init, params)
        named, treedef = jax.tree_util.tree_flatten_with_path(like)
        whole = {f"params{jax.tree_util.keystr(path)}": a for path, a in jax.tree_util.tree_leaves_with_path(params)}
        if rates is not None:
            paths = jax.tree_util.tree_leaves_with_path(rates)
            whole |= {f"rates{jax.tree_util.keystr(path)}": a for path, a in paths}
        whole |= facts["numbers"]
        if not hasattr(like, "params"):  # the parameters are all that is learned
            whole |= {name.removeprefix("params"): a for name, a in whole.items()}
        leaves = [np.asarray(whole[jax.tree_util.keystr(path).lstrip(".")], np.float32) for path, _ in named]
        if any(leaf.shape != one.shape for leaf, (_, one) in zip(leaves, named, strict=True)):
            raise ValueError("numbers of another shape")
    except (TypeError, ValueError, KeyError) as error:
        raise InputError(f"The start's learner is not as it was written ({error}). Give another start.") from error
    return Meta(spec, treedef.unflatten(leaves))


def _named(meta: Meta) -> dict[str, np.ndarray]:
    """Return what a learner learns besides parameters and rates like them, by its path."""
    if not hasattr(meta.params, "params"):
        return {}
    kept_apart = {"params"} | ({"rates"} if ALGORITHMS[meta.spec.algorithm].learned_rates == "parameter" else set())
    return {
        f"{name}{jax.tree_util.keystr(path)}": leaf
        for name, part in meta.params._asdict().items()
        if name not in kept_apart
        for path, leaf in jax.tree_util.tree_leaves_with_path(part)
    }


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
    place = located(start)
    of_folder = (place / MODEL).is_file()
    trained, init = _of_folder(place) if of_folder else _of_run(start, spec)
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


def _of_folder(folder: Path) -> tuple[ModelSpec, Init]:
    model = Predictor.load(folder).model
    settings, begun = trained_settings(model), model.start or Start(model.params, None)
    about = model.about.get("init") or {}
    names = ("method", "algorithm", "order", "inner_steps", "init_episode", "init_seed")
    source = {name: about.get(name) for name in names}
    source["method"] = source["method"] or MODEL_FOLDER
    source["sources"] = [one.get("name") for one in about.get("sources") or []]
    meta = None if begun.learner is None else learner_of(begun.learner, settings, begun.params, begun.rates)
    return settings, Init(begun.params, source, begun.rates, meta)


def _of_run(run_dir: str, spec: FinetuneSpec) -> tuple[ModelSpec, Init]:
    kind, trained, method = _read(run_dir)
    rates = isinstance(trained, MetaTrainSpec) and ALGORITHMS[trained.algorithm].learned_rates
    if spec.optimizer == INNER and rates == "parameter":
        # Rates of Adam's updates, say, are of another size than those of gradients.
        got = trained.inner_optimizer
        if got != "sgd":
            raise InputError(
                f"--optimizer={INNER}: {run_dir} has learned its rates with --inner_optimizer={got}, expected sgd. "
                "Give another --optimizer, or train another run."
            )
    with Checkpoints(run_dir, read_only=True) as checkpoints:
        init = kind.restore(trained, run_dir, checkpoints)
    source = {"method": method, "sources": list(trained.sources)} | init.source | {"init_seed": trained.seed}
    return ModelSpec.of(trained), init._replace(source=source)


def _read(run_dir: str) -> tuple[_Kind, MetaTrainSpec | PretrainSpec, str]:
    """Read from config.json of a run the kind of run, what it is, and its method."""
    saved = read_config(run_dir)
    require_fields(run_dir, saved, {"method", "sources"}, f"{cli.program('meta-train')} or {cli.program('pretrain')}")
    kinds = _kinds()
    kind = kinds[check_choice(f"{run_dir}: method in {CONFIG}", str(saved["method"]), kinds)]
    return kind, spec_of(kind.spec, run_dir, saved, cli.program(kind.program)), saved["method"]
