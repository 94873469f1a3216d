"""Model-agnostic meta-learning: second order, first order (FOMAML), or first and then second.

  theta_i' = theta - alpha * grad L_support,i(theta)          (MetaSER's eq. 2-5; any number of steps)

References: Finn, Abbeel, Levine, "Model-agnostic meta-learning for fast adaptation of deep networks", ICML 2017;
Chopra et al., ICASSP 2021, for its use on speech emotion.
"""

import optax

from metaser_jax.meta.bilevel import Order, Rule, bilevel
from metaser_jax.meta.execution import AUTO, Execution
from metaser_jax.meta.learner import Learner
from metaser_jax.models.losses import LossFn


def maml(
    loss_fn: LossFn,
    inner_lr: float | None = None,
    inner_steps: int = 1,
    order: Order = "second",
    *,
    inner_optimizer: optax.GradientTransformation | None = None,
    inner_batch_size: int | None = None,
    anneal_episodes: int = 0,
    multi_step_episodes: int = 0,
    execution: Execution = AUTO,
) -> Learner:
    """Make a MAML learner; its meta-parameters are the model's parameters.

    Args:
      loss_fn: (params, batch) -> scalar, any; of `mean_loss` or `cross_entropy`, large sets are taken in chunks.
      inner_lr: step size of the inner SGD, 2e-4 by default; not beside an inner_optimizer.
      inner_steps: number of inner steps.
      order: "second" differentiates through the inner steps; "first" (FOMAML) takes the query gradient at the adapted
        parameters; "annealed" is first for anneal_episodes episodes, then second.
      inner_optimizer: any optax transformation, instead of SGD.
      inner_batch_size: utterances of an inner step, a divisor of the support set; None takes the whole set.
      anneal_episodes: of order "annealed": episodes of first order before second order begins.
      multi_step_episodes: MAML++'s multi-step loss: the query loss after every inner step counts, with weights that go
        from equal ones in the first episode to the last step alone after this many; 0 takes the last step alone.
      execution: how it is computed; the value does not depend on it.

    Returns:
      Learner; its value_and_grad is exact for "second".

    Raises:
      InputError: an unknown or impossible value.
    """
    return bilevel(
        loss_fn,
        Rule(),
        inner_lr,
        inner_steps,
        order,
        inner_optimizer=inner_optimizer,
        inner_batch_size=inner_batch_size,
        anneal_episodes=anneal_episodes,
        multi_step_episodes=multi_step_episodes,
        execution=execution,
    )
