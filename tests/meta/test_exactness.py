"""Every algorithm's meta-gradient against jax.grad of the textbook formula, in float64, and against finite differences.

The textbook's side (tests/textbook.py) shares no derivative with the engine's: neither the recurrence's, nor the inner
gradient's, nor the chunks'; and it is compiled otherwise, without what the engine's side is optimised by.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import textbook
from textbook import INNER_LR

from metaser_jax import (
    Batch,
    Episode,
    Execution,
    InputError,
    anil,
    cross_entropy,
    layer_rates,
    maml,
    meta_sgd,
    reptile,
    supervised,
)
from metaser_jax.meta.bilevel import multi_step_weights
from metaser_jax.meta.learned_rates import LayerRatesParams, MetaSGDParams

STEPS = 2


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def setting():
    with jax.enable_x64(True):
        model, params, episode = textbook.setting()
        return cross_entropy(model.apply), params, episode


@pytest.fixture(scope="module")
def dense_setting():
    with jax.enable_x64(True):
        return textbook.dense_setting("float64")


# What differs in the inner loop alone is shown with a network that compiles quickly.
DENSE = ("momentum", "minibatches", "anil", "first-order anil", "meta_sgd", "layer_rates")


def all_of(support):
    return lambda step: support


def by_sgd(params, episode, **options):
    return textbook.mean_query_loss(
        episode, lambda s: textbook.path(textbook.sgd(INNER_LR), params, all_of(s), STEPS, **options)
    )


def dense_path(update, params, support_of_step):
    return textbook.path(update, params, support_of_step, STEPS, loss=textbook.dense_loss_fn)


def with_update(update, params, episode):
    return textbook.mean_query_loss(
        episode, lambda s: dense_path(update, params, all_of(s)), loss=textbook.dense_loss_fn
    )


def heavy_ball(params, episode):
    def adapted_path(support):
        thetas, velocity = [params], None
        for _ in range(STEPS):
            grads = jax.grad(textbook.dense_loss_fn)(thetas[-1], support)
            velocity = grads if velocity is None else jax.tree.map(lambda v, g: 0.9 * v + g, velocity, grads)
            thetas.append(jax.tree.map(lambda p, v: p - INNER_LR * v, thetas[-1], velocity))
        return thetas

    return textbook.mean_query_loss(episode, adapted_path, loss=textbook.dense_loss_fn)


def with_minibatches(params, episode):
    def adapted_path(support):
        halves = [jax.tree.map(lambda a, j=j: a[j::2], support) for j in (0, 1)]
        return dense_path(textbook.sgd(INNER_LR), params, lambda step: halves[step % 2])

    return textbook.mean_query_loss(episode, adapted_path, loss=textbook.dense_loss_fn)


def multi_step(params, episode):
    weights = jnp.asarray([0.375, 0.625])  # a quarter of the way: of 3/4, half each; the rest is the last's
    return textbook.mean_query_loss(
        episode, lambda s: textbook.path(textbook.sgd(INNER_LR), params, all_of(s), STEPS), weights
    )


def head_alone(params, episode, **options):
    def update(theta, grads, step):
        moved = textbook.sgd(INNER_LR)(theta["params"], grads["params"], step)
        return {"params": moved | {"body": theta["params"]["body"]}}

    def adapted_path(support):
        return textbook.path(update, params, all_of(support), STEPS, loss=textbook.dense_loss_fn, **options)

    return textbook.mean_query_loss(episode, adapted_path, loss=textbook.dense_loss_fn)


def rate_per_parameter(meta, episode):
    def update(theta, grads, step):
        return jax.tree.map(lambda p, a, g: p - a * g, theta, meta.rates, grads)

    return with_update(update, meta.params, episode)


def rate_per_layer(meta, episode):
    def update(theta, grads, step):
        rates = meta.rates["params"]
        return {
            "params": {
                name: {k: p - rates[name][step] * grads["params"][name][k] for k, p in layer.items()}
                for name, layer in theta["params"].items()
            }
        }

    return with_update(update, meta.params, episode)


ONE_AND_MORE = {"inner_lr": INNER_LR, "inner_steps": STEPS}
# name: (learner of a loss, the textbook's loss of meta-parameters and episode, the step of training)
ALGORITHMS = {
    "maml": (lambda loss: maml(loss, **ONE_AND_MORE), by_sgd, 0),
    "fomaml": (
        lambda loss: maml(loss, **ONE_AND_MORE, order="first"),
        lambda params, episode: by_sgd(params, episode, constant_gradients=True),
        0,
    ),
    "momentum": (
        lambda loss: maml(loss, inner_steps=STEPS, inner_optimizer=optax.sgd(INNER_LR, momentum=0.9)),
        heavy_ball,
        0,
    ),
    "minibatches": (lambda loss: maml(loss, **ONE_AND_MORE, inner_batch_size=4), with_minibatches, 0),
    "multi_step": (lambda loss: maml(loss, **ONE_AND_MORE, multi_step_episodes=8), multi_step, 2),
    "anil": (lambda loss: anil(loss, **ONE_AND_MORE), head_alone, 0),
    "first-order anil": (
        lambda loss: anil(loss, **ONE_AND_MORE, order="first"),
        lambda params, episode: head_alone(params, episode, constant_gradients=True),
        0,
    ),
    "meta_sgd": (lambda loss: meta_sgd(loss, **ONE_AND_MORE), rate_per_parameter, 0),
    "layer_rates": (lambda loss: layer_rates(loss, **ONE_AND_MORE), rate_per_layer, 0),
}


def relative_difference(a, b):
    a, b = (jax.flatten_util.ravel_pytree(tree)[0] for tree in (a, b))
    return jnp.linalg.norm(a - b) / jnp.linalg.norm(b)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_gradient_is_the_textbooks(name, setting, dense_setting):
    loss_fn, params, episode = dense_setting if name in DENSE else setting
    make, formula, step = ALGORITHMS[name]
    learner = make(loss_fn)
    meta = learner.init(params)
    if isinstance(meta, MetaSGDParams | LayerRatesParams):  # not all rates alike, so that a mix-up shows
        meta = meta._replace(
            rates=jax.tree.map(lambda r: r * (1 + jnp.linspace(0, 0.5, r.size).reshape(r.shape)), meta.rates)
        )
    loss, grads, _ = textbook.optimised(learner.value_and_grad)(meta, episode, step)
    expected_loss, expected = jax.jit(jax.value_and_grad(formula))(meta, episode)
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-12)
    jax.tree.map(lambda g, e: np.testing.assert_allclose(g, e, rtol=1e-9, atol=1e-13), grads, expected)
    assert relative_difference(grads, expected) < 1e-10


@pytest.mark.parametrize("order", ["second", "first"])
def test_the_gradient_with_statistics_of_the_input_is_the_textbooks(order):
    model, params, episode = textbook.statistics_setting()
    learner = maml(cross_entropy(model.apply), **ONE_AND_MORE, order=order)
    of_textbook = functools.partial(textbook.loss_fn, logits=textbook.logits_with_statistics)

    def adapted_path(params, support):
        sgd, constant = textbook.sgd(INNER_LR), order == "first"
        return textbook.path(sgd, params, all_of(support), STEPS, loss=of_textbook, constant_gradients=constant)

    def formula(params):
        return textbook.mean_query_loss(episode, lambda s: adapted_path(params, s), loss=of_textbook)

    loss, grads, _ = textbook.optimised(learner.value_and_grad)(params, episode)
    expected_loss, expected = jax.jit(jax.value_and_grad(formula))(params)
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-12)
    jax.tree.map(lambda g, e: np.testing.assert_allclose(g, e, rtol=1e-9, atol=1e-13), grads, expected)
    assert relative_difference(grads, expected) < 1e-10
    constants = grads["params"].pop("standardise")
    assert all((g == 0).all() for g in jax.tree.leaves(constants))
    assert all((g != 0).any() for g in jax.tree.leaves(grads))


def test_the_gradient_of_the_recommended_network_is_the_derivative_by_finite_differences():
    model, params, episode = textbook.setting("mean_std")
    learner = maml(cross_entropy(model.apply), INNER_LR, 1)
    textbook.assert_is_the_derivative(learner.value_and_grad, params, episode, directions=3)


def test_reptile_moves_towards_the_adapted_parameters(setting):
    loss_fn, params, episode = setting
    learner = reptile(loss_fn, INNER_LR, STEPS)
    _, grads, _ = textbook.optimised(learner.value_and_grad)(params, episode)
    adapted = [
        textbook.path(
            textbook.sgd(INNER_LR),
            params,
            all_of(jax.tree.map(lambda a, task=task: a[task], episode.support)),
            STEPS,
        )[-1]
        for task in (0, 1)
    ]
    expected = jax.tree.map(lambda p, a, b: p - (a + b) / 2, params, *adapted)
    assert relative_difference(grads, expected) < 1e-10


def test_weights_of_the_multi_step_loss():
    np.testing.assert_allclose(multi_step_weights(5, 10, 0), [0.2] * 5, rtol=1e-6)
    np.testing.assert_allclose(multi_step_weights(5, 10, 5), [0.1] * 4 + [0.6], rtol=1e-6)
    np.testing.assert_allclose(multi_step_weights(5, 10, 25), [0, 0, 0, 0, 1], atol=1e-7)


def test_annealed_is_first_order_and_then_second(dense_setting):
    loss_fn, params, episode = dense_setting
    first, second = (maml(loss_fn, **ONE_AND_MORE, order=order).value_and_grad for order in ("first", "second"))
    annealed = jax.jit(maml(loss_fn, **ONE_AND_MORE, order="annealed", anneal_episodes=5).value_and_grad)
    for step, expected in ((0, first), (4, first), (5, second), (99, second)):
        got, want = annealed(params, episode, step), jax.jit(expected)(params, episode)
        jax.tree.map(lambda g, e: np.testing.assert_allclose(g, e, rtol=1e-9, atol=1e-13), got, want)


def test_the_multi_step_loss_ends_with_the_last_step_alone(dense_setting):
    loss_fn, params, episode = dense_setting
    plain = jax.jit(maml(loss_fn, **ONE_AND_MORE).value_and_grad)(params, episode)
    multi_step = jax.jit(maml(loss_fn, **ONE_AND_MORE, multi_step_episodes=8).value_and_grad)
    after = multi_step(params, episode, 8)
    jax.tree.map(lambda g, e: np.testing.assert_allclose(g, e, rtol=1e-9, atol=1e-13), after, plain)
    assert multi_step(params, episode, 0)[0] != plain[0]


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


@pytest.mark.parametrize(
    "optimizer",
    [optax.adam(0.1), optax.adamw(0.1), optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1))],
    ids=["adam", "adamw", "clip_by_global_norm"],
)
def test_an_inner_optimizer_without_a_derivative_at_zero(optimizer):
    """A last layer of zeros leaves the layers before it without a gradient, where these make the meta-gradient NaN."""
    loss_fn, params, episode = textbook.dense_setting()
    params["params"]["output"] = jax.tree.map(jnp.zeros_like, params["params"]["output"])
    for order in ("second", "annealed"):
        learner = maml(loss_fn, order=order, anneal_episodes=int(order == "annealed"), inner_optimizer=optimizer)
        with pytest.raises(InputError, match=r"derivative at a gradient of zero is not finite.*eps_root=1e-12"):
            jax.jit(learner.value_and_grad)(params, episode)
    safe = maml(loss_fn, inner_optimizer=optax.chain(optax.clip(1.0), optax.adam(1e-3, eps_root=1e-12)))
    for learner in (safe, maml(loss_fn, order="first", inner_optimizer=optimizer)):
        _, grads, _ = jax.jit(learner.value_and_grad)(params, episode)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grads))
