"""A jitted function as a variant: compile time, memory, arguments where the program wants them."""

import time
from collections.abc import Callable
from typing import Any

import jax
from problem import Weights
from race import Variant


def xla_variant(
    name: str,
    function: Callable,
    arguments: tuple,
    memory_limit: float,
    gradients: Callable[[Any], Weights] | None = None,
    compiler_options: dict | None = None,
) -> Variant:
    """Compiles `function`; a program whose temporary buffers exceed `memory_limit` (bytes) is left out."""
    start = time.perf_counter()
    compiled = jax.jit(function, compiler_options=compiler_options).lower(*arguments).compile()
    seconds = time.perf_counter() - start
    # The analysis is of one device's program; on a CPU the devices share the memory.
    devices = len(jax.tree.leaves(compiled.input_shardings)[0].device_set)
    memory = compiled.memory_analysis().temp_size_in_bytes * devices
    variant = Variant(name, gradients=gradients, compile_seconds=seconds, memory_mib=memory / 2**20)
    if memory > memory_limit and jax.default_backend() == "cpu":
        variant.note = f"left out: needs {memory / 2**30:.0f} GiB"
        return variant
    placed = jax.device_put(arguments, compiled.input_shardings[0])
    variant.call = lambda: jax.block_until_ready(compiled(*placed))
    return variant
