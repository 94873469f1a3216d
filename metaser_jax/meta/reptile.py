"""Reptile: move the parameters towards those adapted to each task; no derivative of the adaptation.

  phi <- phi + epsilon * mean_i (theta_i' - phi),      theta_i' = inner_loop(phi, support_i)

As a gradient for the outer optimizer that is phi - mean_i theta_i'; SGD at rate epsilon is the formula above.

Reference: Nichol, Achiam, Schulman, "On first-order meta-learning algorithms", 2018, arXiv 1803.02999.

NOTE: it adapts on the support set, as the others do, and the query set only measures. With one inner step it is joint
training on the support sets; it needs several to differ.
"""

import jax
import optax

from metaser_jax.meta.derivatives import Derivatives, derivatives
from metaser_jax.meta.execution import AUTO, Execution, mean_over_tasks
from metaser_jax.meta.inner_loop import InnerResult, check_steps, inner_loop, inner_sgd
from metaser_jax.meta.learner import Info, Learner, make_learner
from metaser_jax.models.losses import LossFn
from metaser_jax.types import Batch, Episode, Params


def reptile(
    loss_fn: LossFn,
    inner_lr: float | None = None,
    inner_steps: int = 5,
    *,
    inner_optimizer: optax.GradientTransformation | None = None,
    inner_batch_size: int | None = None,
    execution: Execution = AUTO,
) -> Learner:
    """Make a Reptile learner; its meta-parameters are the model's parameters.

    Args:
      loss_fn: (params, batch) -> scalar, any; of `mean_loss` or `cross_entropy`, large sets are taken in chunks.
      inner_lr: step size of the inner SGD, 2e-4 by default; not beside an inner_optimizer.
      inner_steps: number of inner steps.
      inner_optimizer: any optax transformation, instead of SGD.
      inner_batch_size: utterances of an inner step, a divisor of the support set; None takes the whole set.
      execution: over_tasks and chunk matter here.

    Returns:
      Learner; the grads of its value_and_grad are params - mean_i adapted_i, not the derivative of the loss.

    Raises:
      InputError: an unknown or impossible value.

    Example:
      With maml's loss_fn, params and episode; SGD at rate 1 takes the parameters to the mean of the adapted ones:

      >>> import jax
      >>> learner = metaser_jax.reptile(loss_fn, inner_lr=0.1)
      >>> loss, grads, info = learner.value_and_grad(params, episode)
      >>> moved = jax.tree.map(lambda p, g: p - g, params, grads)
    """
    check_steps(inner_steps, inner_batch_size)
    optimizer = inner_sgd(inner_lr, inner_optimizer)

    def run_inner(execution: Execution, params: Params, support: Batch) -> tuple[InnerResult, Derivatives]:
        # No derivative is taken of the inner gradient, of which the number of utterances would decide what is kept.
        functions = derivatives(
            lambda adapted, fixed, batch: loss_fn(adapted, batch), execution.resolve(inner_steps, utterances=0)
        )
        result = inner_loop(
            functions.value_and_grad,
            params,
            (),
            support,
            optimizer=optimizer,
            steps=inner_steps,
            first_order=True,
            batch_size=inner_batch_size,
        )
        return result, functions

    def value_and_grad(execution: Execution, params: Params, episode: Episode, step: jax.Array | int):
        del step  # nothing is annealed

        def of_task(task: Episode):
            result, functions = run_inner(execution, params, task.support)
            loss = functions.loss(result.adapted, (), task.query)
            towards = jax.tree.map(lambda start, end: start - end, params, result.adapted)
            return loss, towards, Info(result.losses[0], loss)

        return mean_over_tasks(of_task, episode, execution.over_tasks)

    def adapt(execution: Execution, params: Params, support: Batch) -> Params:
        return run_inner(execution, params, support)[0].adapted

    return make_learner(loss_fn, execution, value_and_grad, adapt)
