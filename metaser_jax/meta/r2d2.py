"""R2-D2: the last layer by ridge regression on the support set, in closed form, differentiated through.

  W = s ridge(embed(support), penalty),      s and penalty learned with all else

Reference: Bertinetto, Henriques, Torr, Vedaldi, "Meta-learning with differentiable closed-form solvers", ICLR 2019.

NOTE: the paper also learns an offset of all logits, which cross-entropy does not see.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from metaser_jax.meta.derivatives import derivatives
from metaser_jax.meta.execution import AUTO, Execution, mean_over_tasks
from metaser_jax.meta.last_layer import RidgeStart, start_last_layer
from metaser_jax.meta.learner import Info, Learner, make_learner
from metaser_jax.models.classifier import LastLayer
from metaser_jax.models.losses import LossFn
from metaser_jax.types import Batch, Episode, Params


class RidgeParams(NamedTuple):
    """Meta-parameters of R2-D2: params of the model; start, the regression's penalty and scale."""

    params: Params
    start: RidgeStart


def r2d2(loss_fn: LossFn, last_layer: LastLayer, *, execution: Execution = AUTO) -> Learner:
    """Make an R2-D2 learner; its meta-parameters are RidgeParams. It has no inner steps.

    Args:
      loss_fn: (params, batch) -> scalar, any; of `mean_loss` or `cross_entropy`, large sets are taken in chunks.
      last_layer: of the network; `models.classifier.last_layer` has ours. The network's own last layer is
        replaced by the regression, and learns nothing.
      execution: over_tasks and chunk matter here.

    Returns:
      Learner; its value_and_grad is exact. Penalty and scale start at one.

    Raises:
      InputError: an unknown or impossible value; when called, labels that are neither whole numbers nor one-hot.

    Example:
      With proto_maml's loss_fn, last_layer, params and episode:

      >>> learner = metaser_jax.r2d2(loss_fn, last_layer)
      >>> loss, grads, info = learner.value_and_grad(learner.init(params), episode)
      >>> sorted(grads.start._fields)  # the penalty and the scale are learned
      ['log_penalty', 'log_scale']
    """

    def init(params: Params) -> RidgeParams:
        zero = jnp.zeros((), jnp.result_type(last_layer.get(params).bias))
        return RidgeParams(params, RidgeStart(zero, zero))

    def adapt(execution: Execution, meta_params: RidgeParams, support: Batch) -> Params:
        del execution  # the regression is of the whole set
        return start_last_layer(meta_params.start, last_layer, meta_params.params, support)

    def value_and_grad(execution: Execution, meta_params: RidgeParams, episode: Episode, step: jax.Array | int):
        del step  # nothing is annealed
        functions = derivatives(lambda params, fixed, batch: loss_fn(params, batch), execution.resolve(1, utterances=0))

        def of_task(task: Episode):
            def query_loss(meta_params: RidgeParams) -> jax.Array:
                return functions.loss(adapt(execution, meta_params, task.support), (), task.query)

            loss, grads = jax.value_and_grad(query_loss)(meta_params)
            return loss, grads, Info(functions.loss(meta_params.params, (), task.support), loss)

        return mean_over_tasks(of_task, episode, execution.over_tasks)

    return make_learner(
        loss_fn, execution, value_and_grad, adapt, init=init, params=lambda meta_params: meta_params.params
    )
