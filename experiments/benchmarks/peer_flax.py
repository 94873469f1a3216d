"""MAML as a flax user writes it first: nn.RNN(nn.OptimizedLSTMCell), jax.grad, jax.vmap over tasks, one jit."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from problem import CLASSES, INNER_LR, Problem, Weights
from race import Variant, xla_variant


class Network(nn.Module):
    hidden_dim: int

    @nn.compact
    def __call__(self, x):
        for layer in ("lstm_1", "lstm_2"):
            x = nn.RNN(nn.OptimizedLSTMCell(self.hidden_dim, name=layer))(x)
        return nn.Dense(CLASSES, name="output")(nn.Dense(self.hidden_dim, name="hidden")(x[:, -1]))


def build(name: str, order: str, problem: Problem, memory_limit: float) -> Variant:
    network = Network(problem.setting.hidden_dim)

    def loss_fn(params, x, y):
        logits = network.apply({"params": params}, x)
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

    def task_loss(params, support, query):
        for _ in range(problem.setting.inner_steps):
            grads = jax.grad(loss_fn)(params, *support)
            if order == "first":
                grads = jax.lax.stop_gradient(grads)
            params = jax.tree.map(lambda p, g: p - INNER_LR * g, params, grads)
        return loss_fn(params, *query)

    def meta_loss(params, support, query):
        return jnp.mean(jax.vmap(task_loss, in_axes=(None, 0, 0))(params, support, query))

    arguments = (_to_flax(problem.weights), problem.support, problem.query)
    return xla_variant(
        name, jax.value_and_grad(meta_loss), arguments, memory_limit, gradients=lambda result: _from_flax(result[1])
    )


def _to_flax(weights: Weights) -> Weights:
    """flax has one kernel per gate: ii, if, ig, io of the input, hi, hf, hg, ho of the state with the biases."""
    params = dict(weights)
    for layer in ("lstm_1", "lstm_2"):
        inputs, states, biases = (
            np.split(weights[layer][name], 4, axis=-1) for name in ("kernel_input", "kernel_recurrent", "bias")
        )
        params[layer] = {f"i{gate}": {"kernel": kernel} for gate, kernel in zip("ifgo", inputs, strict=True)}
        for gate, kernel, bias in zip("ifgo", states, biases, strict=True):
            params[layer][f"h{gate}"] = {"kernel": kernel, "bias": bias}
    return params


def _from_flax(params: Weights) -> Weights:
    weights = jax.tree.map(np.asarray, dict(params))
    for layer in ("lstm_1", "lstm_2"):
        cell = weights[layer]
        weights[layer] = {
            "kernel_input": np.concatenate([cell[f"i{gate}"]["kernel"] for gate in "ifgo"], axis=-1),
            "kernel_recurrent": np.concatenate([cell[f"h{gate}"]["kernel"] for gate in "ifgo"], axis=-1),
            "bias": np.concatenate([cell[f"h{gate}"]["bias"] for gate in "ifgo"], axis=-1),
        }
    return weights
