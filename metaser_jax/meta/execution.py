"""Execution: how a meta-gradient is computed, which changes its speed and memory and not its value.

The defaults are those of the platform that a program is lowered for, whatever it is traced on. A CPU's were measured
(experiments/benchmarks/README.md); those of others were compiled for their memory and not run.
"""

import functools
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from metaser_jax.errors import InputError, check_choice
from metaser_jax.models.losses import LossFn, MeanLoss
from metaser_jax.types import Batch, Episode

OVER_TASKS = ("scan", "vmap")
HVP = ("forward_over_reverse", "reverse_over_reverse")
RESIDUALS = ("keep", "recompute")
# Utterances. On a CPU a chunk's intermediates stay in the cache; elsewhere 32 tasks of 125 shots fit an H100.
CPU_CHUNK, CHUNK_ELSEWHERE = 20, 128


class Execution(NamedTuple):
    """Options of the computation; None takes the default.

    Attributes:
      over_tasks: "vmap" computes all tasks at once; "scan" one after another, which keeps one task's residuals at a
        time. Default: scan on a CPU, where they then stay in the cache; vmap elsewhere.
      chunk: utterances whose gradient is computed at once; larger sets are gone through in turn and averaged. 0: all.
        Only a loss that is marked as a mean over utterances (`mean_loss`, `cross_entropy`) may have chunks, which
        change its value by rounding alone. Default for such a loss: 20 on a CPU, 128 elsewhere; for others all.
      hvp: the Hessian-vector product of second order: "forward_over_reverse" differentiates the gradient forward (mixed
        mode); "reverse_over_reverse" lets jax.grad differentiate the whole inner loop, the textbook's way. Default:
        forward_over_reverse.
      residuals: what the Hessian-vector product finds again of the inner gradient: "keep" stores it, "recompute" runs
        it again from the parameters, so that memory grows with neither the inner steps nor the support set. Default:
        keep for one inner step on one chunk, recompute for more.
    """

    over_tasks: Literal["scan", "vmap"] | None = None
    chunk: int | None = None
    hvp: Literal["forward_over_reverse", "reverse_over_reverse"] | None = None
    residuals: Literal["keep", "recompute"] | None = None

    def checked(self, loss_fn: LossFn) -> "Execution":
        """Return these options for a loss; one that is not marked as a mean has no chunks.

        Raises:
          InputError: an unknown value; chunks for a loss that may not have them.
        """
        for name, choices in (("over_tasks", OVER_TASKS), ("hvp", HVP), ("residuals", RESIDUALS)):
            if getattr(self, name) is not None:
                check_choice(name, getattr(self, name), choices)
        if self.chunk is not None and self.chunk < 0:
            raise InputError(f"chunk: got {self.chunk}, expected 0 (all at once) or a number of utterances.")
        if isinstance(loss_fn, MeanLoss):
            return self
        if self.chunk:
            raise InputError(
                f"chunk: got {self.chunk} with a loss that is not marked as a mean over utterances, expected None or "
                "0. If each utterance's loss depends on that utterance alone, make the loss by metaser_jax.mean_loss."
            )
        return self._replace(chunk=0)

    def on(self, platform: str) -> "Execution":
        """Return these options with what depends on the platform, jax's name of it, filled in."""
        cpu = platform == "cpu"
        return self._replace(
            over_tasks=self.over_tasks or ("scan" if cpu else "vmap"),
            chunk=(CPU_CHUNK if cpu else CHUNK_ELSEWHERE) if self.chunk is None else self.chunk,
        )

    def resolve(self, inner_steps: int, utterances: int) -> "Execution":
        """Return these options, `on` a platform, with the other defaults filled in.

        Args:
          inner_steps: of the learner.
          utterances: of a task's inner step.
        """
        one_chunk = self.chunk == 0 or utterances <= (self.chunk or 0)
        return self._replace(
            hvp=self.hvp or "forward_over_reverse",
            residuals=self.residuals or ("keep" if inner_steps == 1 and one_chunk else "recompute"),
        )


AUTO = Execution()
"""Every option at its default."""


def on_its_platform(function: Callable[..., Any], execution: Execution, *args: Any) -> Any:
    """Call function(execution, *args) with the defaults of the platform that it is lowered for.

    Args:
      function: (execution, *args) -> pytree of arrays.
      execution: checked.
      args: pytrees of arrays.
    """
    cpu, elsewhere = execution.on("cpu"), execution.on("elsewhere")
    if cpu == elsewhere:
        return function(cpu, *args)
    return jax.lax.platform_dependent(
        *args, cpu=functools.partial(function, cpu), default=functools.partial(function, elsewhere)
    )


def mean_over_tasks(
    function: Callable[[Episode], tuple[Any, Any, Any]], episode: Episode, over_tasks: str | None
) -> tuple[Any, Any, Any]:
    """Average losses and gradients over tasks.

    Args:
      function: one task -> (loss, grads, info), pytrees of arrays.
      episode: x [task, n, ...], y [task, n, ...].
      over_tasks: "vmap" or "scan", see Execution.

    Returns:
      The mean over the tasks of loss and grads, of their types; info stacked, [task, ...].
    """

    def of_task(task: Episode):
        loss, grads, info = function(task)
        return (loss, grads), info

    if over_tasks == "vmap":
        values, info = jax.vmap(of_task)(episode)
        loss, grads = jax.tree.map(lambda v: jnp.mean(v, axis=0), values)
        return loss, grads, info

    total, info, types = scan_sum(of_task, episode)
    tasks = episode.support.y.shape[0]
    loss, grads = typed_as(types, jax.tree.map(lambda v: v / tasks, total))
    return loss, grads, info


def mean_over_chunks(function: Callable[[Batch], Any], batch: Batch, size: int) -> Any:
    """Return the mean of function over chunks of the batch, weighted by utterances or their weights.

    Args:
      function: batch -> pytree of arrays, each a mean over the batch's utterances (or linear in such means).
      batch: x [n, ...].
      size: utterances in a chunk; 0, or n and more, makes one chunk. What remains makes a chunk of its own.
    """
    n = batch.y.shape[0]
    if size == 0 or n <= size:
        return function(batch)
    number = n // size

    def weight(chunk: Batch) -> jax.Array:
        return jnp.float32(chunk.y.shape[0]) if chunk.weight is None else widened(jnp.sum(chunk.weight))

    chunks = jax.tree.map(lambda a: a[: number * size].reshape(number, size, *a.shape[1:]), batch)
    total, _, types = scan_sum(lambda chunk: (function(chunk), None), chunks, weight)
    if n % size:
        rest = jax.tree.map(lambda a: a[number * size :], batch)
        total = jax.tree.map(jnp.add, total, weighted(weight(rest), function(rest)))
    whole, value = total
    return typed_as(types, jax.tree.map(lambda v: v / jnp.where(whole > 0, whole, 1).astype(v.dtype), value))


def scan_sum(
    function: Callable[[Any], tuple[Any, Any]], xs: Any, weight: Callable[[Any], jax.Array] | None = None
) -> tuple[Any, Any, Any]:
    """Sum values step by step; stacked first, gradients would take the parameters' size times the steps.

    Args:
      function: x -> (value, info), pytrees of arrays.
      xs: pytree of arrays, [steps, ...], the x of each step.
      weight: x -> scalar, how much its value counts; None: all count one.

    Returns:
      The sum of the values, in float32 where they are of fewer bits, with weights a pair (sum of the weights, of the
      values); info stacked, [steps, ...]; and the values' shapes and types, jax.ShapeDtypeStruct.
    """
    function = jax.jit(function, inline=True)  # traced once, for its types and for the loop

    def add(total, x):
        value, info = function(x)
        value = widened(value) if weight is None else weighted(weight(x), value)
        return jax.tree.map(jnp.add, total, value), info

    first = jax.tree.map(lambda a: a[0], xs)
    value, _ = jax.eval_shape(function, first)
    total = jax.tree.map(lambda v: jnp.zeros(v.shape, v.dtype), value)
    total = widened(total) if weight is None else weighted(jnp.zeros_like(weight(first)), total)
    return *jax.lax.scan(add, total, xs), value


def weighted(weight: jax.Array, tree: Any) -> tuple[jax.Array, Any]:
    """Return the weight and the arrays multiplied by it."""
    return weight, jax.tree.map(lambda v: weight.astype(v.dtype) * v, widened(tree))


def widened(tree: Any) -> Any:
    """Convert arrays of fewer than 32 bits to float32, to be summed."""
    return jax.tree.map(lambda v: v.astype(jnp.float32) if v.dtype.itemsize < 4 else v, tree)


def typed_as(like: Any, tree: Any) -> Any:
    """Convert the arrays of tree to the types of those of `like`."""
    return jax.tree.map(lambda of, v: v.astype(of.dtype), like, tree)


def map_some(function: Callable[[Any], Any], xs: Any, at_once: int) -> Any:
    """Map a function over arrays: one after another, or so many at once.

    Args:
      function: x -> pytree of arrays.
      xs: pytree of arrays, [n, ...].
      at_once: how many.
    """
    # jax.lax.map's batch_size of 1 would be a vmap over one, whose loops run all their branches.
    options = {"batch_size": at_once} if at_once > 1 else {}
    return jax.lax.map(function, xs, **options)
