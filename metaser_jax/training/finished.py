"""Runs that are there: what they are, and the parameters of a pre-training, from which meta-training may start."""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np

from metaser_jax import cli
from metaser_jax.errors import InputError
from metaser_jax.results.run_dir import CONFIG, read_config
from metaser_jax.specs import MetaTrainSpec, ModelSpec, PretrainSpec, how_fields
from metaser_jax.specs.training import SourcesSpec
from metaser_jax.training.checkpoints import Checkpoints, checksum
from metaser_jax.training.pretrain import make_state, progress
from metaser_jax.training.trainer import no_utterances
from metaser_jax.types import Params

SpecT = TypeVar("SpecT", bound=SourcesSpec)

# What runs of earlier versions do not say; the defaults are what they did.
ADDED = {"network", "members", "features", "track_groups", "tasks_by", "query_speakers", "shots_mix", "class_shift"}
ADDED |= {"corpus_shift", "feature_dropout", "feature_noise", "prototype_scale", "meta_schedule", "label_smoothing"}
ADDED |= {"learn_from", "embedding_dim", "embeddings_name"}


class Pretrained(NamedTuple):
    """Start of a meta-training: parameters on the host, and their digest."""

    params: Params
    digest: str


def require_fields(run_dir: str, saved: Collection[str], names: Collection[str], program: str) -> None:
    """Raise an InputError unless config.json of a run has these fields."""
    missing = sorted({*names} - {*saved})
    if missing:
        raise InputError(f"{run_dir}: {CONFIG} lacks {', '.join(missing)}, expected what {program} wrote.")


def spec_of(kind: type[SpecT], run_dir: str, saved: Mapping[str, Any], program: str) -> SpecT:
    """Return the specification of a run.

    Args:
      kind: the class of its specification.
      run_dir: for messages.
      saved: its config.json.
      program: that wrote it, for messages.

    Raises:
      InputError: a field is missing, or is no such value.
    """
    fields = {field.name: field.default for field in dataclasses.fields(kind)}
    names = fields.keys() - {*how_fields(kind)}
    known: dict[str, Any] = {name: fields[name] for name in names & ADDED} | dict(saved)
    require_fields(run_dir, known, names, program)
    values: dict[str, Any] = {n: tuple(known[n]) if isinstance(known[n], list) else known[n] for n in names}
    try:
        return kind(**values)
    except TypeError as error:
        raise InputError(f"{run_dir}: {CONFIG} has a value of a wrong type: {error}.") from error


def best_params(spec: PretrainSpec, run_dir: str, checkpoints: Checkpoints) -> tuple[Params, int]:
    """Return the best parameters of a pre-training's last stage, and their epoch.

    Raises:
      InputError: it has not finished.
    """
    # The latest: every checkpoint has the best parameters of its stage, and the last stage's are those that count.
    latest, where = checkpoints.latest(), "its start"
    if latest is not None:
        state = checkpoints.restore(latest, jax.eval_shape(lambda: make_state(spec, no_utterances(spec))))
        at = progress(spec, state)
        if at.finished:
            return state.best_params, at.total_best_epoch
        where = f"epoch {at.epoch} of {' and '.join(at.sources)}"
    raise InputError(
        f"{run_dir} has not finished: its last checkpoint is at {where}. Run {cli.program('pretrain')} again with the "
        "same flags; it goes on from there."
    )


def pretrained(run_dir: str, spec: MetaTrainSpec) -> Pretrained | None:
    """Return the parameters that a meta-training starts from; None where no run is named.

    Args:
      run_dir: of a pre-training, or "".
      spec: of the meta-training.

    Raises:
      InputError: it is no finished pre-training of the same network and input, on parts of the same sources.
    """
    if not run_dir:
        return None
    saved = read_config(run_dir)
    require_fields(run_dir, saved, {"method", "batch_size"}, cli.program("pretrain"))
    trained = spec_of(PretrainSpec, run_dir, saved, cli.program("pretrain"))
    same = dataclasses.asdict(ModelSpec.of(trained)) | {"split_seed": trained.split_seed}
    for name, value in same.items():
        if getattr(spec, name) != value:
            raise InputError(
                f"--{name}: got {getattr(spec, name)!r}, but --init={run_dir} was trained with {value!r}. Give the "
                "same, or pre-train another run."
            )
    others = [name for name in trained.sources if name not in spec.sources]
    if others:
        raise InputError(
            f"--init={run_dir} has learned from {', '.join(others)}, which is not among --sources="
            f"{','.join(spec.sources)}. Add it, or pre-train another run."
        )
    with Checkpoints(run_dir, read_only=True) as checkpoints:
        params = jax.tree.map(np.asarray, best_params(trained, run_dir, checkpoints)[0])
    return Pretrained(params, digest(params))


def digest(params: Params) -> str:
    """Return a digest of parameters' names, types and values."""
    return checksum(params, lambda leaf: f"{leaf.dtype} {leaf.shape}")
