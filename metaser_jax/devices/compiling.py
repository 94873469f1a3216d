"""Programs are traced one after another, and compiled meanwhile; what that takes is said before."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax


def waiting(for_whom: str, then: str) -> str:
    """Return what is said before compiling, which is silent.

    Args:
      for_whom: the runs, the devices.
      then: what comes after it.
    """
    return (
        f"Compiling for {for_whom}: the first time about ten seconds on two cores, then one or two (METASER_CACHE). "
        f"After that: {then}."
    )


def compile_all(programs: Sequence[tuple[Any, tuple[Any, ...]]]) -> list[jax.stages.Compiled]:
    """Trace each program in turn, while those before it are being compiled.

    Tracing is Python's and keeps one core busy. So the program that is longest to trace should come last.

    Args:
      programs: what jax.jit returns, and the arguments that it is to be compiled for.

    Returns:
      Each, compiled.
    """
    with ThreadPoolExecutor() as threads:
        compiling = [threads.submit(program.lower(*arguments).compile) for program, arguments in programs]
        return [one.result() for one in compiling]
