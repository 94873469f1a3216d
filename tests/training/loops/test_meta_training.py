"""The outer loop: against a loop in Python, the same bits twice, one program, and what it learns."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from fakes import fake_corpus

from metaser_jax import EmotionLSTM, cross_entropy, maml
from metaser_jax.meta.learner import Info
from metaser_jax.training.checkpoints import to_host
from metaser_jax.training.loops.meta_training import MOST_SKIPPED, init_state, run_interval, validation_loss
from metaser_jax.training.sampling import bank, episodes

MODEL = EmotionLSTM(hidden_dim=5, pooling="mean")
KEY = jax.random.key(7)
OPTIMIZER = optax.adam(1e-2)


def loss_fn(params, batch):
    return cross_entropy(MODEL.apply)(params, batch)


def query_loss(params, episode):
    return jnp.mean(jax.vmap(loss_fn, (None, 0))(params, episode.query))


LEARNER = maml(loss_fn, inner_lr=0.1, order="second")


@pytest.fixture(scope="module")
def setting():
    source = bank.build([fake_corpus("a"), fake_corpus("b", seed=1)])
    state = init_state(LEARNER, MODEL.init(jax.random.key(0), source.x[:1]), OPTIMIZER, KEY)

    def sample(key):
        return episodes.sample(key, source, tasks=4, shots=2, queries=2)

    step = jax.jit(lambda state, n: run_interval(LEARNER, query_loss, OPTIMIZER, sample, state, n))
    return state, sample, step


def test_equals_a_loop_in_python(setting):
    state, sample, step = setting
    got, info = step(state, jnp.int32(3))
    params, opt_state, losses = state.meta_params, state.opt_state, []
    draw, value_and_grad = jax.jit(sample), jax.jit(LEARNER.value_and_grad)
    query_loss_of = jax.jit(query_loss)
    for e in range(3):
        episode = draw(jax.random.fold_in(KEY, e))
        before = query_loss_of(params, episode)
        loss, grads, task_info = value_and_grad(params, episode)
        updates, opt_state = OPTIMIZER.update(grads, opt_state, params)
        params = optax.apply_updates(params, updates)
        losses.append(float(loss))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5), got.meta_params, params)
    assert int(got.episode) == 3
    np.testing.assert_allclose(info.query_loss_before, before, rtol=1e-4)
    np.testing.assert_allclose(info.query_loss_after, losses[-1], rtol=1e-4)
    np.testing.assert_allclose(info.query_loss_mean, np.mean(losses), rtol=1e-4)
    np.testing.assert_allclose(info.support_loss, jnp.mean(task_info.support_loss), rtol=1e-4)


def test_same_seed_same_bits_and_in_any_division_into_intervals(setting):
    state, _, step = setting
    once, _ = step(state, jnp.int32(6))
    twice, _ = step(state, jnp.int32(6))
    divided, _ = step(step(state, jnp.int32(2))[0], jnp.int32(4))
    for other in (twice, divided):
        jax.tree.map(np.testing.assert_array_equal, to_host(once), to_host(other))


def test_it_learns_to_adapt(setting):
    state, sample, step = setting
    trained, _ = step(state, jnp.int32(60))
    episode = sample(jax.random.key(123))
    loss = jax.jit(lambda meta_params: jnp.mean(validation_loss(LEARNER, loss_fn, meta_params, episode)))
    before, after = (loss(s.meta_params) for s in (state, trained))
    assert after < 0.7 * before


@pytest.mark.parametrize("where", ["loss", "gradient"])
@pytest.mark.parametrize("skip", [False, True])
def test_an_update_that_is_not_finite_is_never_applied(setting, where, skip):
    state, sample, _ = setting
    bad = 2

    def value_and_grad(meta_params, episode, step):
        loss, grads, info = LEARNER.value_and_grad(meta_params, episode, step)
        nan = jnp.where(step == bad, jnp.nan, 0.0)
        if where == "loss":
            return loss + nan, grads, info._replace(query_loss=info.query_loss + nan)
        return loss, jax.tree.map(lambda g: g + nan, grads), info

    learner = LEARNER._replace(value_and_grad=value_and_grad)
    run = jax.jit(lambda state, n: run_interval(learner, query_loss, OPTIMIZER, sample, state, n, skip_nonfinite=skip))
    good, first = run(state, jnp.int32(bad))
    assert bool(first.finite)
    got, info = run(state, jnp.int32(bad + 3))
    assert not bool(info.finite)
    if not skip:
        assert (int(got.episode), int(got.skipped), int(got.skipped_in_a_row)) == (bad, 0, 0)
        jax.tree.map(np.testing.assert_array_equal, to_host(got), to_host(good))
        return
    assert (int(got.episode), int(got.skipped), int(got.skipped_in_a_row)) == (bad + 3, 1, 0)
    left_out = good._replace(episode=jnp.int32(bad + 1), skipped=jnp.int32(1), skipped_in_a_row=jnp.int32(1))
    expected, rest = run(left_out, jnp.int32(2))
    jax.tree.map(np.testing.assert_array_equal, to_host(got), to_host(expected))
    mean = (2 * first.query_loss_mean + 2 * rest.query_loss_mean) / 4
    np.testing.assert_allclose(info.query_loss_mean, mean, rtol=1e-5)


def test_too_many_updates_left_out_in_a_row_end_the_loop(setting):
    state, sample, _ = setting

    def value_and_grad(meta_params, episode, step):
        zeros = jnp.zeros(4)
        return jnp.nan, jax.tree.map(jnp.zeros_like, meta_params), Info(zeros, zeros + jnp.nan)

    learner = LEARNER._replace(value_and_grad=value_and_grad)
    run = jax.jit(lambda state, n: run_interval(learner, query_loss, OPTIMIZER, sample, state, n, skip_nonfinite=True))
    first, info = run(state, jnp.int32(5))  # an interval of nothing else is no end
    assert (int(first.episode), int(first.skipped_in_a_row), bool(jnp.isnan(info.query_loss_mean))) == (5, 5, True)
    last, _ = run(first, jnp.int32(100))
    assert int(last.episode) == int(last.skipped) == int(last.skipped_in_a_row) == MOST_SKIPPED
