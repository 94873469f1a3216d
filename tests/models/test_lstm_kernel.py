"""The recurrence as a kernel: in Pallas's interpreter it equals the scan, and it is lowered for CUDA."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_lstm import arguments

from metaser_jax import Batch, EmotionLSTM, Episode, Execution, InputError, cross_entropy, maml
from metaser_jax.models.lstm import lstm

pytestmark = pytest.mark.usefixtures("strict_promotion")
TIME, F, H = 9, 5, 16


def gradient_and_states(recurrence):
    def value(params, x):
        states = lstm(params, x, recurrence)
        return jnp.sum(jnp.sin(states)), states

    return jax.grad(value, argnums=(0, 1), has_aux=True)


def keeping(function, at, direction):
    """The function and its tangent as jax.jvp, but as with residuals "keep"."""
    result, tangent = jax.linearize(function, *at)
    return result, tangent(*direction)


@pytest.mark.parametrize(
    ("recurrence", "n", "dtype", "with_tangent"),
    [
        ("interpret", 3, "float32", jax.jvp),
        ("interpret", 18, "float64", keeping),
        ("kernel", 18, "float64", keeping),  # on a CPU a scan, in the kernel's form
    ],
)
def test_equals_the_scan(recurrence, n, dtype, with_tangent):
    """States, gradient, and the tangents of both (Hessian-vector products), of two tasks with weights of their own."""
    with jax.enable_x64(dtype == "float64"):
        at = arguments(dtype, n, H, tasks=(2,))

        def result(recurrence):
            of_task = jax.vmap(lambda *at: with_tangent(gradient_and_states(recurrence), at, at))
            return jax.jit(of_task, compiler_options={"xla_backend_optimization_level": 0})(*at)

        got, expected = result(recurrence), result("scan")
        tolerance = 1e-5 if dtype == "float32" else 1e-12
        jax.tree.map(lambda g, e: np.testing.assert_allclose(g, e, rtol=tolerance, atol=tolerance), got, expected)


@pytest.mark.parametrize("residuals", ["keep", "recompute"])
def test_a_second_order_step_lowers_for_cuda_without_a_loop_over_time(residuals):
    model = EmotionLSTM(H, recurrence="kernel")
    learner = maml(cross_entropy(model.apply), execution=Execution("vmap", 0, residuals=residuals))
    batch = Batch(jax.ShapeDtypeStruct((2, 3, TIME, F), "float32"), jax.ShapeDtypeStruct((2, 3), "int32"))
    params = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, TIME, F)))
    traced = jax.jit(learner.value_and_grad).trace(params, Episode(batch, batch))
    text = traced.lower(lowering_platforms=("cuda",)).as_text()
    # Of each layer: the support set's two loops and their tangents, and the query set's two.
    assert text.count("xla.gpu.triton") == 2 * {"keep": 6, "recompute": 8}[residuals]
    assert text.count("stablehlo.while") == 2  # over the inner steps, there and back; none over time


def test_what_the_kernel_cannot_do():
    def gradient_norm(params, x):
        (grads, _), _ = gradient_and_states("kernel")(params, x)
        return sum(jnp.vdot(g, g) for g in grads)

    with pytest.raises(InputError, match=r"hidden_dim: got 12.* 16, 32"):
        jax.eval_shape(lambda: lstm(*arguments(n=3, hidden=12), "kernel"))
    with pytest.raises(InputError, match="recurrence: got 'kernel' under reverse mode"):
        jax.eval_shape(jax.grad(gradient_norm), *arguments(n=3, hidden=H))
