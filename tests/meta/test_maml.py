"""MAML's meta-gradients against derivations by hand and against finite differences, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from metaser_jax import Batch, EmotionLSTM, Episode, InputError, cross_entropy, maml

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


def lstm_episode(tasks=2, n=4, time=6, coef=3):
    rng = np.random.default_rng(1)

    def batch():
        x = jnp.asarray(rng.normal(size=(tasks, n, time, coef)))
        return Batch(x.at[:, 0, -2:].set(0), jnp.asarray(rng.integers(0, 4, (tasks, n)), jnp.int32))

    return Episode(batch(), batch())


def lstm_setting(pooling):
    model = EmotionLSTM(hidden_dim=5, pooling=pooling, activation="none" if pooling == "last" else "relu")
    episode = lstm_episode()
    params = model.init(jax.random.key(0), episode.support.x[0].astype(jnp.float32))
    params = jax.tree.map(lambda p: p.astype(jnp.float64), params)
    return cross_entropy(model.apply), params, episode


@pytest.mark.parametrize("pooling", ["last", "mean_std"])
@pytest.mark.parametrize("steps", [1, 3])
def test_second_order_is_the_derivative_by_finite_differences(pooling, steps):
    loss_fn, params, episode = lstm_setting(pooling)
    learner = maml(loss_fn, INNER_LR, steps, "second")
    flat, unravel = jax.flatten_util.ravel_pytree(params)
    value = jax.jit(lambda flat: learner.value_and_grad(unravel(flat), episode)[0])
    grads = jax.flatten_util.ravel_pytree(jax.jit(learner.value_and_grad)(params, episode)[1])[0]
    for seed in range(5):
        direction = np.random.default_rng(seed).normal(size=flat.shape)
        eps = 1e-5
        numeric = (value(flat + eps * direction) - value(flat - eps * direction)) / (2 * eps)
        np.testing.assert_allclose(grads @ direction, numeric, rtol=1e-6)


def test_first_order_is_the_query_gradient_at_the_adapted_parameters():
    loss_fn, params, episode = lstm_setting("last")
    learner = maml(loss_fn, INNER_LR, 3, "first")
    _, grads, _ = jax.jit(learner.value_and_grad)(params, episode)

    @jax.jit
    def task_grad(support, query):
        adapted = params
        for _ in range(3):
            adapted = jax.tree.map(lambda p, g: p - INNER_LR * g, adapted, jax.grad(loss_fn)(adapted, support))
        return jax.grad(loss_fn)(adapted, query)

    one, two = (jax.tree.map(lambda a, task=task: a[task], tuple(episode)) for task in (0, 1))
    expected = jax.tree.map(lambda g, h: (g + h) / 2, task_grad(*one), task_grad(*two))
    jax.tree.map(lambda g, e: np.testing.assert_allclose(g, e, rtol=1e-9, atol=1e-14), grads, expected)


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


def test_tasks_may_be_permuted():
    loss_fn, params, episode = lstm_setting("mean_std")
    value_and_grad = jax.jit(maml(loss_fn, INNER_LR, 1, "second").value_and_grad)
    loss, grads, _ = value_and_grad(params, episode)
    swapped_loss, swapped_grads, _ = value_and_grad(params, jax.tree.map(lambda a: a[::-1], episode))
    np.testing.assert_allclose(loss, swapped_loss, rtol=1e-12)
    jax.tree.map(lambda g, e: np.testing.assert_allclose(g, e, rtol=1e-9, atol=1e-15), grads, swapped_grads)


@pytest.mark.parametrize("order", ["first", "second"])
def test_vmap_and_scan_over_tasks_agree(order):
    loss_fn, params, episode = lstm_setting("mean_std")
    vmapped, scanned = (
        jax.jit(maml(loss_fn, INNER_LR, 2, order, over_tasks=how).value_and_grad)(params, episode)
        for how in ("vmap", "scan")
    )
    jax.tree.map(lambda v, s: np.testing.assert_allclose(v, s, rtol=1e-9, atol=1e-14), vmapped, scanned)


def test_adapt_lowers_the_support_loss_and_takes_any_inner_optimizer():
    loss_fn, params, episode = lstm_setting("mean_std")
    support = jax.tree.map(lambda a: a[0], episode.support)
    for learner in (maml(loss_fn, 0.1, 3), maml(loss_fn, inner_steps=3, inner_optimizer=optax.sgd(0.1, 0.5))):
        assert loss_fn(learner.adapt(params, support), support) < loss_fn(params, support)


def test_bad_arguments():
    with pytest.raises(InputError, match=r"order: got 'secnd', expected one of: first, second.*'second'"):
        maml(squared_error, order="secnd")
    with pytest.raises(InputError, match="over_tasks: got 'pmap', expected one of: scan, vmap"):
        maml(squared_error, over_tasks="pmap")
    with pytest.raises(InputError, match="inner_steps: got 0"):
        maml(squared_error, inner_steps=0)
