"""The meta-step's matrix products alone, by XLA: a limit for whatever leaves its products to XLA.

Of each LSTM layer (input x, states h, gradient of the gates d; a tangent has a dot):

  gradient            x W_x,  h W_h *;                                  forward
                      d W_h^T *,  d W_x^T (layer 2);                    backward
                      x^T d,  h^T d                                     of the weights
  tangent of it       h. W_h *,  h W_h.,  x W_x.,  x. W_x (layer 2)
                      d. W_h^T *,  d W_h.^T,  d. W_x^T and d W_x.^T (layer 2)
                      x^T d.,  h^T d.,  h.^T d,  x.^T d (layer 2)

Those with a star are recurrent: a loop of 120 small products. The others are one large product each. First order takes
the gradient on each inner step's support set and on the query set; second order also the tangent of each inner step.
The dense layers are left out: they see one of 120 frames.

There is no elementwise work but on arrays of a weight's size: the result of a product stands in for the activations
of its shape, so every product needs another's result, and none can be dropped, merged or moved out of a loop.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec as P
from problem import COEFFICIENTS, FRAMES, Problem, Setting
from race import Variant, xla_variant

from metaser_jax.training import parallel


class Kernels(NamedTuple):
    """Attributes: x1 [coef, 4H], h1 [H, 4H], x2 [H, 4H], h2 [H, 4H]."""

    x1: jax.Array
    h1: jax.Array
    x2: jax.Array
    h2: jax.Array


class Sequences(NamedTuple):
    """Attributes: x [..., time, n, coef]; s1, s2 [..., time, n, H]: what stands for the layers' states."""

    x: jax.Array
    s1: jax.Array
    s2: jax.Array


def gflop(setting: Setting, order: str) -> float:
    """Floating-point operations of `build`'s program, counted from the model."""
    hidden, frame = setting.hidden_dim, COEFFICIENTS
    # Per frame and gate unit, the sum of the products' other sides.
    gradient = (3 * hidden + 2 * frame) + (3 * hidden + 3 * hidden)
    tangent = (6 * hidden + 2 * frame) + (6 * hidden + 6 * hidden)
    support = gradient + (tangent if order == "second" else 0)
    frames = FRAMES * (setting.inner_steps * setting.support * support + setting.query * gradient)
    return setting.tasks * frames * 2 * 4 * hidden / 1e9


def _recurrent(kernel: jax.Array, start: jax.Array) -> jax.Array:
    """A loop's forward and backward product in each step: [n, H] -> [n, 4H] -> [n, H]."""
    return jax.lax.scan(lambda h, _: ((h @ kernel) @ kernel.T, None), start, length=FRAMES)[0]


def _flat(sequence: jax.Array) -> jax.Array:
    return sequence.reshape(-1, sequence.shape[-1])


def _gradient(w: Kernels, data: Sequences) -> tuple[Kernels, jax.Array]:
    n = data.x.shape[-2]
    x, s1, s2 = map(_flat, data)
    d2 = s1 @ w.x2
    dx = d2 @ w.x2.T
    d1 = x @ w.x1
    grads = Kernels(x1=x.T @ d1, h1=dx.T @ d1, x2=s1.T @ d2, h2=s2.T @ d2)
    last = _recurrent(w.h2, _recurrent(w.h1, s1[:n]))
    return _mean(grads, x.shape[0]), jnp.sum(last)


def _tangent(w: Kernels, v: Kernels, data: Sequences) -> tuple[Kernels, jax.Array]:
    n = data.x.shape[-2]
    x, s1, s2 = map(_flat, data)
    x_v1 = x @ v.x1
    h_v1 = s1 @ v.h1
    d_v1 = x_v1 @ v.h1.T
    x_v2 = s1 @ v.x2
    h_v2 = s2 @ v.h2
    x_w2 = d_v1 @ w.x2
    d_v2 = h_v2 @ v.h2.T
    d_w2 = x_w2 @ w.x2.T
    d_vx2 = x_v2 @ v.x2.T
    products = Kernels(
        x1=x.T @ h_v1,
        h1=s1.T @ h_v1 + d_v1.T @ x_v1,
        x2=d_w2.T @ x_v2 + d_vx2.T @ x_w2,
        h2=s2.T @ h_v2 + d_v2.T @ x_v2,
    )
    last = _recurrent(w.h2, _recurrent(w.h1, d_v1[:n]))
    return _mean(products, x.shape[0]), jnp.sum(last)


def _mean(kernels: Kernels, rows: int) -> Kernels:
    return Kernels(*(k / rows for k in kernels))


def _step(w: Kernels, direction: Kernels) -> Kernels:
    # Small, so that values stay finite however many steps there are.
    return Kernels(*(a - 1e-3 * b for a, b in zip(w, direction, strict=True)))


def _task(w: Kernels, support: Sequences, query: Sequences, inner_steps: int, order: str):
    def inner(w, _):
        grads, last = _gradient(w, support)
        return _step(w, grads), (w, last)

    def back(v, w):
        product, last = _tangent(w, v, support)
        return _step(v, product), last

    adapted, (path, lasts) = jax.lax.scan(inner, w, length=inner_steps)
    v, last = _gradient(adapted, query)
    total = last + jnp.sum(lasts)
    if order == "second":
        v, lasts = jax.lax.scan(back, v, path, reverse=True)
        total += jnp.sum(lasts)
    return v, total


def build(name: str, order: str, problem: Problem, memory_limit: float) -> Variant:
    setting = problem.setting
    random = np.random.default_rng(0)
    hidden = setting.hidden_dim

    def kernel(inputs: int) -> np.ndarray:
        # Orthonormal rows: the recurrent loop neither grows nor vanishes.
        columns = np.linalg.qr(random.standard_normal((4 * hidden, inputs)))[0]
        return np.ascontiguousarray(columns.T, np.float32)

    def sequences(n: int) -> Sequences:
        shapes = [(setting.tasks, FRAMES, n, size) for size in (COEFFICIENTS, hidden, hidden)]
        return Sequences(*(random.standard_normal(shape, np.float32) for shape in shapes))

    def tasks(w: Kernels, support: Sequences, query: Sequences):
        def task(batches):
            return _task(w, *batches, setting.inner_steps, order)

        # As ours: one after another on a CPU, all at once on a GPU.
        over_tasks = jax.lax.map if jax.default_backend() == "cpu" else lambda f, xs: jax.vmap(f)(xs)
        return over_tasks(task, (support, query))

    mesh = parallel.task_mesh(setting.tasks)
    over = P(parallel.TASKS)
    specs = {"in_specs": (P(), over, over), "out_specs": over}
    variant = xla_variant(
        name,
        jax.shard_map(tasks, mesh=mesh, check_vma=False, **specs),
        (
            Kernels(kernel(COEFFICIENTS), kernel(hidden), kernel(hidden), kernel(hidden)),
            sequences(setting.support),
            sequences(setting.query),
        ),
        memory_limit,
        compiler_options=parallel.compiler_options(),
    )
    variant.gflop = gflop(setting, order)
    return variant
