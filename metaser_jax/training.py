"""The outer loop: many episodes per dispatch, drawn, adapted and applied on the device.

  theta <- Adam(theta, d/dtheta mean_i L_query,i(theta_i'))          (MetaSER's eq. 5)

Episode e's randomness is fold_in(key, e), so a run that is stopped and continued draws the same episodes.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaser_jax.losses import LossFn
from metaser_jax.meta.learner import Learner, MetaParams
from metaser_jax.types import Episode, Params

SampleFn = Callable[[jax.Array], Episode]


class TrainState(NamedTuple):
    """What a run carries from episode to episode, and what its checkpoint holds.

    Attributes:
      meta_params: what is learned.
      opt_state: of the outer optimizer.
      episode: scalar int32, episodes done.
    """

    meta_params: MetaParams
    opt_state: optax.OptState
    episode: jax.Array


class IntervalInfo(NamedTuple):
    """Diagnostics of an interval of episodes; scalars, means over tasks.

    Attributes:
      support_loss, query_loss_before, query_loss_after: of the interval's last episode, before its update: the support
        loss before adaptation, and the query loss before and after it.
      query_loss_mean: query loss after adaptation, mean over all episodes of the interval.
    """

    support_loss: jax.Array
    query_loss_before: jax.Array
    query_loss_after: jax.Array
    query_loss_mean: jax.Array


def init_state(learner: Learner, params: Params, optimizer: optax.GradientTransformation) -> TrainState:
    """The state before the first episode."""
    meta_params = learner.init(params)
    return TrainState(meta_params, optimizer.init(meta_params), jnp.zeros((), jnp.int32))


def run_interval(
    learner: Learner,
    loss_fn: LossFn,
    optimizer: optax.GradientTransformation,
    sample: SampleFn,
    key: jax.Array,
    state: TrainState,
    episodes: jax.Array,
) -> tuple[TrainState, IntervalInfo]:
    """Trains for `episodes` episodes. To be jitted; the number is traced, so intervals of any length share a program.

    Args:
      learner: the algorithm.
      loss_fn: (params, batch) -> scalar, for the query loss before adaptation.
      optimizer: the outer one.
      sample: key -> Episode.
      key: the run's key.
      state: where to go on from.
      episodes: scalar int32, at least 1.
    """

    def body(i, carry):
        state, total, _ = carry
        episode = sample(jax.random.fold_in(key, state.episode))
        _, grads, info = learner.value_and_grad(state.meta_params, episode, state.episode)
        loss = jnp.mean(info.query_loss)
        # Costs a forward pass over the query sets, so only the interval's last episode has it.
        before = jax.lax.cond(
            i == episodes - 1,
            lambda: jnp.mean(jax.vmap(loss_fn, in_axes=(None, 0))(learner.params(state.meta_params), episode.query)),
            lambda: jnp.zeros_like(loss),
        )
        updates, opt_state = optimizer.update(grads, state.opt_state, state.meta_params)
        state = TrainState(optax.apply_updates(state.meta_params, updates), opt_state, state.episode + 1)
        return state, total + loss, (jnp.mean(info.support_loss), before, loss)

    zero = jnp.zeros((), jax.tree.leaves(state.meta_params)[0].dtype)
    state, total, last = jax.lax.fori_loop(0, episodes, body, (state, zero, (zero, zero, zero)))
    return state, IntervalInfo(*last, query_loss_mean=total / episodes)


def validation_loss(learner: Learner, loss_fn: LossFn, meta_params: MetaParams, episode: Episode) -> jax.Array:
    """Query loss after adaptation, mean over the episode's tasks. To be jitted."""

    def task(support, query):
        return loss_fn(learner.adapt(meta_params, support), query)

    # One task after another: there may be many, and their residuals would not fit at once with the paper's 125 shots.
    return jnp.mean(jax.lax.map(lambda t: task(*t), tuple(episode)))
