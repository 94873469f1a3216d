"""A last layer that a task's support set gives: by class prototypes, or by ridge regression in closed form.

References: Snell, Swersky, Zemel, "Prototypical networks for few-shot learning", NeurIPS 2017; Bertinetto et al.,
"Meta-learning with differentiable closed-form solvers", ICLR 2019.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from metaser_jax.errors import InputError
from metaser_jax.meta.accumulate import widened
from metaser_jax.meta.derivatives import guarded
from metaser_jax.models.last_layer import LastLayer, Linear
from metaser_jax.types import Batch, Params


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
    classes = last_layer.get(params).bias.shape[-1]
    if support.y.ndim == 1 and jnp.issubdtype(support.y.dtype, jnp.integer):
        of_class = jax.nn.one_hot(support.y, classes, dtype=h.dtype)
    elif support.y.shape[1:] == (classes,):
        of_class = support.y.astype(h.dtype)
    else:
        raise InputError(
            f"support.y: got {support.y.dtype}{list(support.y.shape)}, expected whole numbers [n], or one-hot labels "
            f"[n, {classes}]."
        )
    weight = jnp.ones_like(h[:, 0]) if support.weight is None else support.weight.astype(h.dtype)
    return h, of_class, weight
