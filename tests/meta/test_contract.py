"""What every meta-learner keeps to, whatever its algorithm and however it is computed."""

from functools import partial

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import textbook
from textbook import close

from metaser_jax import Execution, InputError, anil, cross_entropy, layer_rates, maml, meta_sgd, reptile, supervised
from metaser_jax.meta.cautious import cautious_proto_maml
from metaser_jax.meta.proto_maml import proto_maml
from metaser_jax.meta.r2d2 import r2d2
from metaser_jax.training import parallel

pytestmark = pytest.mark.usefixtures("strict_promotion")
COMMON = {"inner_lr": 0.1, "inner_steps": 2}
START = {"last_layer": textbook.DENSE_LAST_LAYER}
LEARNERS = {
    "maml": partial(maml, **COMMON),
    "fomaml": partial(maml, **COMMON, order="first"),
    "annealed": partial(maml, **COMMON, order="annealed", anneal_episodes=3),
    "multi_step": partial(maml, **COMMON, multi_step_episodes=3),
    "anil": partial(anil, **COMMON),
    "meta_sgd": partial(meta_sgd, **COMMON),
    "layer_rates": partial(layer_rates, **COMMON),
    "reptile": partial(reptile, **COMMON),
    "proto_maml": partial(proto_maml, **START, **COMMON),
    "proto_meta_sgd": partial(proto_maml, **START, **COMMON, learn_rates=True),
    "cautious_proto_maml": partial(cautious_proto_maml, **START, **COMMON),
    "cautious_first": partial(cautious_proto_maml, **START, **COMMON, order="first"),
    "r2d2": partial(r2d2, **START),
    "supervised": supervised,
}
each_learner = pytest.mark.parametrize("make", LEARNERS.values(), ids=LEARNERS)
START_ELSEWHERE = ("proto_maml", "proto_meta_sgd", "cautious_proto_maml", "cautious_first")
AFTER_ANNEALING = 100
SGD = optax.sgd(0.2)


@pytest.fixture(scope="module")
def setting():
    return textbook.dense_setting()


@each_learner
def test_shapes_values_order_of_tasks_and_that_it_learns(make, setting):
    loss_fn, params, episode = setting
    learner = make(loss_fn)
    meta = learner.init(params)
    jax.tree.map(np.testing.assert_array_equal, learner.params(meta), params)
    value_and_grad = jax.jit(learner.value_and_grad)
    loss, grads, info = value_and_grad(meta, episode, AFTER_ANNEALING)

    assert jax.tree.map(lambda g: (g.shape, g.dtype), grads) == jax.tree.map(lambda m: (m.shape, m.dtype), meta)
    learned = jax.tree.leaves(grads)
    if make is LEARNERS["r2d2"]:  # whose own last layer is replaced
        learned = jax.tree.leaves(grads._replace(params={**grads.params["params"], "output": ()}))
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(grads))
    assert all(np.any(g != 0) for g in learned)
    assert loss.shape == ()
    assert info.query_loss.shape == info.support_loss.shape == episode.support.y.shape[:1]

    @jax.jit
    def of_task(task):
        return loss_fn(params, task.support), loss_fn(learner.adapt(meta, task.support), task.query)

    support_loss, query_loss = jax.lax.map(of_task, episode)
    if make not in [LEARNERS[name] for name in START_ELSEWHERE]:
        close(info.support_loss, support_loss)
    close(info.query_loss, query_loss)
    close(loss, jnp.mean(query_loss))

    turned = jax.tree.map(lambda a: a[::-1], episode)
    close((loss, grads), value_and_grad(meta, turned, AFTER_ANNEALING)[:2])

    for _ in range(30):  # and it learns
        _, grads, info = value_and_grad(meta, episode, AFTER_ANNEALING)
        meta = jax.tree.map(lambda m, g: m - jnp.float32(0.3) * g, meta, grads)
    assert jnp.mean(info.query_loss) < loss - 0.05


@each_learner
def test_every_execution_and_division_gives_the_same_gradient(make):
    with jax.enable_x64(True):
        loss_fn, params, episode = textbook.dense_setting("float64")
        plain = Execution("vmap", 0, "reverse_over_reverse", "recompute")
        meta = make(loss_fn).init(params)
        reference = jax.jit(make(loss_fn, execution=plain).value_and_grad)(meta, episode)
        other = make(loss_fn, execution=Execution("scan", 3, "forward_over_reverse", "recompute"))
        close(reference, jax.jit(parallel.shard_over_devices(other).value_and_grad)(meta, episode), 1e-11)


def test_what_is_not_given_of_the_execution():
    for steps, utterances, chunk, expected in ((1, 6, 6, "keep"), (1, 999, 0, "keep"), (1, 7, 6, "recompute")):
        assert Execution(chunk=chunk).resolve(steps, utterances).residuals == expected
    assert Execution(chunk=6).resolve(2, 6).residuals == "recompute"
    assert Execution(chunk=6, residuals="keep").resolve(2, 7).residuals == "keep"
    assert None not in Execution().on("cpu").resolve(1, 6)


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_the_step_lowers_for_accelerators(platform):
    with jax.enable_x64(True):
        model, params, episode = textbook.setting()
        learner = maml(cross_entropy(model.apply), execution=Execution("vmap", 0))
        exported = jax.export.export(jax.jit(learner.value_and_grad), platforms=(platform,))(params, episode)
    assert "custom_call @" not in exported.mlir_module(), "nothing that one platform alone has"


@pytest.mark.parametrize("name", ["cautious_proto_maml", "r2d2", "supervised"])
def test_what_weighs_nothing_is_not_there(name):
    """As tasks of mixed shots have it: the learner is the one of the smaller sets."""
    with jax.enable_x64(True):
        loss_fn, params, episode = textbook.dense_setting("float64")
        learner = LEARNERS[name](loss_fn, execution=Execution(chunk=3))
        meta = learner.init(params)
        few = jax.tree.map(lambda a: a[:, :5], episode.support)
        weighted = episode.support._replace(weight=jnp.tile(jnp.arange(8) < 5, (4, 1)).astype("float64"))
        value_and_grad = jax.jit(learner.value_and_grad)
        close(*(value_and_grad(meta, episode._replace(support=support)) for support in (weighted, few)), 1e-11)


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (maml, {"order": "secnd"}, r"order: got 'secnd'.*'second'"),
        (maml, {"inner_steps": 0}, "inner_steps: got 0"),
        (reptile, {"inner_steps": 0}, "inner_steps: got 0"),
        (maml, {"inner_batch_size": 0}, "inner_batch_size: got 0"),
        (maml, {"order": "annealed"}, "anneal_episodes: got 0"),
        (maml, {"anneal_episodes": 3}, "anneal_episodes: got 3"),
        (maml, {"multi_step_episodes": -1}, "multi_step_episodes: got -1"),
        (supervised, {"execution": Execution("pmap")}, "over_tasks: got 'pmap'"),
        (maml, {"execution": Execution(hvp="exact")}, "hvp: got 'exact'"),
        (maml, {"execution": Execution(residuals="drop")}, "residuals: got 'drop'"),
        (maml, {"execution": Execution(chunk=-1)}, "chunk: got -1"),
        *((make, {"inner_lr": 0.1, "inner_optimizer": SGD}, "inner_lr: got 0.1") for make in (maml, anil, reptile)),
    ],
)
def test_bad_arguments(make, options, message):
    with pytest.raises(InputError, match=message):
        make(textbook.dense_loss_fn, **options)


def test_learned_rates_start_at_theirs_beside_an_optimizer(setting):
    for make in (meta_sgd, layer_rates):
        rates = make(setting[0], inner_lr=0.1, inner_optimizer=SGD).init(setting[1]).rates
        assert all(np.all(leaf == np.float32(0.1)) for leaf in jax.tree.leaves(rates))


def test_bad_episodes(setting):
    loss_fn, params, episode = setting
    support, query = episode
    learner = maml(loss_fn)
    for given, message in (
        ((support, query), "episode: got a tuple"),
        (episode._replace(support=(support.x, support.y)), "episode.support: got a tuple"),
        (jax.tree.map(lambda a: a[0], episode), r"episode.support.y: got shape \[8\]"),
        (episode._replace(query=jax.tree.map(lambda a: a[:3], query)), "4 tasks of support and 3 of query"),
        (episode._replace(query=query._replace(x=query.x[:, :5])), r"episode.query.x: got shape \[4, 5, 6, 3\]"),
    ):
        with pytest.raises(InputError, match=message):
            learner.value_and_grad(params, given)
    with pytest.raises(InputError, match="support: got a tuple"):
        learner.adapt(params, (support.x[0], support.y[0]))
    with pytest.raises(InputError, match=r"inner_batch_size: got 3.* 8: 1, 2, 4"):
        maml(loss_fn, inner_batch_size=3).value_and_grad(params, episode)

    def loss(x):
        return learner.value_and_grad(params, episode._replace(query=query._replace(x=x)))[0]

    with pytest.raises(InputError, match="with respect to the utterances is not defined"):
        jax.grad(loss)(query.x)
