"""Adaptation to one task: gradient steps on its support set.

  theta_0 = theta,   theta_{j+1} = theta_j - alpha * grad L_support(theta_j)        (MetaSER's eq. 3 for one step)

Differentiating through the steps gives the Hessian of the support loss in the meta-gradient; `first_order` treats the
inner gradients as constants, which drops it (Finn et al., 2017, section 5.2).
"""

import jax
import optax

from metaser_jax.losses import LossFn
from metaser_jax.types import Batch, Params


def inner_loop(
    loss_fn: LossFn,
    params: Params,
    support: Batch,
    *,
    optimizer: optax.GradientTransformation,
    steps: int,
    first_order: bool,
) -> tuple[Params, jax.Array]:
    """Takes `steps` full-batch steps on the support set.

    Args:
      loss_fn: (params, batch) -> scalar.
      params: where to start.
      support: x [n, time, coef], y [n].
      optimizer: makes updates of gradients; its state starts afresh for each task.
      steps: number of steps, at least 1.
      first_order: whether derivatives of the result ignore the inner gradients' own dependence on params.

    Returns:
      The adapted parameters, and the support loss before each step, [steps].
    """

    def step(carry, _):
        params, state = carry
        loss, grads = jax.value_and_grad(loss_fn)(params, support)
        if first_order:
            grads = jax.lax.stop_gradient(grads)
        updates, state = optimizer.update(grads, state, params)
        return (optax.apply_updates(params, updates), state), loss

    (adapted, _), losses = jax.lax.scan(step, (params, optimizer.init(params)), length=steps)
    return adapted, losses
