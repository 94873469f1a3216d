"""Times variants against each other: round robin, so that a slow minute of the machine hits them all."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from problem import Weights


@dataclasses.dataclass
class Variant:
    """One way to compute the meta-step.

    Attributes:
      name: as in problem.VARIANTS or KERNEL_VARIANTS.
      call: computes it once, and returns when the result is there; None if it cannot run here, and `note` says why.
      gradients: what `call` returned -> the meta-gradient; None if it has none (the limit).
      compile_seconds, memory_mib: where known.
      gflop: floating-point operations of one call, where they are counted.
      one_round: whether it is too slow to be timed in every round.
      error: relative to our gradient of the same order.
      seconds: the time of each call after the warm-up.
    """

    name: str
    call: Callable[[], Any] | None = None
    gradients: Callable[[Any], Weights] | None = None
    compile_seconds: float | None = None
    memory_mib: float | None = None
    gflop: float | None = None
    note: str = ""
    one_round: bool = False
    error: float | None = None
    seconds: list[float] = dataclasses.field(default_factory=list)

    @property
    def median(self) -> float | None:
        return float(np.median(self.seconds)) if self.seconds else None

    @property
    def quartiles(self) -> tuple[float, float]:
        return tuple(float(q) for q in np.percentile(self.seconds, [25, 75]))


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    result = call()
    return result, time.perf_counter() - start


def race(variants: list[Variant], rounds: int) -> None:
    """Calls each variant once per round; one with `one_round` only in the first."""
    for number in range(rounds):
        for variant in variants:
            if variant.call and not (number and variant.one_round):
                variant.seconds.append(timed(variant.call)[1])


def ratio(variant: Variant, reference: Variant | None) -> float | None:
    """Ratio of the medians."""
    return variant.median / reference.median if reference and reference.seconds and variant.seconds else None


def ratio_by_round(variant: Variant, reference: Variant | None) -> float | None:
    """Median of the ratios within each round that both were timed in."""
    pairs = list(zip(variant.seconds, reference.seconds, strict=False)) if reference else []
    return float(np.median([a / b for a, b in pairs])) if pairs else None


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
