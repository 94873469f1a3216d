"""Model-agnostic meta-learning: second order, first order (FOMAML), or first and then second.

  theta_i' = theta - alpha * grad L_support,i(theta)          (MetaSER's eq. 2-5; any number of steps)

References: Finn, Abbeel, Levine, "Model-agnostic meta-learning for fast adaptation of deep networks", ICML 2017;
Chopra et al., ICASSP 2021, for its use on speech emotion.
"""

from typing import Unpack

from metaser_jax.meta.bilevel import Options, Order, Rule, bilevel
from metaser_jax.meta.learner import Learner
from metaser_jax.models.losses import LossFn


def maml(
    loss_fn: LossFn,
    inner_lr: float = 2e-4,
    inner_steps: int = 1,
    order: Order = "second",
    **options: Unpack[Options],
) -> Learner:
    """MAML; its meta-parameters are the model's parameters.

    Args:
      loss_fn: (params, batch) -> scalar mean loss.
      inner_lr: step size of the inner SGD.
      inner_steps: number of inner steps.
      order: "second" differentiates through the inner steps; "first" (FOMAML) takes the query gradient at the adapted
        parameters; "annealed" is first for anneal_episodes episodes, then second.
      **options: see bilevel.Options: inner optimizer, minibatches, annealing, MAML++'s multi-step loss, execution.

    Returns:
      Learner; its value_and_grad is exact for "second".

    Raises:
      InputError: an unknown or impossible value.
    """
    return bilevel(loss_fn, Rule(), inner_lr, inner_steps, order, **options)
