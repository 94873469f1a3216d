"""Where an adaptation starts: a run's checkpoint, or random parameters."""

import dataclasses
from collections.abc import Collection
from typing import Any, NamedTuple

import jax

from metaser_jax.checkpoints import Checkpoints
from metaser_jax.config import HOW, FinetuneConfig, MetaTrainConfig, ModelConfig
from metaser_jax.errors import InputError
from metaser_jax.losses import cross_entropy
from metaser_jax.runs.run_dir import read_config
from metaser_jax.runs.trainer import make_learner, make_model, make_trainer
from metaser_jax.types import Params

SCRATCH = "scratch"


class Init(NamedTuple):
    """Where fine-tuning starts: params, or None for random ones per seed; and what is known of their training."""

    params: Params | None
    source: dict[str, Any]


def resolve(config: FinetuneConfig, given: Collection[str] = ()) -> tuple[FinetuneConfig, Init]:
    """Loads the checkpoint that --init names; the network and its input are then the checkpoint's.

    Args:
      given: names of the fields that the user chose himself; those must not contradict the checkpoint.

    Raises:
      InputError: init is neither scratch nor a finished run, learned from the target, or contradicts `given`.
    """
    if config.init == SCRATCH:
        return config, Init(None, {"method": SCRATCH, "order": None, "sources": [], "inner_steps": None})
    saved = read_config(config.init)
    names = {field.name for field in dataclasses.fields(MetaTrainConfig)} - set(HOW)
    missing = sorted((names | {"method"}) - saved.keys())
    if missing:
        raise InputError(f"{config.init}: config.json lacks {', '.join(missing)}, expected what meta_train.py wrote.")
    values = {name: tuple(saved[name]) if isinstance(saved[name], list) else saved[name] for name in names}
    try:
        train_config = MetaTrainConfig(**values)
    except TypeError as error:
        raise InputError(f"{config.init}: config.json has a value of a wrong type: {error}.") from error
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
    # Shapes alone: initial parameters would be computed only to be replaced.
    like = jax.eval_shape(lambda: make_trainer(train_config).state)
    with Checkpoints(config.init, read_only=True) as checkpoints:
        best = checkpoints.best()
        state = checkpoints.restore(best, like)
    source = {name: saved[name] for name in ("method", "order", "sources", "inner_steps")}
    if train_config.algorithm == "reptile":
        source["order"] = None
    source |= {"init_episode": best, "init_seed": train_config.seed}
    learner = make_learner(train_config, cross_entropy(make_model(train_config).apply))
    # Learned inner rates stay behind: fine-tuning has an optimizer of its own.
    return dataclasses.replace(config, **model), Init(learner.params(state.meta_params), source)
