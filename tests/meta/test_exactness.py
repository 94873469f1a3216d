"""Every meta-gradient against jax.grad of the textbook formula, in float64, and against finite differences."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import textbook
from textbook import INNER_LR

from metaser_jax import Batch, Episode, Execution, anil, cross_entropy, layer_rates, maml, meta_sgd, reptile, supervised
from metaser_jax.errors import InputError
from metaser_jax.meta.bilevel import multi_step_weights
from metaser_jax.meta.learned_rates import LayerRatesParams, MetaSGDParams

STEPS = 2
COMMON = {"inner_lr": INNER_LR, "inner_steps": STEPS}


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def dense():
    with jax.enable_x64(True):
        return textbook.dense_setting("float64")


def assert_equal(got, expected):
    """Number by number, and of the whole relative to its length."""
    jax.tree.map(lambda g, e: np.testing.assert_allclose(g, e, rtol=1e-9, atol=1e-13), got, expected)
    a, b = (jax.flatten_util.ravel_pytree(tree)[0] for tree in (got, expected))
    assert jnp.linalg.norm(a - b) < 1e-10 * jnp.linalg.norm(b)


def sgd(meta, thetas, grads, step):
    return jax.tree.map(lambda p, g: p - INNER_LR * g, thetas[-1], grads)


def heavy_ball(meta, thetas, grads, step):
    before = thetas[-2] if step else thetas[-1]
    return jax.tree.map(lambda p, g, b: p - INNER_LR * g + 0.9 * (p - b), thetas[-1], grads, before)


def of_the_head(meta, thetas, grads, step):
    return {"params": sgd(meta, thetas, grads, step)["params"] | {"body": thetas[-1]["params"]["body"]}}


def rate_per_parameter(meta, thetas, grads, step):
    return jax.tree.map(lambda p, rate, g: p - rate * g, thetas[-1], meta.rates, grads)


def rate_per_layer(meta, thetas, grads, step):
    def of_layer(rates, layer, grads):
        return jax.tree.map(lambda p, g: p - rates[step] * g, layer, grads)

    return jax.tree.map(of_layer, meta.rates, thetas[-1], grads)


def halves(support, step):
    return jax.tree.map(lambda a: a[step % 2 :: 2], support)


def meta_loss(loss, meta, episode, update=sgd, part=lambda support, step: support, weights=None, **options):
    """The mean query loss after the inner steps, or after each with weights; `part`: of the support set, of a step."""

    def adapted_path(support):
        start, steps = getattr(meta, "params", meta), functools.partial(update, meta)
        return textbook.path(steps, start, lambda step: part(support, step), STEPS, loss=loss, **options)

    return textbook.mean_query_loss(episode, adapted_path, weights, loss=loss)


MOMENTUM = {"inner_steps": STEPS, "inner_optimizer": optax.sgd(INNER_LR, momentum=0.9)}
FIRST, HEAD = {"constant_gradients": True}, {"update": of_the_head}
# A quarter of the way: of 3/4, half each; the rest is the last's.
MULTI_STEP = {"weights": (0.375, 0.625)}
# name: (network, learner of a loss, how the textbook's loss is made, the step of training).
ALGORITHMS = {
    "maml": ("lstm", functools.partial(maml, **COMMON), {}, 0),
    "statistics of the input": ("statistics", functools.partial(maml, **COMMON), {}, 0),
    "fomaml": ("dense", functools.partial(maml, **COMMON, order="first"), FIRST, 0),
    "momentum": ("dense", functools.partial(maml, **MOMENTUM), {"update": heavy_ball}, 0),
    "minibatches": ("dense", functools.partial(maml, **COMMON, inner_batch_size=4), {"part": halves}, 0),
    "multi_step": ("dense", functools.partial(maml, **COMMON, multi_step_episodes=8), MULTI_STEP, 2),
    "anil": ("dense", functools.partial(anil, **COMMON), HEAD, 0),
    "fo-anil": ("dense", functools.partial(anil, **COMMON, order="first"), HEAD | FIRST, 0),
    "meta_sgd": ("dense", functools.partial(meta_sgd, **COMMON), {"update": rate_per_parameter}, 0),
    "layer_rates": ("dense", functools.partial(layer_rates, **COMMON), {"update": rate_per_layer}, 0),
}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_gradient_is_the_textbooks(name, dense):
    network, make, how, step = ALGORITHMS[name]
    if network == "dense":
        loss_fn, params, episode = dense
        book_loss = loss_fn
    else:
        statistics = network == "statistics"
        model, params, episode = textbook.setting("mean" if statistics else "last", statistics)
        logits = textbook.logits_with_statistics if statistics else textbook.logits
        loss_fn, book_loss = cross_entropy(model.apply), functools.partial(textbook.loss_fn, logits=logits)
    learner = make(loss_fn)
    meta = learner.init(params)
    if isinstance(meta, MetaSGDParams | LayerRatesParams):  # not all rates alike, so that a mix-up shows
        rates = jax.tree.map(lambda r: r * (1 + jnp.linspace(0, 0.5, r.size).reshape(r.shape)), meta.rates)
        meta = meta._replace(rates=rates)
    formula = functools.partial(meta_loss, book_loss, **how)
    loss, grads, _ = textbook.optimised(learner.value_and_grad)(meta, episode, step)
    expected_loss, expected = jax.jit(jax.value_and_grad(formula))(meta, episode)
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-12)
    assert_equal(grads, expected)
    if network == "statistics":
        assert all((g == 0).all() for g in jax.tree.leaves(grads["params"].pop("standardise")))
        assert all((g != 0).any() for g in jax.tree.leaves(grads))


def test_the_gradient_of_the_recommended_network_is_the_derivative_by_finite_differences():
    model, params, episode = textbook.setting("mean_std")
    learner = maml(cross_entropy(model.apply), INNER_LR, 1)
    textbook.assert_is_the_derivative(learner.value_and_grad, params, episode, directions=3)


def test_reptile_moves_towards_the_adapted_parameters(dense):
    loss_fn, params, episode = dense

    @jax.jit
    @jax.vmap
    def adapted(support):
        return textbook.path(functools.partial(sgd, None), params, lambda step: support, STEPS, loss=loss_fn)[-1]

    _, grads, _ = textbook.optimised(reptile(loss_fn, **COMMON).value_and_grad)(params, episode)
    assert_equal(grads, jax.tree.map(lambda p, a: p - jnp.mean(a, axis=0), params, adapted(episode.support)))


def test_what_changes_with_the_episodes(dense):
    """Annealed is first order and then second; the multi-step loss ends with the last step alone."""
    for step, weights in ((0, [0.2] * 5), (5, [0.1] * 4 + [0.6]), (25, [0, 0, 0, 0, 1])):
        np.testing.assert_allclose(multi_step_weights(5, 10, step), weights, rtol=1e-6, atol=1e-7)
    loss_fn, params, episode = dense
    hows = {"order": "first"}, {}, {"order": "annealed", "anneal_episodes": 5}, {"multi_step_episodes": 8}
    first, second, annealed, multi_step = (jax.jit(maml(loss_fn, **COMMON, **how).value_and_grad) for how in hows)
    first, second = (of(params, episode) for of in (first, second))
    for step, expected in ((0, first), (4, first), (5, second), (99, second)):
        assert_equal(annealed(params, episode, step), expected)
    assert_equal(multi_step(params, episode, 8), second)
    assert multi_step(params, episode, 0)[0] != second[0]


@pytest.mark.parametrize("weighted", [False, True])
def test_supervised_is_the_gradient_of_the_mean_over_all_utterances(weighted, dense):
    loss_fn, params, episode = dense
    if weighted:
        weight = jnp.asarray(np.random.default_rng(3).uniform(size=episode.support.y.shape))
        episode = Episode(episode.support._replace(weight=weight), episode.query._replace(weight=weight**2))
    episode = episode._replace(query=jax.tree.map(lambda a: a[:, :3], episode.query))  # fewer queries than supports

    def loss(params):
        together = jax.tree.map(lambda *parts: jnp.concatenate(parts, axis=1), *episode)
        return jnp.mean(jax.vmap(loss_fn, (None, 0))(params, together))

    learner = supervised(loss_fn, execution=Execution(chunk=3))
    value, grads, info = jax.jit(learner.value_and_grad)(params, episode)
    assert_equal(grads, jax.jit(jax.grad(loss))(params))
    np.testing.assert_allclose(value, jnp.mean(info.query_loss), rtol=1e-12)
    if weighted:
        nothing = Episode(*(Batch(part.x[:1], part.y[:1], 0 * part.weight[:1]) for part in episode))
        _, grads, _ = jax.jit(learner.value_and_grad)(params, nothing)
        assert all(np.all(g == 0) for g in jax.tree.leaves(grads))


def test_an_inner_optimizer_without_a_derivative_at_zero():
    """A last layer of zeros leaves the layers before it without a gradient, where these make the meta-gradient NaN."""
    loss_fn, params, episode = textbook.dense_setting()
    params["params"]["output"] = jax.tree.map(jnp.zeros_like, params["params"]["output"])
    adam, clipped = optax.adam(0.1), optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1))
    for optimizer in (adam, optax.adamw(0.1), clipped):
        for order in ("second", "annealed"):
            learner = maml(loss_fn, order=order, anneal_episodes=int(order == "annealed"), inner_optimizer=optimizer)
            with pytest.raises(InputError, match=r"derivative at a gradient of zero is not finite.*eps_root=1e-12"):
                jax.eval_shape(learner.value_and_grad, params, episode)
    safe = maml(loss_fn, inner_optimizer=optax.chain(optax.clip(1.0), optax.adam(1e-3, eps_root=1e-12)))
    for learner in (safe, maml(loss_fn, order="first", inner_optimizer=adam)):
        _, grads, _ = jax.jit(learner.value_and_grad)(params, episode)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grads))
