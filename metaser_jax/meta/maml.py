"""Model-agnostic meta-learning: second order, first order (FOMAML), or first and then second.

  theta_i' = theta - alpha * grad L_support,i(theta)          (MetaSER's eq. 2-5; any number of steps)

References: Finn, Abbeel, Levine, "Model-agnostic meta-learning for fast adaptation of deep networks", ICML 2017;
Chopra et al., ICASSP 2021, for its use on speech emotion.
"""

from typing import Unpack

from metaser_jax.meta.bilevel import InnerOptions, Order, Rule, bilevel, with_inner_options
from metaser_jax.meta.learner import Learner
from metaser_jax.models.losses import LossFn


@with_inner_options
def maml(
    loss_fn: LossFn,
    inner_lr: float | None = None,
    inner_steps: int = 1,
    order: Order = "second",
    **options: Unpack[InnerOptions],
) -> Learner:
    """Make a MAML learner; its meta-parameters are the model's parameters.

    Args:
      loss_fn: (params, batch) -> scalar, any; of `mean_loss` or `cross_entropy`, large sets are taken in chunks.
      inner_lr: step size of the inner SGD, 2e-4 by default; not beside an inner_optimizer.
      inner_steps: number of inner steps.
      order: "second" differentiates through the inner steps; "first" (FOMAML) takes the query gradient at the adapted
        parameters; "annealed" is first for anneal_episodes episodes, then second.
      options: see InnerOptions.

    Returns:
      Learner; its value_and_grad is exact for "second".

    Raises:
      InputError: an unknown or impossible value.

    Example:
      Two tasks, the sine at different phases, of five support and five query points each:

      >>> import jax.numpy as jnp
      >>> import metaser_jax
      >>> x = jnp.linspace(-3, 3, 20).reshape(2, 2, 5)  # [support or query, task, n]
      >>> phase = jnp.array([[0.0], [1.0]])  # [task, 1]
      >>> episode = metaser_jax.Episode(*(metaser_jax.Batch(part, jnp.sin(part + phase)) for part in x))
      >>> loss_fn = lambda params, batch: jnp.mean((params["a"] * batch.x + params["b"] - batch.y) ** 2)
      >>> params = {"a": jnp.array(0.0), "b": jnp.array(0.0)}
      >>> learner = metaser_jax.maml(loss_fn, inner_lr=0.1, order="second")
      >>> loss, grads, info = learner.value_and_grad(learner.init(params), episode)
    """
    return bilevel(loss_fn, Rule(), inner_lr, inner_steps, order, **options)
