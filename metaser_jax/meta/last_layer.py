"""Last layers made of a task's support set: by class prototypes, or by ridge regression in closed form.

A learner begins a task with `start_last_layer`, and so does an adaptation that follows it.

References: Snell, Swersky, Zemel, "Prototypical networks for few-shot learning", NeurIPS 2017; Bertinetto et al.,
"Meta-learning with differentiable closed-form solvers", ICLR 2019.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from metaser_jax.errors import InputError
from metaser_jax.meta.derivatives import guarded
from metaser_jax.meta.execution import typed_as, widened
from metaser_jax.models.classifier import LastLayer, Linear
from metaser_jax.types import Batch, Params


class PrototypeStart(NamedTuple):
    """Blend of the own last layer W and the prototypes': (1 - b) W + b s P(support).

    Attributes: blend and log_scale, scalars: b = sigmoid(blend), s = exp(log_scale).
    """

    blend: jax.Array
    log_scale: jax.Array


class RidgeStart(NamedTuple):
    """Scaled ridge regression: s ridge(support, penalty).

    Attributes: log_penalty and log_scale, scalars: penalty = exp(log_penalty), s = exp(log_scale).
    """

    log_penalty: jax.Array
    log_scale: jax.Array


LastLayerStart = PrototypeStart | RidgeStart


def start_last_layer(how: LastLayerStart, last_layer: LastLayer, params: Params, support: Batch) -> Params:
    """Replace the last layer by the one that a support set gives.

    Args:
      how: which, and what was learned of it.
      last_layer: where it is.
      params: of the network.
      support: x [n, ...], y [n] classes or one-hot [n, class], weights where there are some. A class without
        utterances keeps its own part of the last layer with prototypes; ridge regression gives it logits of zero.

    Raises:
      InputError: other labels.
    """
    own, support = last_layer.get(params), guarded(support)
    h = widened(last_layer.embed(params, support.x))
    of_class, weight = labels_of(support, own.bias.shape[-1], h.dtype)
    scale = jnp.exp(how.log_scale)
    penalty = jnp.exp(how.log_penalty) if isinstance(how, RidgeStart) else None
    make = prototypes if penalty is None else functools.partial(ridge, penalty=penalty)
    if h.ndim == 3:  # of members
        make = jax.vmap(make, (1, None, None))
    found = typed_as(own, make(h, of_class, weight))
    if isinstance(how, RidgeStart):
        return last_layer.put(params, jax.tree.map(lambda w: scale * w, found))
    there = jnp.any(of_class * weight[:, None] > 0, axis=0)
    share = jnp.where(there, jax.nn.sigmoid(how.blend), 0)
    mixed = jax.tree.map(lambda w, p: (1 - share) * w + share * scale * p, own, found)
    return last_layer.put(params, typed_as(own, mixed))


def prototypes(h: jax.Array, of_class: jax.Array, weight: jax.Array) -> Linear:
    """Return the linear layer that prefers the class whose prototype, its mean embedding, is nearest.

      -|h - c_k|^2 = 2 c_k h - |c_k|^2 - |h|^2,      of which the last term is the same for all classes

    Divided by the embedding's size, so that logits do not grow with it. A class without utterances has a prototype of
    zeros.

    Args:
      h: [n, d], embeddings.
      of_class: [n, class], one-hot.
      weight: [n].
    """
    share = of_class * weight[:, None]
    count = jnp.sum(share, axis=0)
    centres = share.T @ h / jnp.where(count > 0, count, 1)[:, None]
    d = h.shape[1]
    return Linear(2 * centres.T / d, -jnp.sum(centres * centres, axis=1) / d)


def ridge(h: jax.Array, of_class: jax.Array, weight: jax.Array, penalty: jax.Array) -> Linear:
    """Return the linear layer of ridge regression from embeddings to one-hot labels; arguments as of `prototypes`.

      W = argmin sum_i w_i |h_i W - y_i|^2 + penalty |W|^2,      h with a one for the bias

    Solved in the smaller of the two spaces, utterances or embedding.
    """
    h = jnp.concatenate([h, jnp.ones_like(h[:, :1])], axis=1)
    root = jnp.sqrt(weight)[:, None]
    h, of_class, (n, d) = root * h, root * of_class, h.shape
    if n <= d:
        weights = h.T @ jnp.linalg.solve(h @ h.T + penalty * jnp.eye(n, dtype=h.dtype), of_class)
    else:
        weights = jnp.linalg.solve(h.T @ h + penalty * jnp.eye(d, dtype=h.dtype), h.T @ of_class)
    return Linear(weights[:-1], weights[-1])


def labels_of(support: Batch, classes: int, dtype: Any) -> tuple[jax.Array, jax.Array]:
    """Return one-hot labels [n, class] and weights [n]."""
    if support.y.ndim == 1 and jnp.issubdtype(support.y.dtype, jnp.integer):
        of_class = jax.nn.one_hot(support.y, classes, dtype=dtype)
    elif support.y.shape[1:] == (classes,):
        of_class = support.y.astype(dtype)
    else:
        raise InputError(
            f"support.y: got {support.y.dtype}{list(support.y.shape)}, expected whole numbers [n], or one-hot labels "
            f"[n, {classes}]."
        )
    return of_class, jnp.ones(len(of_class), dtype) if support.weight is None else support.weight.astype(dtype)
