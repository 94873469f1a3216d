"""The forward loop over time three ways, for a TPU: jax.lax.scan, the same unrolled, and one Pallas kernel.

Not part of metaser_jax: it shows what the compiler makes of each. All three are (projections z [task, time, n, 4H],
kernel_recurrent [task, H, 4H]) -> states [task, time, n, H], float32, each task with weights of its own.
"""

import functools

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl


def _cell(z: jax.Array, c: jax.Array) -> tuple[jax.Array, jax.Array]:
    hidden = c.shape[-1]
    i, f, g, o = (z[..., k * hidden : (k + 1) * hidden] for k in range(4))
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


def by_scan(z: jax.Array, kernel: jax.Array, unroll: int = 1) -> jax.Array:
    def of_task(z, kernel):
        def step(carry, z):
            h, c = carry
            h, c = _cell(z + h @ kernel, c)
            return (h, c), h

        zeros = jnp.zeros((z.shape[1], kernel.shape[0]), z.dtype)
        return jax.lax.scan(step, (zeros, zeros), z, unroll=unroll)[1]

    return jax.vmap(of_task)(z, kernel)


def by_kernel(z: jax.Array, kernel: jax.Array, interpret: bool = False) -> jax.Array:
    """A program of the kernel's grid takes a task through all time steps; its state stays in registers or VMEM."""
    tasks, time, n, _ = z.shape
    hidden = kernel.shape[1]

    def body(kernel, z, states):
        weights = kernel[0]

        def step(t, carry):
            h, c = carry
            product = jax.lax.dot(h, weights, preferred_element_type=h.dtype)
            h, c = _cell(z[0, t] + product, c)
            states[0, t] = h
            return h, c

        zeros = jnp.zeros((n, hidden), z.dtype)
        jax.lax.fori_loop(0, time, step, (zeros, zeros))

    def of_task(*shape):
        return pl.BlockSpec((1, *shape), lambda task: (task, *(0 for _ in shape)))

    return pl.pallas_call(
        body,
        grid=(tasks,),
        in_specs=[of_task(hidden, 4 * hidden), of_task(time, n, 4 * hidden)],
        out_specs=of_task(time, n, hidden),
        out_shape=jax.ShapeDtypeStruct((tasks, time, n, hidden), z.dtype),
        interpret=interpret,
    )(kernel, z)


WAYS = {
    "scan": by_scan,
    "unrolled 4": functools.partial(by_scan, unroll=4),
    "unrolled 8": functools.partial(by_scan, unroll=8),
    "kernel": by_kernel,
}
