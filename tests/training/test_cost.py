"""What measured.json says of a compiled program."""

import platform

import jax
import jax.numpy as jnp

from metaser_jax.devices import parallel
from metaser_jax.training.cost import measured_of


def test_of_a_program():
    mesh = parallel.task_mesh(2)
    x = parallel.replicate(jnp.ones((4, 4)), mesh)
    program = jax.jit(lambda x, n: x @ x + n).lower(x, jnp.int32(1)).compile()
    measured = measured_of(program, 1.5, parallel.describe(mesh))
    product = jax.ShapeDtypeStruct((64, 64), jnp.float32)
    between = jax.jit(lambda x: x @ x @ x).lower(product).compile()
    assert measured_of(between, 1.5, "cpu")["temp_bytes"] >= 64 * 64 * 4, "what is between two products"
    assert measured["temp_bytes"] < 64 * 64 * 4
    assert measured.keys() == {"compile_seconds", "temp_bytes", "device", "devices", "processes", "versions"}
    assert (measured["compile_seconds"], measured["devices"], measured["processes"]) == (1.5, 2, 1)
    assert measured["device"] == "2 devices, cpu (cpu)"
    assert measured["versions"]["jax"] == jax.__version__
    assert measured["versions"]["platform"] == platform.platform()
    assert "device" not in measured["versions"]
    assert measured_of(jax.jit(jnp.sin).lower(1.0).compile(), 1.5, "cpu")["devices"] == 1
