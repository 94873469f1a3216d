"""The compiled programs of adaptation: of many runs, and of what the LSTM layers make of a corpus."""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from metaser_jax.devices import parallel
from metaser_jax.devices.many_runs import Plan, over_runs
from metaser_jax.loops.finetuning import FinetuneInfo, finetune
from metaser_jax.loops.indexed_rows import Rows, apply_to_rows
from metaser_jax.models.classifier import Network, make_network, take_head, trained_logits, with_head
from metaser_jax.models.losses import cross_entropy
from metaser_jax.specs import INNER, LEARNER, FinetuneSpec, MetaTrainSpec, OptimizerSpec
from metaser_jax.specs.algorithms import ALGORITHMS
from metaser_jax.training.optimizers import make_optimizer
from metaser_jax.training.trainer import init_params, make_learner
from metaser_jax.types import Augment, Batch, Params


class Run(NamedTuple):
    """An adaptation as the program takes it; all zero is a run that has nothing to do.

    Attributes:
      params: where it starts; of a learner its meta-parameters.
      rates: of --optimizer=inner, the rate of each parameter; else None.
      seed: scalar uint32.
      train, valid, test: of the program's utterances; valid is None where nothing is validated on.
    """

    params: Params
    rates: Params | None
    seed: np.ndarray
    train: Rows
    valid: Rows | None
    test: Rows


Logits = Callable[[Params, jax.Array], jax.Array]
"""(params, x) -> logits."""

Program = Callable[[Run, jax.Array, jax.Array], tuple[jax.Array, FinetuneInfo, Params | None]]
"""(runs [run], x [m, ...], y [m]) -> (test logits [run, n_max, class], info [run], params [run] that were trained)."""


def on_features(spec: FinetuneSpec, augment: Augment | None) -> bool:
    """Return whether LSTM layers stay as they are and see nothing new: their features are computed once for all."""
    return spec.adapt == "head" and augment is None


def make_program(
    spec: FinetuneSpec,
    plan: Plan,
    augment: Augment | None = None,
    keep_params: bool = False,
    mesh: Mesh | None = None,
    learner: MetaTrainSpec | None = None,
) -> Program:
    """Return the program of a configuration; its params are None unless they are kept.

    Methods, amounts, folds and seeds share its compiled form, where their arrays are of the same sizes. `on_features`
    its x are features and the runs' params those of the dense layers. The mesh is over_runs'. With a learner, the runs
    adapt as it does.
    """
    if learner is not None:
        return _learner_program(learner, plan, keep_params, mesh)
    # Its updates are multiplied by the runs' rates; of members each has its own part of the loss's gradient.
    rates = OptimizerSpec(optimizer="sgd", lr=float(spec.members))
    own = dataclasses.replace(spec, lr=spec.lr * spec.members) if spec.optimizer == "sgd" else spec
    optimizer = make_optimizer(rates if spec.optimizer in (INNER, LEARNER) else own)
    part = "features" if on_features(spec, augment) else spec.adapt
    sizes = (spec.batch_size, spec.max_epochs, spec.patience)
    return _program(make_network(spec, spec.recurrence), part, optimizer, *sizes, augment, plan, keep_params, mesh)


@functools.cache
def _learner_program(spec: MetaTrainSpec, plan: Plan, keep_params: bool, mesh: Mesh | None) -> Program:
    model = make_network(spec, spec.recurrence)
    learner = make_learner(spec, cross_entropy(trained_logits(model)))

    def one_run(run: Run, x: jax.Array, y: jax.Array):
        there = jnp.arange(len(run.train.index)) < run.train.n
        support = Batch(x[run.train.index], y[run.train.index], there.astype(x.dtype))
        adapted = learner.adapt(run.params, support)
        none = run.train.n == 0
        params = jax.tree.map(lambda a, own: jnp.where(none, own, a), adapted, learner.params(run.params))
        steps = jnp.where(none, 0, spec.inner_steps if ALGORITHMS[spec.algorithm].has_steps else 0)
        info = FinetuneInfo(steps, steps, jnp.zeros((), x.dtype))
        return apply_to_rows(model.apply, params, x, run.test, plan.chunk), info, params if keep_params else None  # pyright: ignore[reportArgumentType]

    return jax.jit(over_runs(one_run, plan, mesh), compiler_options=parallel.compiler_options())


@functools.cache
def _program(
    model: Network,
    part: str,
    optimizer: optax.GradientTransformation,
    batch_size: int,
    max_epochs: int,
    patience: int,
    augment: Augment | None,
    plan: Plan,
    keep_params: bool,
    mesh: Mesh | None,
) -> Program:
    def one_run(run: Run, x: jax.Array, y: jax.Array):
        start, apply, trained = _adapted(model, part, run.params)
        rates = None if run.rates is None else _adapted(model, part, run.rates)[0]
        chunk = 0 if part == "features" else plan.chunk  # a head keeps little of an utterance
        tuned, info = finetune(
            cross_entropy(trained),
            start,
            seed_keys(run.seed)[1],
            Batch(x, y),
            run.train,
            run.valid,
            optimizer=optimizer,
            batch_size=batch_size,
            max_epochs=max_epochs,
            patience=patience,
            rates=rates,
            augment=augment,
            chunk=chunk,
        )
        return apply_to_rows(apply, tuned, x, run.test, chunk), info, tuned if keep_params else None

    return jax.jit(over_runs(one_run, plan, mesh), compiler_options=parallel.compiler_options())


def _adapted(model: Network, part: str, params: Params) -> tuple[Params, Logits, Logits]:
    """Return the parameters that training changes; and of these the network's logits, and those that it learns from."""
    if part == "features":
        head: Logits = functools.partial(model.apply, method="head")  # pyright: ignore[reportAssignmentType]
        return params, head, trained_logits(model, "head")
    apply: Logits = model.apply  # pyright: ignore[reportAssignmentType]
    trained = trained_logits(model)
    if part == "all":
        return params, apply, trained
    return (
        take_head(params),
        lambda head, x: apply(with_head(params, head), x),
        lambda head, x: trained(with_head(params, head), x),
    )


def seed_keys(seed: jax.Array) -> jax.Array:
    """Return a seed's keys: of its initial parameters, and of its training."""
    return jax.random.split(jax.random.key(seed))


@functools.cache
def make_random_params(model: Network) -> Callable[[int, np.ndarray], Params]:
    """Return the program (seed, x [n, time, coef]) -> a seed's initial parameters, as trainer.init_params."""
    return jax.jit(lambda seed, x: init_params(model, seed_keys(seed)[0], x))


@functools.cache
def make_features(model: Network, chunk: int) -> Callable[[Params, np.ndarray], jax.Array]:
    """Return the program (params, x [n, time, coef]) -> what the LSTM layers make of the utterances, [n, pooled].

    Args:
      model: the network.
      chunk: utterances computed at once.
    """

    def features(params: Params, x: jax.Array) -> jax.Array:
        everything = Rows(jnp.arange(len(x), dtype=jnp.int32), jnp.int32(len(x)))
        return apply_to_rows(functools.partial(model.apply, method="features"), params, x, everything, chunk)

    return jax.jit(features, compiler_options=parallel.compiler_options())
