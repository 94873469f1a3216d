"""Networks that learn side by side learn as each would alone: the inner steps do not shrink with their number."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import textbook

from metaser_jax.models.classifier import make_network, trained_logits
from metaser_jax.models.losses import cross_entropy
from metaser_jax.specs import MetaTrainSpec
from metaser_jax.training.trainer import make_learner, no_utterances
from metaser_jax.types import Episode

SPEC = {"sources": ("a",), "network": "perceptron", "features": "voice", "hidden_dim": 3, "inner_lr": 0.5}
MEMBERS = 2
RNG = np.random.default_rng(0)


def episodes_of(x_size, number=3):
    def batch():
        y = jnp.asarray(RNG.integers(0, 4, (2, 8)), jnp.int32)
        return textbook.Batch(jnp.asarray(RNG.normal(size=(2, 8, 1, x_size))), y)

    return [Episode(batch(), batch()) for _ in range(number)]


@pytest.mark.parametrize(
    "flags",
    [
        {"algorithm": "maml", "inner_steps": 2},
        {"algorithm": "meta_sgd", "inner_optimizer": "momentum", "order": "first"},
        {"algorithm": "maml", "inner_optimizer": "adam", "inner_lr": 0.1, "order": "first"},
    ],
    ids=lambda flags: f"{flags['algorithm']} {flags.get('inner_optimizer', 'sgd')}",
)
def test_members_learn_as_each_would_alone(flags):
    with jax.enable_x64(True):
        spec, alone = (MetaTrainSpec(**SPEC | flags, members=members) for members in (MEMBERS, 1))
        params = make_network(spec).init(jax.random.key(0), no_utterances(spec))
        params = jax.tree.map(lambda p: p.astype("float64"), params)
        episodes = episodes_of(spec.coefs)

        def trained(spec, params):
            learner = make_learner(spec, cross_entropy(trained_logits(make_network(spec))))
            optimizer = optax.adam(0.05, eps=1e-20)
            meta, value_and_grad = learner.init(params), jax.jit(learner.value_and_grad)
            state, losses = optimizer.init(meta), []
            for episode in episodes:
                loss, grads, _ = value_and_grad(meta, episode)
                updates, state = optimizer.update(grads, state, meta)
                meta = optax.apply_updates(meta, updates)
                losses.append(loss)
            return learner.params(meta), losses

        together, losses = trained(spec, params)
        each = [trained(alone, jax.tree.map(lambda p, m=m: p[m : m + 1], params)) for m in range(MEMBERS)]
        # Adam's epsilon is beside gradients of other sizes.
        tolerance = 1e-2 if flags.get("inner_optimizer") == "adam" else 1e-9
        for m, (own, _) in enumerate(each):
            jax.tree.map(
                lambda a, b, m=m: np.testing.assert_allclose(a[m : m + 1], b, rtol=tolerance, atol=tolerance),
                together,
                own,
            )
        np.testing.assert_allclose(losses, np.mean([of for _, of in each], axis=0), rtol=tolerance)
