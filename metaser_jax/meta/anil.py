"""ANIL (almost no inner loop): the inner steps adapt the dense layers alone; the meta-gradient is of all layers.

Reference: Raghu, Raghu, Bengio, Vinyals, "Rapid learning or feature reuse? Towards understanding the effectiveness of
MAML", ICLR 2020.
"""

from collections.abc import Callable
from typing import Any, Unpack

import jax

from metaser_jax.errors import InputError
from metaser_jax.meta.bilevel import InnerOptions, Order, Rule, Split, bilevel, with_inner_options
from metaser_jax.meta.learner import Learner
from metaser_jax.models.classifier import in_head
from metaser_jax.models.losses import LossFn
from metaser_jax.types import Params


@with_inner_options
def anil(
    loss_fn: LossFn,
    inner_lr: float | None = None,
    inner_steps: int = 1,
    order: Order = "second",
    *,
    is_adapted: Callable[[tuple[Any, ...]], bool] = in_head,
    **options: Unpack[InnerOptions],
) -> Learner:
    """Make an ANIL learner; its meta-parameters are the model's parameters.

    Args:
      loss_fn, inner_lr, inner_steps, order: as maml's.
      is_adapted: whether the inner loop changes the parameter at a path (jax.tree_util's); the dense layers by default.
      options: see InnerOptions.

    Returns:
      Learner. An inner step needs no backward pass through the LSTM layers; each runs their forward pass again.

    Raises:
      InputError: an unknown or impossible value; when called, parameters of which is_adapted admits none.

    Example:
      With maml's loss_fn, params and episode:

      >>> learner = metaser_jax.anil(loss_fn, 0.1, is_adapted=lambda path: path[-1].key == "b")
      >>> adapted = learner.adapt(params, metaser_jax.Batch(jnp.array([0.0]), jnp.array([1.0])))
      >>> {name: round(float(value), 3) for name, value in adapted.items()}
      {'a': 0.0, 'b': 0.2}
    """

    def split(params: Params) -> Split:
        paths, treedef = jax.tree_util.tree_flatten_with_path(params)
        adapts = [is_adapted(path) for path, _ in paths]
        if not any(adapts):
            names = [jax.tree_util.keystr(path) for path, _ in paths]
            # The last layer is often the head; a parameter of nnx is the `.value` of what has its name.
            last = paths[-1][0] if paths else ()
            layer = last[:-2] if jax.tree_util.keystr(last[-1:]) == ".value" else last[:-1]
            raise InputError(
                f"ANIL adapts none of the parameters {', '.join(names)}: name the head, e.g. by "
                f"is_adapted=lambda path: {jax.tree_util.keystr(layer or last)!r} in jax.tree_util.keystr(path)."
            )

        def join(adapted, fixed):
            return treedef.unflatten([a if f is None else f for a, f in zip(adapted, fixed, strict=True)])

        leaves = [leaf for _, leaf in paths]  # None in place of those of the other part
        adapted = [leaf if a else None for leaf, a in zip(leaves, adapts, strict=True)]
        fixed = [None if a else leaf for leaf, a in zip(leaves, adapts, strict=True)]
        return Split(adapted, fixed, join)

    return bilevel(loss_fn, Rule(split=split), inner_lr, inner_steps, order, **options)
