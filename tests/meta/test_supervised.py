"""Supervised learning: its gradient is that of the mean loss over all utterances, support and query."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import textbook

from metaser_jax import Batch, Episode, Execution, supervised


@pytest.mark.parametrize("weighted", [False, True])
def test_it_is_the_gradient_of_the_mean_over_all_utterances(weighted):
    with jax.enable_x64(True):
        loss_fn, params, episode = textbook.dense_setting("float64")
        weight = jnp.asarray(np.random.default_rng(3).uniform(size=episode.support.y.shape)) if weighted else None
        episode = Episode(
            episode.support._replace(weight=weight),
            # fewer queries than supports
            jax.tree.map(lambda a: a[:, :3], episode.query._replace(weight=None if weight is None else weight**2)),
        )

        def loss(params):
            def of_task(task):
                return loss_fn(params, jax.tree.map(lambda *parts: jnp.concatenate(parts), *task))

            return jnp.mean(jax.vmap(of_task)(episode))

        learner = supervised(loss_fn, execution=Execution(chunk=3))
        value, grads, info = jax.jit(learner.value_and_grad)(params, episode)
        expected = jax.jit(jax.grad(loss))(params)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13), grads, expected)
        np.testing.assert_allclose(value, jnp.mean(info.query_loss), rtol=1e-12)


def test_a_task_without_weight_gives_nothing():
    loss_fn, params, episode = textbook.dense_setting()
    episode = jax.tree.map(lambda a: a[:1], episode)
    nothing = Episode(*(Batch(part.x, part.y, jnp.zeros(part.y.shape)) for part in episode))
    _, grads, _ = jax.jit(supervised(loss_fn).value_and_grad)(params, nothing)
    assert all(np.all(g == 0) for g in jax.tree.leaves(grads))


def test_it_adapts_nothing():
    loss_fn, params, episode = textbook.dense_setting()
    learner = supervised(loss_fn)
    adapted = learner.adapt(learner.init(params), jax.tree.map(lambda a: a[0], episode.support))
    jax.tree.map(np.testing.assert_array_equal, adapted, params)
