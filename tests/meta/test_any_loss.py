"""Any scalar loss of (params, batch), of any types, has its textbook value by default, whatever the sets' sizes."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import textbook
from test_contract import COMMON, LEARNERS
from textbook import close

from metaser_jax import Batch, Execution, InputError, cross_entropy, maml, mean_loss, supervised
from metaser_jax.meta.execution import AUTO, CHUNK_ELSEWHERE, CPU_CHUNK

N_ABOVE = CPU_CHUNK + 5
# The others take the loss where these do.
OF_THEIR_OWN = ("maml", "reptile", "r2d2", "supervised")
logits, losses_of = textbook.dense_logits, optax.softmax_cross_entropy_with_integer_labels


def batch_statistics(params, batch):
    out = logits(params, batch.x)
    return jnp.mean(losses_of((out - jnp.mean(out, 0)) / (jnp.std(out, 0) + 0.1), batch.y))


def contrastive(params, batch):
    out = logits(params, batch.x)
    nearness = out @ out.T - 1e9 * jnp.eye(len(out))
    alike = (batch.y[:, None] == batch.y) & ~jnp.eye(len(out), dtype=bool)
    return -jnp.mean(jnp.sum(jnp.where(alike, jax.nn.log_softmax(nearness), 0), axis=1))


def all_of_them(params, batch):
    """One loss of all, which is wrong where one of them is: compiling is what takes time here."""
    total = jnp.sum(losses_of(logits(params, batch.x), batch.y)) / 10
    return batch_statistics(params, batch) + contrastive(params, batch) + total


@pytest.mark.parametrize(("name", "n"), [("maml", 6), *((name, N_ABOVE) for name in OF_THEIR_OWN)])
def test_every_execution_has_the_textbooks_value(name, n):
    """The reference: jax.grad over the whole inner loop, each set as a whole; sets below a chunk and above."""
    plain = Execution("vmap", 0, "reverse_over_reverse", "recompute")
    others = [Execution(), Execution("vmap", residuals="keep")]
    with jax.enable_x64(True):
        _, params, _ = textbook.dense_setting("float64")
        episode = textbook.episode_of(2, n, "float64")

        @jax.jit
        def values():
            def of(execution):
                learner = LEARNERS[name](all_of_them, execution=execution)
                return learner.value_and_grad(learner.init(params), episode)

            of_book = jax.value_and_grad(textbook.maml_loss, argnums=1)
            book = of_book(all_of_them, params, episode) if name == "maml" else of(plain)[:2]
            return book, [of(execution)[:2] for execution in others]

        book, found = values()
    for other in found:
        close(book, other, 1e-10)


def test_a_mean_is_chunked_and_nothing_else():
    """cross_entropy and mean_loss say that they are means; a loss that is wrongly said to be one shows the chunks."""
    with jax.enable_x64(True):
        _, params, _ = textbook.dense_setting("float64")
        episode = textbook.episode_of(2, N_ABOVE, "float64")

        def loss_of(loss, execution):
            return jax.jit(maml(loss, **COMMON, execution=execution).value_and_grad)(params, episode)[0]

        marked = mean_loss(lambda params, batch: losses_of(logits(params, batch.x) / len(batch.y), batch.y))
        assert loss_of(marked, Execution(chunk=0)) != loss_of(marked, Execution())
        honest = mean_loss(lambda params, batch: losses_of(logits(params, batch.x), batch.y))
        close(loss_of(honest, Execution()), loss_of(cross_entropy(logits), Execution(chunk=0)), 1e-12)
    with pytest.raises(InputError, match=r"chunk: got 20.*mean_loss"):
        maml(contrastive, execution=Execution(chunk=20))


def test_supervised_takes_support_and_query_together():
    _, params, episode = textbook.dense_setting()
    task = jax.tree.map(lambda a: a[:1], episode)
    together = jax.tree.map(lambda s, q: jnp.concatenate([s[0], q[0]]), task.support, task.query)
    weighted = task._replace(query=task.query._replace(weight=jnp.full(task.query.y.shape, 2.0)))
    for one in (task, weighted):
        _, grads, _ = supervised(batch_statistics).value_and_grad(params, one)
        close(grads, jax.grad(batch_statistics)(params, together))


def test_defaults_are_of_the_platform_that_a_program_is_lowered_for():
    _, params, _ = textbook.dense_setting()
    n = CHUNK_ELSEWHERE + 1
    episode = textbook.episode_of(3, n, "float32")

    def loops(platform, execution=AUTO):
        step = jax.jit(maml(cross_entropy(logits), execution=execution).value_and_grad).trace(params, episode)
        return step.lower(lowering_platforms=(platform,)).as_text().count("stablehlo.while")

    expected = [loops("cpu", Execution("vmap", CHUNK_ELSEWHERE)), loops("cpu", Execution("scan", CPU_CHUNK))]
    assert [loops("cuda"), loops("cpu")] == expected
    assert expected[0] != expected[1]
    assert np.isfinite(jax.jit(maml(cross_entropy(logits)).value_and_grad)(params, episode)[0])


# Parameters, x, and the error that the smaller of the two types may leave.
TYPES = {
    "bfloat16 parameters": ("bfloat16", "float32", 0.05),
    "bfloat16 data": ("float32", "bfloat16", 0.05),
    "float64 parameters": ("float64", "float32", 1e-6),
    "float64 data": ("float32", "float64", 1e-5),
}


def assert_as_expected(loss_and_grads, expected, params, tolerance):
    """Types are those of the parameters; the error is relative to the whole gradient."""
    loss, grads = loss_and_grads[:2]
    assert jax.tree.map(lambda g: g.dtype, grads) == jax.tree.map(lambda p: p.dtype, params)
    got, want = (jax.flatten_util.ravel_pytree(cast(of, "float64"))[0] for of in (grads, expected[1]))
    assert np.linalg.norm(got - want) < tolerance * np.linalg.norm(want)
    np.testing.assert_allclose(np.float64(loss), np.float64(expected[0]), rtol=tolerance)


def cast(tree, floats):
    return jax.tree.map(lambda a: a.astype(floats) if jnp.issubdtype(a.dtype, jnp.floating) else a, tree)


@pytest.mark.parametrize(
    "name", ["maml", "multi_step", "meta_sgd", "layer_rates", "reptile", "cautious_proto_maml", "r2d2", "supervised"]
)
def test_any_types(name):
    """The result has the parameters' types, and the value of float64 up to rounding; second order that of jax.grad."""
    with jax.enable_x64(True):
        loss_fn, params, episode = textbook.dense_setting()
        episode = jax.tree.map(lambda a: jnp.tile(a, (1, 3) + (1,) * (a.ndim - 2)), episode)  # more than a chunk
        learner = LEARNERS[name](loss_fn)
        of = jax.jit(lambda params, episode: learner.value_and_grad(learner.init(params), episode))
        book = jax.jit(jax.value_and_grad(lambda params, episode: textbook.maml_loss(loss_fn, params, episode)))
        names = tuple(TYPES) if name == "maml" else ("bfloat16 parameters", "float64 data")
        for of_params, of_x, tolerance in map(TYPES.get, names):
            given = cast(params, of_params), cast(episode, of_x)
            exact = cast(given, "float64")
            # Reptile's gradient is the difference of parameters, which differ in their last bits.
            tolerance *= 4 if name == "reptile" else 1
            assert_as_expected(of(*given), of(*exact), learner.init(given[0]), tolerance)
            if name == "maml":
                assert_as_expected(of(*given), book(*exact), given[0], tolerance)
        adapted = jax.jit(lambda params, support: learner.adapt(learner.init(params), support))
        task = jax.tree.map(lambda a: a[0], episode.support)
        assert all(leaf.dtype == "bfloat16" for leaf in jax.tree.leaves(adapted(cast(params, "bfloat16"), task)))


def test_labels():
    """Whole numbers of any type, one-hot labels of any type, and probabilities."""
    logits, y = jnp.asarray(np.random.default_rng(0).normal(size=(3, 4)), "float32"), jnp.array([0, 3, 1])
    loss_fn = cross_entropy(lambda params, x: x)
    expected = loss_fn({}, Batch(logits, y))
    for labels in (y.astype(jnp.uint8), *(jax.nn.one_hot(y, 4, dtype=of) for of in ("int32", "bfloat16", "float32"))):
        np.testing.assert_allclose(loss_fn({}, Batch(logits, labels)), expected, rtol=1e-6)
    for wrong in (y.astype("float32"), jax.nn.one_hot(y, 5)):
        with pytest.raises(InputError, match=r"batch.y: got float32\[3"):
            loss_fn({}, Batch(logits, wrong))
