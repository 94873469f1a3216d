"""A loss, its gradient, and the gradient's own derivative, for sets of any size.

Of a loss that is a mean over utterances (models.losses.MeanLoss), sets larger than a chunk are gone through chunk by
chunk: the mean, its gradient and its Hessian-vector product are the means of the chunks', weighted by the chunks'
sizes, so no more than one chunk's residuals are held at a time.

Second-order MAML needs the Hessian H of the support loss only in products H u. With a symmetric H,

  d/d theta <u, grad L(theta)> = H u = d/d epsilon grad L(theta + epsilon u),

the right side is one forward derivative of the gradient: forward-over-reverse, which stores no more than the gradient
itself does, where reverse-over-reverse stores every intermediate of the backward pass as well.

Reference: Pearlmutter, "Fast exact multiplication by the Hessian", 1994; Kemaev et al., ICML 2025, arXiv 2505.00793.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from metaser_jax.errors import InputError
from metaser_jax.meta.execution import Execution, mean_over_chunks
from metaser_jax.types import Batch, Params

PartLossFn = Callable[[Params, Params, Batch], jax.Array]
"""(adapted, fixed, batch) -> scalar: the parameters that the inner loop changes, and the others."""


class Derivatives(NamedTuple):
    """Loss and gradient functions. Neither can be differentiated with respect to the batch: that raises an InputError.

    Attributes:
      loss: (adapted, fixed, batch) -> scalar; to be differentiated once.
      value_and_grad: (adapted, fixed, batch) -> (loss, its gradient with respect to adapted). The gradient can be
        differentiated with respect to adapted and fixed, once; the loss is for information, its derivative zero.
    """

    loss: Callable[[Params, Params, Batch], jax.Array]
    value_and_grad: Callable[[Params, Params, Batch], tuple[jax.Array, Params]]


def derivatives(loss_fn: PartLossFn, execution: Execution) -> Derivatives:
    """Return the loss and its derivatives, computed as the options say.

    Args:
      loss_fn: any scalar; with a chunk, a mean over the batch's utterances, weighted where the batch has weights.
      execution: resolved options; chunk, hvp and residuals matter here.
    """

    def over_chunks(function, batch: Batch):
        return mean_over_chunks(function, batch, execution.chunk or 0)

    def gradient(adapted: Params, fixed: Params, batch: Batch) -> tuple[jax.Array, Params]:
        loss, grads = over_chunks(lambda chunk: jax.value_and_grad(loss_fn)(adapted, fixed, chunk), batch)
        return jax.lax.stop_gradient(loss), grads

    return Derivatives(
        loss=_with_data_guarded(_loss(loss_fn, over_chunks)),
        value_and_grad=_with_data_guarded(
            gradient
            if execution.hvp == "reverse_over_reverse"
            else _mixed_mode(loss_fn, gradient, over_chunks, keep=execution.residuals == "keep")
        ),
    )


def _loss(loss_fn: PartLossFn, over_chunks):
    @jax.custom_vjp
    def loss(adapted, fixed, batch):
        return over_chunks(lambda chunk: loss_fn(adapted, fixed, chunk), batch)

    def forward(adapted, fixed, batch):
        # The gradient is taken at once, chunk by chunk, so that nothing but the gradient is kept until it is asked for.
        both = jax.value_and_grad(loss_fn, argnums=(0, 1))
        value, grads = over_chunks(lambda chunk: both(adapted, fixed, chunk), batch)
        return value, (grads, batch)

    def backward(residuals, cotangent):
        grads, batch = residuals
        # In the loss's type: a small type of the parameters would round the cotangent.
        return *jax.tree.map(lambda g: (cotangent * g.astype(cotangent.dtype)).astype(g.dtype), grads), _zeros(batch)

    loss.defvjp(forward, backward)
    return loss


def _mixed_mode(loss_fn: PartLossFn, gradient, over_chunks, *, keep: bool):
    @jax.custom_vjp
    def value_and_grad(adapted, fixed, batch):
        return gradient(adapted, fixed, batch)

    both = jax.grad(loss_fn, argnums=(0, 1))

    def forward(adapted, fixed, batch):
        if not keep:
            return gradient(adapted, fixed, batch), (adapted, fixed, batch)

        def with_loss(adapted):
            def of_chunk(chunk):
                loss, grads = jax.value_and_grad(loss_fn, argnums=(0, 1))(adapted, fixed, chunk)
                return jax.lax.stop_gradient(loss), grads

            return over_chunks(of_chunk, batch)

        (loss, (grads, _)), tangent = jax.linearize(with_loss, adapted)
        return (loss, grads), (tangent, batch)

    def backward(residuals, cotangents):
        _, direction = cotangents
        if keep:
            tangent, batch = residuals
            _, products = tangent(direction)
        else:
            adapted, fixed, batch = residuals

            def of_chunk(chunk):
                return jax.jvp(lambda adapted: both(adapted, fixed, chunk), (adapted,), (direction,))[1]

            products = over_chunks(of_chunk, batch)
        return *products, _zeros(batch)

    value_and_grad.defvjp(forward, backward)
    return value_and_grad


def _zeros(batch: Batch) -> Batch:
    """Return zeros as the cotangents of a batch; whoever would use them is stopped by the guard."""

    def zero(array):
        floating = jnp.issubdtype(array.dtype, jnp.floating)
        return jnp.zeros_like(array) if floating else np.zeros(array.shape, jax.dtypes.float0)

    return jax.tree.map(zero, batch)


@jax.custom_jvp
def _guard(array: jax.Array) -> jax.Array:
    return array


@_guard.defjvp
def _guard_jvp(primals, tangents):
    raise InputError(
        "A learner's derivative with respect to the utterances is not defined: differentiate with respect to the "
        "meta-parameters, or differentiate loss_fn itself."
    )


def guarded(batch: Batch) -> Batch:
    """Return the batch; a derivative with respect to it raises an InputError."""
    return jax.tree.map(_guard, batch)


def _with_data_guarded(function):
    return lambda adapted, fixed, batch: function(adapted, fixed, guarded(batch))
