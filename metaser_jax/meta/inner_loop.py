"""Adaptation to one task: gradient steps on its support set.

  theta_0 = theta,   theta_{j+1} = theta_j - alpha * grad L_support(theta_j)        (MetaSER's eq. 3 for one step)

Differentiating through the steps gives the Hessian of the support loss in the meta-gradient; `first_order` treats the
inner gradients as constants, which drops it (Finn et al., 2017, section 5.2).
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.core import Tracer

from metaser_jax.errors import InputError
from metaser_jax.types import Batch, Params

INNER_LR = 2e-4
"""Step size of the inner SGD where none is given."""


class InnerResult(NamedTuple):
    """Result of the inner loop.

    Attributes:
      adapted: the parameters after the last step.
      losses: [steps], the support loss before each step.
      path: the parameters after each step, stacked, or None.
    """

    adapted: Params
    losses: jax.Array
    path: Params | None


def check_steps(inner_steps: int, inner_batch_size: int | None) -> None:
    """Raise an InputError unless there is at least one inner step, of at least one utterance."""
    if inner_steps < 1:
        raise InputError(f"inner_steps: got {inner_steps}, expected 1 or more.")
    if inner_batch_size is not None and inner_batch_size < 1:
        raise InputError(f"inner_batch_size: got {inner_batch_size}, expected None (the whole set) or 1 or more.")


def inner_sgd(
    inner_lr: float | jax.Array | None, inner_optimizer: optax.GradientTransformation | None
) -> optax.GradientTransformation:
    """Return the inner optimizer: the one given, or SGD at inner_lr.

    Raises:
      InputError: both were given, of which one would be ignored.
    """
    if inner_optimizer is None:
        return optax.sgd(INNER_LR if inner_lr is None else inner_lr)
    if inner_lr is not None:
        raise InputError(
            f"inner_lr: got {inner_lr} beside an inner_optimizer, which has a rate of its own; expected one of the two."
        )
    return inner_optimizer


def check_differentiable(optimizer: optax.GradientTransformation, params: Params) -> None:
    """Raise an InputError if the derivative of an update at a zero gradient, which second order needs, is not finite.

    Dead units and a last layer that begins at zero have such gradients; Adam's square root, and a norm to clip by, then
    make the meta-gradient NaN while the loss stays finite. An optimizer whose settings are traced is not looked into.

    Args:
      optimizer: the inner one.
      params: what it updates; their shapes and types alone count.
    """
    leaves, treedef = jax.tree.flatten(params)
    if not _finite_at_zero(optimizer, treedef, tuple((jnp.shape(leaf), jnp.result_type(leaf)) for leaf in leaves)):
        raise InputError(
            "inner_optimizer: its derivative at a gradient of zero is not finite, and second order needs it. Give adam "
            "and its kin eps_root, as optax.adam(rate, eps_root=1e-12); clip by optax.clip, not by the global norm; or "
            "take order='first'."
        )


@functools.lru_cache(maxsize=16)
def _finite_at_zero(optimizer: optax.GradientTransformation, treedef: Any, types: tuple[Any, ...]) -> bool:
    def probe() -> jax.Array:
        zeros = treedef.unflatten([jnp.zeros(shape, dtype) for shape, dtype in types])
        state = optimizer.init(zeros)
        updates, transposed = jax.vjp(lambda grads: optimizer.update(grads, state, zeros)[0], zeros)
        slopes = jax.tree.leaves(transposed(jax.tree.map(jnp.ones_like, updates)))
        return jnp.all(jnp.stack([jnp.all(jnp.isfinite(slope)) for slope in slopes]))

    with jax.ensure_compile_time_eval():
        finite = jax.jit(probe)()
    return isinstance(finite, Tracer) or bool(finite)


def minibatch(support: Batch, size: int | None, step: jax.Array) -> Batch:
    """Return the utterances of an inner step: all, or the step-th part of the set.

    After the last part comes the first again. A part takes every (n / size)-th utterance. Support sets are drawn in
    random order and grouped by class, so this is a random draw, balanced over the classes where n / size divides the
    shots.

    Raises:
      InputError: size does not divide n.
    """
    n = support.y.shape[0]
    if size is None or size == n:
        return support
    if n % size:
        divisors = ", ".join(str(d) for d in range(1, n + 1) if n % d == 0)
        raise InputError(f"inner_batch_size: got {size}, expected a divisor of the support set's {n}: {divisors}.")
    parts = n // size

    def part(array):
        return jax.lax.dynamic_index_in_dim(array.reshape(size, parts, *array.shape[1:]), step % parts, 1, False)

    return jax.tree.map(part, support)


def inner_loop(
    value_and_grad: Callable[[Params, Params, Batch], tuple[jax.Array, Params]],
    adapted: Params,
    fixed: Params,
    support: Batch,
    *,
    optimizer: optax.GradientTransformation,
    steps: int,
    first_order: bool,
    batch_size: int | None = None,
    scale: Callable[[Params, jax.Array], Params] | None = None,
    keep_path: bool = False,
) -> InnerResult:
    """Adapt parameters by `steps` steps on the support set.

    Args:
      value_and_grad: (adapted, fixed, batch) -> (loss, gradient with respect to adapted).
      adapted: the parameters that are adapted: where to start.
      fixed: the others.
      support: x [n, time, coef], y [n].
      optimizer: makes updates of gradients; its state starts afresh for each task.
      steps: number of steps, at least 1.
      first_order: whether derivatives of the result ignore the inner gradients' own dependence on parameters.
      batch_size: utterances of a step, see `minibatch`; None takes all.
      scale: (updates, step) -> updates times learned rates.
      keep_path: whether to return the parameters after each step.
    """

    def one_step(carry, step):
        adapted, state = carry
        at = jax.lax.stop_gradient((adapted, fixed)) if first_order else (adapted, fixed)
        loss, grads = value_and_grad(*at, minibatch(support, batch_size, step))
        updates, state = optimizer.update(grads, state, adapted)
        if scale is not None:
            updates = scale(updates, step)
        adapted = optax.apply_updates(adapted, updates)
        return (adapted, state), (loss, adapted if keep_path else None)

    start = (adapted, optimizer.init(adapted))
    (adapted, _), (losses, path) = jax.lax.scan(one_step, start, jnp.arange(steps))
    return InnerResult(adapted, losses, path)
