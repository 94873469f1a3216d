"""MAML's meta-gradients against derivations by hand and against finite differences, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import textbook

from metaser_jax import Batch, Episode, cross_entropy, maml

pytestmark = pytest.mark.usefixtures("strict_promotion")
INNER_LR = 0.3  # large enough that the second-order term is far above any tolerance


def squared_error(theta, batch):
    """Linear regression, mean over n of (x theta - y)^2 / 2."""
    return jnp.mean(jnp.square(batch.x @ theta - batch.y)) / 2


def linear_episode(tasks=3, n=5, dim=4):
    rng = np.random.default_rng(0)

    def batch():
        return Batch(jnp.asarray(rng.normal(size=(tasks, n, dim))), jnp.asarray(rng.normal(size=(tasks, n))))

    return Episode(batch(), batch()), jnp.asarray(rng.normal(size=dim))


def by_hand(theta, episode, steps, order):
    """With A = X'X/n, b = X'y/n a step is theta <- (I - alpha A) theta + alpha b; its Jacobian is I - alpha A."""
    total = np.zeros_like(theta)
    loss = 0.0
    for x, y, xq, yq in zip(*episode.support[:2], *episode.query[:2], strict=True):
        x, y, xq, yq = map(np.asarray, (x, y, xq, yq))
        a, b = x.T @ x / len(y), x.T @ y / len(y)
        jacobian = np.eye(len(theta)) - INNER_LR * a
        adapted = np.asarray(theta)
        for _ in range(steps):
            adapted = jacobian @ adapted + INNER_LR * b
        grad = xq.T @ (xq @ adapted - yq) / len(yq)
        total += grad if order == "first" else np.linalg.matrix_power(jacobian, steps).T @ grad
        loss += np.mean((xq @ adapted - yq) ** 2) / 2
    return loss / len(episode.support.y), total / len(episode.support.y)


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def test_annealed_is_first_order_and_then_second():
    episode, theta = linear_episode()
    orders = ("first", "second")
    first, second = (maml(squared_error, INNER_LR, 2, order).value_and_grad(theta, episode) for order in orders)
    annealed = maml(squared_error, INNER_LR, 2, "annealed", anneal_episodes=5)
    value_and_grad = jax.jit(annealed.value_and_grad)
    for step, expected in ((0, first), (4, first), (5, second), (99, second)):
        jax.tree.map(
            lambda g, e: np.testing.assert_allclose(g, e, rtol=1e-12), value_and_grad(theta, episode, step), expected
        )


def test_the_multi_step_loss_ends_with_the_last_step_alone():
    episode, theta = linear_episode()
    plain = jax.jit(maml(squared_error, INNER_LR, 3).value_and_grad)(theta, episode)
    multi_step = jax.jit(maml(squared_error, INNER_LR, 3, multi_step_episodes=8).value_and_grad)
    jax.tree.map(lambda g, e: np.testing.assert_allclose(g, e, rtol=1e-12), multi_step(theta, episode, 8), plain)
    assert multi_step(theta, episode, 0)[0] != plain[0]


@pytest.mark.parametrize("order", ["first", "second"])
@pytest.mark.parametrize("steps", [1, 3])
def test_linear_model_by_hand(order, steps):
    episode, theta = linear_episode()
    loss, grads, info = maml(squared_error, INNER_LR, steps, order).value_and_grad(theta, episode)
    expected_loss, expected_grads = by_hand(theta, episode, steps, order)
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-12)
    np.testing.assert_allclose(grads, expected_grads, rtol=1e-10)
    np.testing.assert_allclose(jnp.mean(info.query_loss), loss, rtol=1e-12)
    np.testing.assert_allclose(
        info.support_loss, jax.vmap(squared_error, (None, 0))(theta, episode.support), rtol=1e-12
    )


def lstm_setting(pooling):
    model, params, episode = textbook.setting(pooling)
    return cross_entropy(model.apply), params, episode


def test_second_order_with_the_recommended_network_by_finite_differences():
    loss_fn, params, episode = lstm_setting("mean_std")
    learner = maml(loss_fn, INNER_LR, 1, "second")
    textbook.assert_is_the_derivative(learner.value_and_grad, params, episode, directions=5)


def test_orders_agree_on_the_loss_and_differ_in_the_gradient():
    loss_fn, params, episode = lstm_setting("last")
    first, second = (
        jax.jit(maml(loss_fn, INNER_LR, 1, order).value_and_grad)(params, episode) for order in ("first", "second")
    )
    np.testing.assert_allclose(first[0], second[0], rtol=1e-12)
    difference, size = (
        jnp.linalg.norm(jax.flatten_util.ravel_pytree(tree)[0])
        for tree in (jax.tree.map(jnp.subtract, first[1], second[1]), second[1])
    )
    assert difference > 0.01 * size


def test_adapt_lowers_the_support_loss_and_takes_any_inner_optimizer():
    loss_fn, params, episode = lstm_setting("mean_std")
    support = jax.tree.map(lambda a: a[0], episode.support)
    for learner in (maml(loss_fn, 0.1, 3), maml(loss_fn, inner_steps=3, inner_optimizer=optax.sgd(0.1, 0.5))):
        assert loss_fn(learner.adapt(params, support), support) < loss_fn(params, support)
