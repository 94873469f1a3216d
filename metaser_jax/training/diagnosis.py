"""Which task of an episode is not finite: each is computed again, alone."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from metaser_jax.loops.meta_training import TrainState, validation_loss
from metaser_jax.meta.learner import Learner
from metaser_jax.models.losses import LossFn
from metaser_jax.sampling import episodes
from metaser_jax.sampling.bank import Bank

_MOST = 5


class Diagnosis(NamedTuple):
    """What is not finite, as lines for people; functions of a state on the host.

    Attributes:
      update: in the episode that comes after the state.
      validation: in the state's validation.
    """

    update: Callable[[TrainState], list[str]]
    validation: Callable[[TrainState], list[str]]


def diagnose(
    learner: Learner, source: Bank, shape: dict[str, Any], state: TrainState, corpora: Sequence[str]
) -> list[str]:
    """Return what is not finite in the episode that comes after the state.

    Args:
      learner: whose tasks are not divided among devices.
      source: what episodes are drawn from.
      shape: tasks, shots and queries of an episode.
      state: on the host.
      corpora: names of the bank's corpora.

    Returns:
      A line per task that is not finite, at most 5 and one that counts the others; none if each is finite alone.
    """

    def of_tasks(state: TrainState, source: Bank) -> tuple[Any, ...]:
        key = jax.random.fold_in(state.key, state.episode)

        def of_task(task):
            one = jax.tree.map(lambda a: a[None], task)
            _, grads, info = learner.value_and_grad(state.meta_params, one, state.episode)
            return info.support_loss[0], info.query_loss[0], optax.tree.norm(grads)

        values = jax.lax.map(of_task, episodes.sample(key, source, **shape))
        return values, episodes.corpora_of(key, source, shape["tasks"])

    values, corpus = jax.tree.map(np.asarray, jax.jit(of_tasks)(state, source))
    names = ("support loss", "query loss after adaptation", "norm of the gradient")
    return _lines(dict(zip(names, values, strict=True)), corpus, corpora)


def diagnose_validation(
    learner: Learner,
    loss_fn: LossFn,
    sources: Bank,
    held_out: Bank,
    shape: dict[str, Any],
    key: jax.Array,
    state: TrainState,
    corpora: Sequence[str],
) -> list[str]:
    """Return what is not finite in the state's validation.

    Args:
      learner, state, corpora: as of `diagnose`.
      loss_fn: of the queries.
      sources, held_out: what supports and queries are drawn from.
      shape: tasks, shots and queries of the validation episode.
      key: its key.

    Returns:
      As `diagnose`.
    """

    def of_tasks(state: TrainState, sources: Bank, held_out: Bank) -> tuple[jax.Array, jax.Array]:
        episode = episodes.sample(key, sources, **shape, query_bank=held_out)
        losses = validation_loss(learner, loss_fn, state.meta_params, episode)
        return losses, episodes.corpora_of(key, sources, shape["tasks"])

    losses, corpus = jax.tree.map(np.asarray, jax.jit(of_tasks)(state, sources, held_out))
    return _lines({"query loss after adaptation": losses}, corpus, corpora)


def _lines(values: dict[str, np.ndarray], corpus: np.ndarray, corpora: Sequence[str]) -> list[str]:
    lines = []
    for task in np.flatnonzero(~np.isfinite(list(values.values())).all(axis=0)):
        said = ", ".join(f"{name} {value[task]:.4g}" for name, value in values.items())
        lines.append(f"task {task} ({corpora[corpus[task]]}): {said}")
    return lines if len(lines) <= _MOST else [*lines[:_MOST], f"and {len(lines) - _MOST} tasks more"]
