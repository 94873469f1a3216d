"""A last layer that a task's support set gives: by class prototypes, or by ridge regression in closed form.

`start_last_layer` is what a learner begins a task with, and what an adaptation that follows it begins with.

References: Snell, Swersky, Zemel, "Prototypical networks for few-shot learning", NeurIPS 2017; Bertinetto et al.,
"Meta-learning with differentiable closed-form solvers", ICLR 2019.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from metaser_jax.errors import InputError
from metaser_jax.meta.accumulate import typed_as, widened
from metaser_jax.meta.derivatives import guarded
from metaser_jax.models.last_layer import LastLayer, Linear
from metaser_jax.types import Batch, Params


class PrototypeStart(NamedTuple):
    """(1 - b) W + b s P(support), b = sigmoid(blend), s = exp(log_scale): the own last layer and the prototypes'.

    Attributes: blend and log_scale, scalars.
    """

    blend: jax.Array
    log_scale: jax.Array


class RidgeStart(NamedTuple):
    """s ridge(support, penalty), penalty = exp(log_penalty), s = exp(log_scale).

    Attributes: log_penalty and log_scale, scalars.
    """

    log_penalty: jax.Array
    log_scale: jax.Array


LastLayerStart = PrototypeStart | RidgeStart


def start_last_layer(how: LastLayerStart, last_layer: LastLayer, params: Params, support: Batch) -> Params:
    """Return the parameters with the last layer that a support set gives them.

    Args:
      how: which, and what was learned of it.
      last_layer: where it is.
      params: of the network.
      support: x [n, ...], y [n] classes or one-hot [n, class], weights where there are some. A class without
        utterances keeps its own part of the last layer with prototypes; ridge regression gives it logits of zero.

    Raises:
      InputError: other labels.
    """
    own = last_layer.get(params)
    if isinstance(how, RidgeStart):
        found = typed_as(own, ridge(last_layer, params, support, jnp.exp(how.log_penalty)))
        return last_layer.put(params, jax.tree.map(lambda w: jnp.exp(how.log_scale) * w, found))
    found = typed_as(own, prototypes(last_layer, params, support))
    of_class, weight = _labels(support, own.bias.shape[-1], own.bias.dtype)
    there = jnp.any(of_class * weight[:, None] > 0, axis=0)
    share, scale = jnp.where(there, jax.nn.sigmoid(how.blend), 0), jnp.exp(how.log_scale)
    mixed = jax.tree.map(lambda w, p: (1 - share) * w + share * scale * p, own, found)
    return last_layer.put(params, typed_as(own, mixed))


def prototypes(last_layer: LastLayer, params: Params, support: Batch) -> Linear:
    """Return the linear layer that prefers the class whose prototype, its mean embedding, is nearest.

      -|h - c_k|^2 = 2 c_k h - |c_k|^2 - |h|^2,      of which the last term is the same for all classes

    Divided by the embedding's size, so that logits do not grow with it. A class without utterances has a prototype of
    zeros.
    """
    return _of_members(_prototypes, *_seen(last_layer, params, support))


def _prototypes(h: jax.Array, of_class: jax.Array, weight: jax.Array) -> Linear:
    share = of_class * weight[:, None]
    count = jnp.sum(share, axis=0)
    centres = share.T @ h / jnp.where(count > 0, count, 1)[:, None]
    d = h.shape[1]
    return Linear(2 * centres.T / d, -jnp.sum(centres * centres, axis=1) / d)


def ridge(last_layer: LastLayer, params: Params, support: Batch, penalty: jax.Array) -> Linear:
    """Return the linear layer of ridge regression from embeddings to one-hot labels.

      W = argmin sum_i w_i |h_i W - y_i|^2 + penalty |W|^2,      h with a one for the bias

    Solved in the smaller of the two spaces, utterances or embedding.
    """
    return _of_members(functools.partial(_ridge, penalty=penalty), *_seen(last_layer, params, support))


def _ridge(h: jax.Array, of_class: jax.Array, weight: jax.Array, penalty: jax.Array) -> Linear:
    h = jnp.concatenate([h, jnp.ones_like(h[:, :1])], axis=1)
    root = jnp.sqrt(weight)[:, None]
    h, of_class, (n, d) = root * h, root * of_class, h.shape
    if n <= d:
        weights = h.T @ jnp.linalg.solve(h @ h.T + penalty * jnp.eye(n, dtype=h.dtype), of_class)
    else:
        weights = jnp.linalg.solve(h.T @ h + penalty * jnp.eye(d, dtype=h.dtype), h.T @ of_class)
    return Linear(weights[:-1], weights[-1])


def _of_members(
    layer_of: Callable[[jax.Array, jax.Array, jax.Array], Linear], h: jax.Array, of_class: jax.Array, weight: jax.Array
) -> Linear:
    """Return the layer of embeddings [n, d], or of each member's, [n, member, d]."""
    return layer_of(h, of_class, weight) if h.ndim == 2 else jax.vmap(layer_of, (1, None, None))(h, of_class, weight)


def _seen(last_layer: LastLayer, params: Params, support: Batch) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return embeddings [n, d] or [n, member, d], one-hot labels [n, class] and weights [n], in float32 or more."""
    support = guarded(support)
    h = widened(last_layer.embed(params, support.x))
    return h, *_labels(support, last_layer.get(params).bias.shape[-1], h.dtype)


def _labels(support: Batch, classes: int, dtype: Any) -> tuple[jax.Array, jax.Array]:
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
