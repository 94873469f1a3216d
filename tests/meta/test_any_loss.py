"""Any scalar loss of (params, batch) has its textbook value by default, whatever the sizes of the sets."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import textbook
from test_contract import COMMON, LEARNERS
from textbook import close

from metaser_jax import Execution, InputError, cross_entropy, maml, mean_loss, supervised
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
