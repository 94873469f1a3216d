"""Where an adaptation starts: a run's checkpoint, or random parameters."""

import dataclasses
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import jax
import numpy as np

from metaser_jax.config import HOW, INNER, FinetuneConfig, MetaTrainConfig, ModelConfig, PretrainConfig
from metaser_jax.errors import InputError, check_choice
from metaser_jax.models.losses import cross_entropy
from metaser_jax.results.run_dir import CONFIG, read_config
from metaser_jax.training.checkpoints import Checkpoints
from metaser_jax.training.pretrain import progress
from metaser_jax.training.pretrainer import make_state
from metaser_jax.training.trainer import make_learner, make_model, make_trainer, no_utterances
from metaser_jax.types import Params

SCRATCH = "scratch"


class Init(NamedTuple):
    """Where fine-tuning starts.

    Attributes:
      params: None is random ones per seed.
      source: what is known of their training.
      rates: the inner rate of each parameter, where they were learned with them; else None.
    """

    params: Params | None
    source: dict[str, Any]
    rates: Params | None = None


class _Kind(NamedTuple):
    """How the runs of a program are read.

    Attributes:
      config: class of its configuration.
      program: its name, for messages.
      restore: (config, Checkpoints) -> Init, whose source still lacks method, sources and init_seed.
    """

    config: type[MetaTrainConfig] | type[PretrainConfig]
    program: str
    restore: Callable[[Any, Checkpoints], Init]


def _restore_meta_trained(config: MetaTrainConfig, checkpoints: Checkpoints) -> Init:
    best = checkpoints.best()
    # Shapes alone: initial parameters would be computed only to be replaced.
    with jax.enable_x64(config.dtype == "float64"):
        state = checkpoints.restore(best, jax.eval_shape(lambda: make_trainer(config, no_utterances(config)).state))
    meta_params = jax.tree.map(lambda p: p.astype(np.float32), state.meta_params)
    learner = make_learner(config, cross_entropy(make_model(config).apply))
    order = None if config.algorithm == "reptile" else config.order
    # Rates per layer and step stay behind: fine-tuning has other steps.
    rates = meta_params.rates if config.algorithm == "meta_sgd" else None
    known = {"order": order, "inner_steps": config.inner_steps, "init_episode": best}
    return Init(learner.params(meta_params), known, rates)


def _restore_pretrained(config: PretrainConfig, checkpoints: Checkpoints) -> Init:
    # The latest: every checkpoint has the best parameters of its stage, and the last stage's are those that count.
    latest = checkpoints.latest()
    state = (
        None
        if latest is None
        else checkpoints.restore(latest, jax.eval_shape(lambda: make_state(config, no_utterances(config))))
    )
    at = state and progress(config, state)
    if not (at and at.finished):
        where = f"epoch {at.epoch} of {' and '.join(at.sources)}" if at else "its start"
        raise InputError(
            f"{config.run_dir} has not finished: its last checkpoint is at {where}. Run experiments/pretrain.py again "
            "with the same flags; it goes on from there."
        )
    return Init(state.best_params, {"order": None, "inner_steps": None, "init_episode": at.total_best_epoch})


_META_TRAINED = _Kind(MetaTrainConfig, "meta_train.py", _restore_meta_trained)
_PRETRAINED = _Kind(PretrainConfig, "pretrain.py", _restore_pretrained)
# By the method in config.json.
_KINDS = {
    **dict.fromkeys(("metaser", "anil", "meta_sgd", "layer_rates", "reptile"), _META_TRAINED),
    **dict.fromkeys(("transser", "multiser"), _PRETRAINED),
}


def resolve(config: FinetuneConfig, given: Collection[str] = ()) -> tuple[FinetuneConfig, Init]:
    """Loads the checkpoint that --init names; the network and its input are then the checkpoint's.

    Args:
      given: names of the fields that the user chose himself; those must not contradict the checkpoint.

    Raises:
      InputError: init is neither scratch nor a finished run, learned from the target, or contradicts `given`; inner
        rates that are not those of SGD, for --optimizer=inner.
    """
    if config.init == SCRATCH:
        return config, Init(None, {"method": SCRATCH, "order": None, "sources": [], "inner_steps": None})
    kind, train_config, method = _read(config.init)
    of_model = {field.name for field in dataclasses.fields(ModelConfig)} - set(HOW)
    model = {name: getattr(train_config, name) for name in of_model}
    for name in sorted(set(given) & model.keys()):
        if getattr(config, name) != model[name]:
            raise InputError(
                f"--{name}: got {getattr(config, name)!r}, but {config.init} was trained with {model[name]!r}. Leave "
                "the flag out (the network and its input are the run's), or train another run."
            )
    if config.target in train_config.sources:
        raise InputError(
            f"--target={config.target} is one of the sources of {config.init} ({', '.join(train_config.sources)}): "
            "its test part would be scored by a model that has learned from it. Give a corpus that is not among them."
        )
    if config.optimizer == INNER and getattr(train_config, "algorithm", None) == "meta_sgd":
        # Rates of Adam's updates, say, are of another size than those of gradients.
        got = train_config.inner_optimizer
        if got != "sgd":
            raise InputError(
                f"--optimizer={INNER}: {config.init} has learned its rates with --inner_optimizer={got}, expected sgd. "
                "Give another --optimizer, or train another run."
            )
    with Checkpoints(config.init, read_only=True) as checkpoints:
        init = kind.restore(train_config, checkpoints)
    source = {"method": method, "sources": list(train_config.sources)} | init.source | {"init_seed": train_config.seed}
    return dataclasses.replace(config, **model), init._replace(source=source)


def _read(run_dir: str) -> tuple[_Kind, MetaTrainConfig | PretrainConfig, str]:
    """What config.json of a run says: the kind of run, its configuration, its method."""
    saved = read_config(run_dir)

    def check(names: set[str], program: str) -> None:
        missing = sorted(names - saved.keys())
        if missing:
            raise InputError(f"{run_dir}: {CONFIG} lacks {', '.join(missing)}, expected what {program} wrote.")

    check({"method", "sources"}, "meta_train.py or pretrain.py")
    kind = _KINDS[check_choice(f"{run_dir}: method in {CONFIG}", str(saved["method"]), _KINDS)]
    names = {field.name for field in dataclasses.fields(kind.config)} - set(HOW)
    check(names, kind.program)
    values = {name: tuple(saved[name]) if isinstance(saved[name], list) else saved[name] for name in names}
    try:
        return kind, kind.config(**values | {"run_dir": run_dir}), saved["method"]
    except TypeError as error:
        raise InputError(f"{run_dir}: {CONFIG} has a value of a wrong type: {error}.") from error
