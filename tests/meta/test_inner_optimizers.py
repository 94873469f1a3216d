"""Optimizers of the inner loop whose derivative second order needs."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import textbook

from metaser_jax import InputError, maml


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
