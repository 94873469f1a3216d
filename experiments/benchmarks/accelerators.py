"""Compiles the programs of metaser_jax for accelerators that are not here, and says what the compilers made of them.

python experiments/benchmarks/accelerators.py --out=runs/accelerators

XLA's compilers for an H100 and for TPUs run on any machine (pip install metaser_jax[compilers]). Nothing runs on such a
device: the table has what is known without. A call that is repeated goes on where the one before stopped.
"""

import contextlib
import dataclasses
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from cells import Results, table

from metaser_jax.errors import InputError, check_choice
from metaser_jax.specs import flags
from metaser_jax.specs.algorithms import ALGORITHMS
from metaser_jax.specs.base import Spec, option, require

TASKS = 8  # of each device
FRAMES = 120
_MAML = {"maml first": {"order": "first"}, "maml second": {"order": "second"}}
_KERNEL = {f"{name} kernel": changes | {"recurrence": "kernel"} for name, changes in _MAML.items()}
_UNROLLED = {f"maml second unrolled {n}": _MAML["maml second"] for n in (4, 8)}
_OTHERS = {name: {"algorithm": name} for name in ALGORITHMS if name != "maml"}
TRAINING = _MAML | _KERNEL | _UNROLLED | _OTHERS
PROGRAMS = (*TRAINING, "validation", "fine-tuning", "prediction")
H100, ONE, SLICE = "H100 x 1", "v5e x 1", "v5e x 8"
TARGETS = (H100, *(f"{kind} x {chips}" for kind in ("v5e", "v5p", "v6e") for chips in (1, 8, 64)))


def targets_of(program: str) -> tuple[str, ...]:
    """What a program is compiled for."""
    if program in _KERNEL:
        return (H100,)  # on a TPU it is the scan
    if program in _UNROLLED:
        return (ONE,)
    if program in _OTHERS:
        return (H100, SLICE)
    return (H100, ONE) if program in ("fine-tuning", "prediction") else TARGETS


@dataclasses.dataclass(frozen=True, kw_only=True)
class AcceleratorsConfig(Spec):
    """experiments/benchmarks/accelerators.py."""

    out: str = option()
    """Folder for cells.jsonl and accelerators.md."""
    targets: tuple[str, ...] = option(TARGETS)
    """Devices to compile for, separated by commas."""
    programs: tuple[str, ...] = option(PROGRAMS)
    """What to compile, separated by commas."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(bool(self.targets), "targets", self.targets, "at least one device")
        for target in self.targets:
            check_choice("--targets", target, TARGETS)
        for program in self.programs:
            check_choice("--programs", program, PROGRAMS)


def compile_cell(name: str, target_name: str) -> dict[str, Any]:
    """Compiles a program for a target, and counts."""
    import hlo_counts
    from compilers import as_on, mesh_of, target_of

    target = target_of(target_name)
    mesh = mesh_of(target)
    with as_on(target), _unrolled(name):
        program = _program(name, mesh)
        start = time.perf_counter()
        compiled = program.function.lower(*program.arguments).compile(compiler_options=target.compiler_options)
        seconds = time.perf_counter() - start
        flops = hlo_counts.product_flops(program.function, *program.arguments)
    memory = compiled.memory_analysis()
    return {
        "seconds": seconds,
        "temp_bytes": memory.temp_size_in_bytes,
        "argument_bytes": memory.argument_size_in_bytes,
        "flops": flops,
        **hlo_counts.count(compiled.as_text())._asdict(),
    }


def _program(name: str, mesh: Any) -> Any:
    from accelerator_programs import program_of

    if name in TRAINING:
        return program_of(mesh, "interval", tasks=TASKS, **TRAINING[name])
    return program_of(mesh, name, **({"tasks": TASKS} if name == "validation" else {}))


@contextlib.contextmanager
def _unrolled(name: str) -> Iterator[None]:
    """Within it, where the name says so, every loop over time does several steps in one."""
    import jax

    if name not in _UNROLLED:
        yield
        return
    scan, several = jax.lax.scan, int(name.split()[-1])

    def unrolling(f, init, xs=None, length=None, **options):
        steps = length or jax.tree.leaves(xs)[0].shape[0]
        return scan(f, init, xs, length, **options | ({"unroll": several} if steps == FRAMES else {}))

    with mock.patch.object(jax.lax, "scan", unrolling):
        yield


_COLUMNS = ["program", "device", "compiled in", "MiB per device", "operations", "loops"]
_COLUMNS += ["collectives", "their bytes", "GFLOP in products", "million cycles, estimated"]


def markdown(of: dict[tuple[Any, ...], dict[str, Any]]) -> str:
    """The table of all cells, in the order of the programs."""
    order = sorted(of, key=lambda cell: (PROGRAMS.index(cell[0]), TARGETS.index(cell[1])))
    return "\n".join(table(_COLUMNS, [[*cell, *_row(of[cell])] for cell in order])) + "\n"


def _row(found: dict[str, Any]) -> list[str]:
    if "failed" in found:
        return [found["failed"], *[""] * (len(_COLUMNS) - 3)]
    mib = (found["temp_bytes"] + found["argument_bytes"]) / 2**20
    kinds = [f"{found[kind]} {what}" for kind, what in (("kernels", "Pallas"), ("libraries", "cuBLAS")) if found[kind]]
    cycles = f"{found['cycles'] / 1e6:.3g} ({found['unknown']:,} operations without)" if found["cycles"] else ""
    return [
        f"{found['seconds']:.1f} s",
        f"{mib:,.0f}",
        f"{found['operations']:,}" + (f" ({', '.join(kinds)})" if kinds else ""),
        str(found["loops"]),
        str(found["collectives"]),
        f"{found['collective_bytes']:,}",
        f"{found['flops'] / 1e9:.1f}",
        cycles,
    ]


def main() -> None:
    config = flags.config(AcceleratorsConfig)
    # Before jax's first use: what is compiled for is not here, and nothing runs but on the CPU.
    os.environ["JAX_PLATFORMS"] = "cpu"
    folder = Path(config.out)
    results = Results(folder / "cells.jsonl")
    for program in config.programs:
        for target in targets_of(program):
            if target not in config.targets or (program, target) in results.of:
                continue
            try:
                found = compile_cell(program, target)
            except InputError:
                raise  # a compiler is not installed
            except Exception as error:  # what a compiler refuses is a result
                found = {"failed": f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"}
            results.add((program, target), found)
            print(f"{program}, {target}: {' | '.join(_row(found))}", flush=True)
    text = markdown(results.of)
    (folder / "accelerators.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    flags.define(AcceleratorsConfig)
    flags.run(main, keep=False)  # compiling is what is timed
