"""Cautious ProtoMAML: its gradient against jax.grad of its definition, and how far it goes with few utterances."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import textbook
from test_contract import close
from test_last_layer import member_layer, member_loss, members_setting

from metaser_jax import Batch, Execution, cross_entropy
from metaser_jax.meta.cautious import FASTER, Caution, CautiousParams, cautious_proto_maml
from metaser_jax.meta.last_layer import PrototypeStart
from metaser_jax.meta.proto_maml import ProtoParams, proto_maml
from metaser_jax.models.classifier import last_layer, trained_logits

STEPS = 2


def learned(params):
    """Meta-parameters of which each number differs from where it starts; float64."""
    layers = params["params"]
    rates = {"params": {name: jnp.float64(0.03 * (i - 8)) for i, name in enumerate(layers)}}
    return CautiousParams(params, Caution(*map(jnp.float64, (0.03, 0.02, 0.05, 0.07)), rates))


def written_out(meta, support):
    """The adapted parameters as the definition has them, from gradients that `constant` may hold constant."""
    caution = jax.tree.map(lambda number: 10 * number, meta.caution)
    begin = member_layer(PrototypeStart(caution.blend, caution.log_scale), meta.params, support)

    def update(theta, grads, step):
        return {
            "params": {
                name: jax.tree.map(lambda p, g, n=name: p - jnp.exp(caution.log_rates["params"][n]) * g, layer, of)
                for (name, layer), of in zip(theta["params"].items(), grads["params"].values(), strict=True)
            }
        }

    per_class = jnp.zeros(4).at[support.y].add(support.weight)
    k = per_class.sum() / jnp.maximum((per_class > 0).sum(), 1)
    w = k / (k + jnp.exp(caution.log_clips)) / (1 + jnp.exp(-caution.trust))
    return begin, update, w


@pytest.mark.parametrize("order", ["second", "first"])
def test_it_is_the_derivative_of_its_definition(order):
    """Of two networks side by side, with weights of which some are zero."""
    assert FASTER == 10
    with jax.enable_x64(True):
        model, params, episode = members_setting()
        loss_fn, where = cross_entropy(trained_logits(model)), last_layer(model)
        learner = cautious_proto_maml(loss_fn, where, 0.3, STEPS, order, execution=Execution(chunk=3))
        meta = learned(params)

        def book(meta):
            def of_task(task):
                begin, update, w = written_out(meta, task.support)
                path = textbook.path(
                    update,
                    begin,
                    lambda step: task.support,
                    STEPS,
                    loss=member_loss,
                    constant_gradients=order == "first",
                )
                kept = jax.tree.map(lambda source, end: source + w * (end - source), meta.params, path[-1])
                return member_loss(kept, task.query)

            return jnp.mean(jax.vmap(of_task)(episode))

        assert jax.tree.structure(learner.init(params)) == jax.tree.structure(meta)
        close(jax.jit(learner.value_and_grad)(meta, episode)[:2], jax.jit(jax.value_and_grad(book))(meta), 1e-10)


def of_one_task():
    loss_fn, params, episode = textbook.dense_setting()
    learner = cautious_proto_maml(loss_fn, textbook.DENSE_LAST_LAYER, 0.1, STEPS)
    return learner, learner.init(params), jax.tree.map(lambda a: a[0], episode.support)


def test_of_no_utterance_nothing_is_learned():
    learner, meta, support = of_one_task()
    nothing = support._replace(weight=jnp.zeros(len(support.y)))
    jax.tree.map(np.testing.assert_array_equal, learner.adapt(meta, nothing), meta.params)


@pytest.mark.parametrize("counts", [(1, 1, 1), (4, 0, 0), (3, 0, 1), (0, 2, 2)])
def test_how_far_it_goes(counts):
    """By w = sigmoid(trust) k / (k + clips) of ProtoMAML's way, k of the classes that are there."""
    learner, meta, support = of_one_task()
    y = np.repeat(np.arange(3), counts)
    support = Batch(support.x[: len(y)], jnp.asarray(y, jnp.int32))
    loss_fn, where = textbook.dense_loss_fn, textbook.DENSE_LAST_LAYER
    proto = proto_maml(loss_fn, where, 0.1, STEPS)
    whole = proto.adapt(ProtoParams(meta.params, PrototypeStart(jnp.float32(1.0), jnp.float32(0.0)), None), support)

    k = np.mean([count for count in counts if count])
    w = k / (k + 3) / (1 + np.exp(-3))
    close(learner.adapt(meta, support), jax.tree.map(lambda a, b: a + w * (b - a), meta.params, whole), 1e-5)
