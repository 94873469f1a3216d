"""Which task of an episode is not finite: each is computed again, alone."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import optax

from metaser_jax import episodes
from metaser_jax.bank import Bank
from metaser_jax.meta.learner import Learner
from metaser_jax.training import TrainState

_MOST = 5


def diagnose(
    learner: Learner, source: Bank, shape: dict[str, int], state: TrainState, corpora: Sequence[str]
) -> list[str]:
    """What is not finite in the episode that comes after the state.

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
    lines = []
    for task in np.flatnonzero(~np.isfinite(values).all(axis=0)):
        named = zip(("support loss", "query loss after adaptation", "norm of the gradient"), values, strict=True)
        said = ", ".join(f"{name} {value[task]:.4g}" for name, value in named)
        lines.append(f"task {task} ({corpora[corpus[task]]}): {said}")
    return lines if len(lines) <= _MOST else [*lines[:_MOST], f"and {len(lines) - _MOST} tasks more"]
