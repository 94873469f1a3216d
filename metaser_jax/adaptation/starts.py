"""Where an adaptation starts: a run's checkpoint, or random parameters."""

import dataclasses
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import jax
import numpy as np

from metaser_jax.errors import InputError, check_choice
from metaser_jax.meta.algorithms import ALGORITHMS, methods
from metaser_jax.meta.last_layer import LastLayerStart
from metaser_jax.models.classifier import make_network, trained_logits
from metaser_jax.models.losses import cross_entropy
from metaser_jax.results.run_dir import CONFIG, read_config
from metaser_jax.specs import INNER, FinetuneSpec, MetaTrainSpec, ModelSpec, PretrainSpec, how_fields
from metaser_jax.training.checkpoints import Checkpoints
from metaser_jax.training.pretrain import progress
from metaser_jax.training.pretrainer import make_state
from metaser_jax.training.trainer import make_learner, make_trainer, no_utterances
from metaser_jax.types import Params

SCRATCH = "scratch"

# What runs of earlier versions do not say; the defaults are what they did.
_ADDED = {"network", "members", "features", "track_groups", "tasks_by", "query_speakers", "shots_mix", "class_shift"}
_ADDED |= {"class_shift_directions", "feature_dropout", "feature_noise"}


class Init(NamedTuple):
    """Where fine-tuning starts.

    Attributes:
      params: None is random ones per seed.
      source: what is known of their training.
      rates: the inner rate of each parameter, where they were learned with them; else None.
      last_layer_start: how the last layer is made of the drawn clips before any step, where that was learned; else
        None.
    """

    params: Params | None
    source: dict[str, Any]
    rates: Params | None = None
    last_layer_start: LastLayerStart | None = None


class _Kind(NamedTuple):
    """How the runs of a program are read.

    Attributes:
      spec: class of what the runs are.
      program: its name, for messages.
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
    start = meta_params.start if algorithm.starts_last_layer else None
    return Init(learner.params(meta_params), known, rates, start)


def _restore_pretrained(spec: PretrainSpec, run_dir: str, checkpoints: Checkpoints) -> Init:
    # The latest: every checkpoint has the best parameters of its stage, and the last stage's are those that count.
    latest = checkpoints.latest()
    state = (
        None
        if latest is None
        else checkpoints.restore(latest, jax.eval_shape(lambda: make_state(spec, no_utterances(spec))))
    )
    at = state and progress(spec, state)
    if not (at and at.finished):
        where = f"epoch {at.epoch} of {' and '.join(at.sources)}" if at else "its start"
        raise InputError(
            f"{run_dir} has not finished: its last checkpoint is at {where}. Run experiments/pretrain.py again "
            "with the same flags; it goes on from there."
        )
    return Init(state.best_params, {"order": None, "inner_steps": None, "init_episode": at.total_best_epoch})


_META_TRAINED = _Kind(MetaTrainSpec, "meta_train.py", _restore_meta_trained)
_PRETRAINED = _Kind(PretrainSpec, "pretrain.py", _restore_pretrained)


def _kinds() -> dict[str, _Kind]:
    """Return the kind of a run by the method in its config.json."""
    return dict.fromkeys(methods(), _META_TRAINED) | dict.fromkeys(("transser", "multiser"), _PRETRAINED)


def resolve(
    start: str, spec: FinetuneSpec, target: str | None = None, given: Collection[str] = ()
) -> tuple[FinetuneSpec, Init]:
    """Load what an adaptation starts from; the network and its input are then the checkpoint's.

    Args:
      start: a run directory, or SCRATCH.
      spec: of the adaptation.
      target: corpus that it adapts to, if it is one.
      given: names of the fields that the user chose himself; those must not contradict the checkpoint.

    Raises:
      InputError: start is neither scratch nor a finished run, learned from the target, or contradicts `given`; inner
        rates that are not those of SGD, for --optimizer=inner.
    """
    if start == SCRATCH:
        return spec, Init(None, {"method": SCRATCH, "order": None, "sources": [], "inner_steps": None})
    kind, trained, method = _read(start)
    model = dataclasses.asdict(ModelSpec.of(trained))
    for name in sorted(set(given) & model.keys()):
        if getattr(spec, name) != model[name]:
            raise InputError(
                f"--{name}: got {getattr(spec, name)!r}, but {start} was trained with {model[name]!r}. Leave "
                "the flag out (the network and its input are the run's), or train another run."
            )
    if target in trained.sources:
        raise InputError(
            f"--target={target} is one of the sources of {start} ({', '.join(trained.sources)}): "
            "its test part would be scored by a model that has learned from it. Give a corpus that is not among them."
        )
    rates = isinstance(trained, MetaTrainSpec) and ALGORITHMS[trained.algorithm].learned_rates
    if spec.optimizer == INNER and rates == "parameter":
        # Rates of Adam's updates, say, are of another size than those of gradients.
        got = trained.inner_optimizer
        if got != "sgd":
            raise InputError(
                f"--optimizer={INNER}: {start} has learned its rates with --inner_optimizer={got}, expected sgd. "
                "Give another --optimizer, or train another run."
            )
    with Checkpoints(start, read_only=True) as checkpoints:
        init = kind.restore(trained, start, checkpoints)
    source = {"method": method, "sources": list(trained.sources)} | init.source | {"init_seed": trained.seed}
    return dataclasses.replace(spec, **model), init._replace(source=source)


def _read(run_dir: str) -> tuple[_Kind, MetaTrainSpec | PretrainSpec, str]:
    """Read from config.json of a run the kind of run, what it is, and its method."""
    of_any = (field for spec in (MetaTrainSpec, PretrainSpec) for field in dataclasses.fields(spec))
    saved: dict[str, Any] = {field.name: field.default for field in of_any if field.name in _ADDED}
    saved |= read_config(run_dir)

    def check(names: set[str], program: str) -> None:
        missing = sorted(names - saved.keys())
        if missing:
            raise InputError(f"{run_dir}: {CONFIG} lacks {', '.join(missing)}, expected what {program} wrote.")

    check({"method", "sources"}, "meta_train.py or pretrain.py")
    kinds = _kinds()
    kind = kinds[check_choice(f"{run_dir}: method in {CONFIG}", str(saved["method"]), kinds)]
    names = {field.name for field in dataclasses.fields(kind.spec)} - set(how_fields(kind.spec))
    check(names, kind.program)
    values: dict[str, Any] = {
        name: tuple(saved[name]) if isinstance(saved[name], list) else saved[name] for name in names
    }
    try:
        return kind, kind.spec(**values), saved["method"]
    except TypeError as error:
        raise InputError(f"{run_dir}: {CONFIG} has a value of a wrong type: {error}.") from error
