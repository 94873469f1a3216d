"""The outer loop: many episodes per dispatch, drawn, adapted and applied on the device.

  theta <- Adam(theta, d/dtheta mean_i L_query,i(theta_i'))          (MetaSER's eq. 5)

Episode e's randomness is fold_in(key, e), so a run that is stopped and continued draws the same episodes. An update
that is not finite is never applied: the loop stops before it, or leaves it out and counts it.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from metaser_jax.meta.execution import map_some
from metaser_jax.meta.learner import Learner, MetaParams
from metaser_jax.models.losses import LossFn
from metaser_jax.types import Episode, Params

# Updates that are left out one after another, with skip_nonfinite, before there is no use in going on.
MOST_SKIPPED = 20

SampleFn = Callable[[jax.Array], Episode]


class TrainState(NamedTuple):
    """State of a run between episodes, and content of its checkpoint.

    Attributes:
      meta_params: what is learned.
      opt_state: of the outer optimizer.
      key: PRNG key of the run's episodes; stays the same.
      episode: scalar int32, episodes done.
      skipped: scalar int32, those whose update was not finite and was left out.
      skipped_in_a_row: scalar int32, how many of them were the last.
    """

    meta_params: MetaParams
    opt_state: optax.OptState
    key: jax.Array
    episode: jax.Array
    skipped: jax.Array
    skipped_in_a_row: jax.Array


class IntervalInfo(NamedTuple):
    """Diagnostics of an interval of episodes; scalars, means over tasks.

    Attributes:
      support_loss, query_loss_before, query_loss_after: of the interval's last episode, before its update: the support
        loss before adaptation, and the query loss before and after it.
      query_loss_mean: query loss after adaptation, mean over the episodes of the interval whose update is finite.
      finite: bool, whether the updates of all of them are.
    """

    support_loss: jax.Array
    query_loss_before: jax.Array
    query_loss_after: jax.Array
    query_loss_mean: jax.Array
    finite: jax.Array


def init_state(learner: Learner, params: Params, optimizer: optax.GradientTransformation, key: jax.Array) -> TrainState:
    """Return the state before the first episode."""
    meta_params = learner.init(params)
    zero = jnp.zeros((), jnp.int32)
    return TrainState(meta_params, optimizer.init(meta_params), key, zero, zero, zero)


def run_interval(
    learner: Learner,
    query_loss: Callable[[Params, Episode], jax.Array],
    optimizer: optax.GradientTransformation,
    sample: SampleFn,
    state: TrainState,
    episodes: jax.Array,
    *,
    skip_nonfinite: bool = False,
) -> tuple[TrainState, IntervalInfo]:
    """Train for `episodes` episodes. To be jitted; the number is traced, so intervals of any length share a program.

    Args:
      learner: the algorithm.
      query_loss: (params, episode) -> scalar, mean over its tasks: the query loss before adaptation.
      optimizer: the outer one.
      sample: key -> Episode.
      state: where to go on from.
      episodes: scalar int32, at least 1.
      skip_nonfinite: leave updates out whose query loss or gradient is not finite, and count them in the state. Else
        the loop stops before the first of them: state.episode is then its number, and info.finite False. After
        MOST_SKIPPED in a row it stops in either case.
    """

    def unfinished(carry):
        i, state, _, ok, _ = carry
        return (i < episodes) & (ok | (skip_nonfinite & (state.skipped_in_a_row < MOST_SKIPPED)))

    def body(carry):
        i, state, total, ok, _ = carry
        episode = sample(jax.random.fold_in(state.key, state.episode))
        _, grads, info = learner.value_and_grad(state.meta_params, episode, state.episode)
        loss = jnp.mean(info.query_loss)
        # Costs a forward pass over the query sets, so only the interval's last episode has it.
        before = jax.lax.cond(
            i == episodes - 1,
            lambda: query_loss(learner.params(state.meta_params), episode),
            lambda: jnp.zeros_like(loss),
        )
        finite = jnp.isfinite(loss) & jnp.isfinite(optax.tree.norm(grads))
        updates, opt_state = optimizer.update(grads, state.opt_state, state.meta_params)
        updated = (optax.apply_updates(state.meta_params, updates), opt_state)
        kept = jax.tree.map(lambda new, old: jnp.where(finite, new, old), updated, (state.meta_params, state.opt_state))
        done = (finite | skip_nonfinite).astype(jnp.int32)
        left_out = done * ~finite
        in_a_row = (state.skipped_in_a_row + left_out) * left_out
        state = TrainState(*kept, state.key, state.episode + done, state.skipped + left_out, in_a_row)  # pyright: ignore[reportCallIssue]
        last = (jnp.mean(info.support_loss), before, loss)
        return i + 1, state, total + jnp.where(finite, loss, 0), ok & finite, last

    zero = jnp.zeros((), jax.tree.leaves(state.meta_params)[0].dtype)
    start = (jnp.int32(0), state, zero, jnp.bool_(True), (zero, zero, zero))
    skipped = state.skipped
    i, state, total, ok, last = jax.lax.while_loop(unfinished, body, start)
    return state, IntervalInfo(*last, query_loss_mean=total / (i - (state.skipped - skipped)), finite=ok)


def validation_loss(
    learner: Learner, loss_fn: LossFn, meta_params: MetaParams, episode: Episode, at_once: int = 1
) -> jax.Array:
    """Return query loss after adaptation of each of the episode's tasks, [task]. To be jitted.

    Args:
      learner, loss_fn, meta_params, episode: of the training.
      at_once: tasks computed at once. A CPU keeps one task's intermediates in its cache; an accelerator would be idle.
    """
    return map_some(lambda task: loss_fn(learner.adapt(meta_params, task.support), task.query), episode, at_once)
