"""ANIL, almost no inner loop: the inner steps adapt the dense layers alone; the meta-gradient is of all layers.

Reference: Raghu, Raghu, Bengio, Vinyals, "Rapid learning or feature reuse? Towards understanding the effectiveness of
MAML", ICLR 2020.
"""

from collections.abc import Callable
from typing import Any

import jax
import optax

from metaser_jax.errors import InputError
from metaser_jax.meta.bilevel import Order, Rule, Split, bilevel
from metaser_jax.meta.execution import AUTO, Execution
from metaser_jax.meta.learner import Learner
from metaser_jax.models.classifier import in_head
from metaser_jax.models.losses import LossFn
from metaser_jax.types import Params


def anil(
    loss_fn: LossFn,
    inner_lr: float | None = None,
    inner_steps: int = 1,
    order: Order = "second",
    *,
    is_adapted: Callable[[tuple[Any, ...]], bool] = in_head,
    inner_optimizer: optax.GradientTransformation | None = None,
    inner_batch_size: int | None = None,
    anneal_episodes: int = 0,
    multi_step_episodes: int = 0,
    execution: Execution = AUTO,
) -> Learner:
    """Make an ANIL learner; its meta-parameters are the model's parameters.

    Args:
      loss_fn: (params, batch) -> scalar, any; of `mean_loss` or `cross_entropy`, large sets are taken in chunks.
      inner_lr: step size of the inner SGD, 2e-4 by default; not beside an inner_optimizer.
      inner_steps: number of inner steps.
      order: "second", "first" or "annealed", as maml's.
      is_adapted: whether the inner loop changes the parameter at a path (jax.tree_util's); the dense layers by default.
      inner_optimizer: any optax transformation, instead of SGD.
      inner_batch_size: utterances of an inner step, a divisor of the support set; None takes the whole set.
      anneal_episodes: of order "annealed": episodes of first order before second order begins.
      multi_step_episodes: episodes of MAML++'s multi-step loss, as maml's; 0 is off.
      execution: how it is computed; the value does not depend on it.

    Returns:
      Learner. An inner step needs no backward pass through the LSTM layers; each runs their forward pass again.

    Raises:
      InputError: an unknown or impossible value; when called, parameters of which is_adapted admits none.
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
            adapted, fixed = iter(adapted), iter(fixed)
            return jax.tree.unflatten(treedef, [next(adapted if a else fixed) for a in adapts])

        return Split(
            tuple(leaf for (_, leaf), a in zip(paths, adapts, strict=True) if a),
            tuple(leaf for (_, leaf), a in zip(paths, adapts, strict=True) if not a),
            join,
        )

    return bilevel(
        loss_fn,
        Rule(split=split),
        inner_lr,
        inner_steps,
        order,
        inner_optimizer=inner_optimizer,
        inner_batch_size=inner_batch_size,
        anneal_episodes=anneal_episodes,
        multi_step_episodes=multi_step_episodes,
        execution=execution,
    )
