"""Bilevel optimisation of the gradient-based learners: adapt to the support set, differentiate the query loss.

  min_phi  1/T sum_i L_query,i(theta_i'),     theta_i' = inner_loop(theta(phi), support_i)

phi are the meta-parameters. The algorithms (maml.py, anil.py, learned_rates.py, proto_maml.py, cautious.py) differ in
what phi holds, where the inner loop starts, which parameters are adapted, and how an update is scaled: a Rule. Order,
inner optimizer, minibatches, multi-step loss and execution are options that all of them take: InnerOptions.

References: Finn, Abbeel, Levine, "Model-agnostic meta-learning for fast adaptation of deep networks", ICML 2017;
Antoniou, Edwards, Storkey, "How to train your MAML", ICLR 2019, for the multi-step loss and the annealed order.

NOTE: the mean over tasks, not the papers' sum: the meta learning rate then does not depend on the number of tasks.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Literal, NamedTuple, ParamSpec, TypedDict, get_args

import jax
import jax.numpy as jnp
import optax

from metaser_jax.errors import InputError, check_choice
from metaser_jax.meta.derivatives import Derivatives, derivatives
from metaser_jax.meta.execution import AUTO, Execution, mean_over_tasks
from metaser_jax.meta.inner_loop import InnerResult, check_differentiable, check_steps, inner_loop, inner_sgd
from metaser_jax.meta.learner import Info, Learner, MetaParams, make_learner
from metaser_jax.models.losses import LossFn
from metaser_jax.types import Batch, Episode, Params

Order = Literal["first", "second", "annealed"]
P = ParamSpec("P")


class InnerOptions(TypedDict, total=False):
    """Options of the inner loop: keywords of every learner that differentiates it.

    Attributes:
      inner_optimizer: any optax transformation, instead of SGD; where rates are learned, they multiply its updates, so
        give it a learning rate of 1.
      inner_batch_size: utterances of an inner step, a divisor of the support set; None takes the whole set.
      anneal_episodes: of order "annealed": episodes of first order before second order begins.
      multi_step_episodes: MAML++'s multi-step loss: the query loss after every inner step counts, with weights that go
        from equal ones in the first episode to the last step alone after this many; 0 takes the last step alone.
      execution: how it is computed; the value does not depend on it.
    """

    inner_optimizer: optax.GradientTransformation | None
    inner_batch_size: int | None
    anneal_episodes: int
    multi_step_episodes: int
    execution: Execution


def with_inner_options(make: Callable[P, Learner]) -> Callable[P, Learner]:
    """Add the keywords of InnerOptions to the signature of a function that takes them, for help() and editors."""
    signature = inspect.signature(make)
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    options = [p for p in inspect.signature(bilevel).parameters.values() if p.name in InnerOptions.__annotations__]
    make.__signature__ = signature.replace(parameters=own + options)  # pyright: ignore[reportFunctionMemberAccess]
    return make


class Split(NamedTuple):
    """Parameters divided into those that the inner loop adapts and the others.

    Attributes:
      adapted: what the inner loop changes; any pytree.
      fixed: the others.
      join: (adapted, fixed) -> the model's parameters.
    """

    adapted: Params
    fixed: Params
    join: Callable[[Params, Params], Params]


class Rule(NamedTuple):
    """The equations of one algorithm.

    Attributes:
      init: params -> meta_params.
      params: meta_params -> params.
      start: (meta_params, support) -> params that the inner loop starts with; None: those of `params`.
      split: params -> which of them are adapted; all by default.
      scale: (meta_params, updates, step) -> the updates times the rates that are learned; None: none are.
      finish: (meta_params, adapted, support) -> what of the adapted parameters is kept; None: all of them.
    """

    init: Callable[[Params], MetaParams] = lambda params: params
    params: Callable[[MetaParams], Params] = lambda meta_params: meta_params
    start: Callable[[MetaParams, Batch], Params] | None = None
    split: Callable[[Params], Split] = lambda params: Split(params, (), lambda adapted, fixed: adapted)
    scale: Callable[[MetaParams, Params, jax.Array], Params] | None = None
    finish: Callable[[MetaParams, Params, Batch], Params] | None = None


def bilevel(
    loss_fn: LossFn,
    rule: Rule,
    inner_lr: float | None,
    inner_steps: int,
    order: Order,
    *,
    inner_optimizer: optax.GradientTransformation | None = None,
    inner_batch_size: int | None = None,
    anneal_episodes: int = 0,
    multi_step_episodes: int = 0,
    execution: Execution = AUTO,
) -> Learner:
    """Make a learner by differentiating through the inner loop.

    Args:
      loss_fn: (params, batch) -> scalar.
      rule: the algorithm.
      inner_lr: step size of the inner SGD, INNER_LR by default; of no effect where rates are learned.
      inner_steps: number of inner steps.
      order: "second" differentiates through the inner steps; "first" treats the inner gradients as constants;
        "annealed" is first for anneal_episodes episodes, then second.
      inner_optimizer, inner_batch_size, anneal_episodes, multi_step_episodes, execution: see InnerOptions.

    Raises:
      InputError: an unknown or impossible value.
    """
    check_choice("order", order, get_args(Order))
    check_steps(inner_steps, inner_batch_size)
    if (order == "annealed") != (anneal_episodes > 0):
        raise InputError(
            f"anneal_episodes: got {anneal_episodes} with order {order!r}, expected 1 or more with order 'annealed', "
            "and 0 otherwise."
        )
    if multi_step_episodes < 0:
        raise InputError(f"multi_step_episodes: got {multi_step_episodes}, expected 0 (off) or more.")
    optimizer = inner_sgd(inner_lr, inner_optimizer) if rule.scale is None else inner_optimizer or optax.sgd(1.0)

    def run_inner(
        execution: Execution, meta_params: MetaParams, support: Batch, *, first_order: bool, keep_path: bool = False
    ) -> tuple[InnerResult, Split, Derivatives]:
        params = rule.params(meta_params) if rule.start is None else rule.start(meta_params, support)
        split = rule.split(params)
        if inner_optimizer is not None and not first_order:
            check_differentiable(inner_optimizer, split.adapted)
        functions = derivatives(
            lambda adapted, fixed, batch: loss_fn(split.join(adapted, fixed), batch),
            execution.resolve(inner_steps, inner_batch_size or support.y.shape[0]),
        )
        result = inner_loop(
            functions.value_and_grad,
            split.adapted,
            split.fixed,
            support,
            optimizer=optimizer,
            steps=inner_steps,
            first_order=first_order,
            batch_size=inner_batch_size,
            scale=None if rule.scale is None else functools.partial(rule.scale, meta_params),
            keep_path=keep_path,
        )
        if rule.finish is not None:
            finish = rule.finish
            kept = jax.vmap(lambda adapted: finish(meta_params, adapted, support))(result.path) if keep_path else None
            result = result._replace(adapted=finish(meta_params, result.adapted, support), path=kept)
        return result, split, functions

    def task_loss(
        meta_params: MetaParams, task: Episode, execution: Execution, first_order: bool, weights: jax.Array | None
    ) -> tuple[jax.Array, Info]:
        """Return the query loss after the last inner step, or with weights the sum of those after each."""
        keep_path = weights is not None
        result, split, functions = run_inner(
            execution, meta_params, task.support, first_order=first_order, keep_path=keep_path
        )
        if weights is None:
            loss = functions.loss(result.adapted, split.fixed, task.query)
            return loss, Info(result.losses[0], loss)
        losses = jax.lax.map(lambda adapted: functions.loss(adapted, split.fixed, task.query), result.path)
        return weights.astype(losses.dtype) @ losses, Info(result.losses[0], losses[-1])

    def of_order(
        first_order: bool, execution: Execution, meta_params: MetaParams, episode: Episode, step: jax.Array | int
    ) -> tuple[jax.Array, MetaParams, Info]:
        def of_episode(weights: jax.Array | None) -> tuple[jax.Array, MetaParams, Info]:
            def of_task(task: Episode):
                (loss, info), grads = jax.value_and_grad(task_loss, has_aux=True)(
                    meta_params, task, execution, first_order, weights
                )
                return loss, grads, info

            return mean_over_tasks(of_task, episode, execution.over_tasks)

        if multi_step_episodes == 0 or inner_steps == 1:
            return of_episode(None)
        return jax.lax.cond(
            step < multi_step_episodes,
            lambda: of_episode(multi_step_weights(inner_steps, multi_step_episodes, step)),
            lambda: of_episode(None),
        )

    def value_and_grad(
        execution: Execution, meta_params: MetaParams, episode: Episode, step: jax.Array | int
    ) -> tuple[jax.Array, MetaParams, Info]:
        if order != "annealed":
            return of_order(order == "first", execution, meta_params, episode, step)
        return jax.lax.cond(
            step < anneal_episodes,
            lambda: of_order(True, execution, meta_params, episode, step),
            lambda: of_order(False, execution, meta_params, episode, step),
        )

    def adapt(execution: Execution, meta_params: MetaParams, support: Batch) -> Params:
        result, split, _ = run_inner(execution, meta_params, support, first_order=order == "first")
        return split.join(result.adapted, split.fixed)

    return make_learner(loss_fn, execution, value_and_grad, adapt, init=rule.init, params=rule.params)


def multi_step_weights(steps: int, episodes: int, step: jax.Array | int) -> jax.Array:
    """Return MAML++'s weights of the query losses after each inner step, [steps] float32, which sum to one.

    Args:
      steps: inner steps.
      episodes: episodes after which the last step alone counts.
      step: episodes done.

    NOTE: the earlier steps' weights go to zero linearly; the authors' code stops them at 0.03 / steps.
    """
    left = jnp.maximum(1 - jnp.asarray(step, jnp.float32) / episodes, 0)
    weights = jnp.full(steps, left / steps, jnp.float32)
    return weights.at[-1].set(1 - left * (steps - 1) / steps)
