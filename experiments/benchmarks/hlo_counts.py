"""Counts what a compiled program does in a step: operations, loops, collectives, and the compiler's estimates of them.

XLA's own cost analysis counts the body of a loop once, however often it runs. Here a body counts as often as its loop
runs, where the text of the program says how often; a loop whose number is data (the episodes of an interval) counts
once, so that the counts are those of one episode.
"""

import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax.extend.core import jaxprs_in_params

# What takes no time on a device: names for what is there already.
_NOTHING = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "partition-id", "replica-id"}
_NOTHING |= {"opt-barrier", "iota"}
_COLLECTIVES = {"all-reduce", "all-gather", "reduce-scatter", "collective-permute", "all-to-all"}
_BYTES = {"pred": 1, "s8": 1, "u8": 1, "s16": 2, "u16": 2, "bf16": 2, "f16": 2, "s64": 8, "u64": 8, "f64": 8}
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?(?P<name>[\w.\-]+) = (?P<type>.*?) (?P<op>[a-z][a-z0-9\-]*)\(")
_COMPUTATION = re.compile(r"^(?P<entry>ENTRY )?%?(?P<name>[\w.\-]+) \(.*\{$")
_SHAPE = re.compile(r"\b(pred|[suf]\d+|bf16)\[([\d,]*)\]")


class Counts(NamedTuple):
    """Of one device and step.

    Attributes:
      operations: what the device is given to do one after another: on a GPU kernels and calls of libraries.
      loops: while loops in the program, however often they run.
      collectives, collective_bytes: operations between devices, and the bytes of their results.
      kernels: calls of kernels of ours (Triton's, or a TPU's).
      libraries: calls of cuBLAS and the like.
      cycles: of a TPU, the compiler's estimate; it has none for some operations, whose number is `unknown`.
    """

    operations: int = 0
    loops: int = 0
    collectives: int = 0
    collective_bytes: int = 0
    kernels: int = 0
    libraries: int = 0
    cycles: int = 0
    unknown: int = 0

    def plus(self, other: "Counts", times: int = 1) -> "Counts":
        sums = {name: value + times * getattr(other, name) for name, value in self._asdict().items()}
        return Counts(**sums | {"loops": self.loops + other.loops})


def count(text: str) -> Counts:
    """Counts of an optimised program's text, as jax.stages.Compiled.as_text gives it."""
    computations: dict[str, list[str]] = {}
    entry = name = ""
    for line in text.splitlines():
        if found := _COMPUTATION.match(line):
            name = found["name"]
            computations[name] = []
            entry = name if found["entry"] else entry
        elif name and _INSTRUCTION.match(line):
            computations[name].append(line)
    return _of(computations, entry)


def _of(computations: dict[str, list[str]], name: str) -> Counts:
    total = Counts()
    for line in computations[name]:
        op = _INSTRUCTION.match(line)["op"]
        if op == "while":
            condition, body = _called(line, "condition"), _called(line, "body")
            times = _iterations(line, computations[condition])
            total = total.plus(_of(computations, body), times).plus(Counts(loops=1))
        elif op == "conditional":
            # The branch that does most: of an interval, the one of its last episode.
            branches = re.search(r"branch_computations=\{([^}]*)\}", line)
            names = branches[1].replace("%", "").split(", ") if branches else _true_and_false(line)
            total = total.plus(max((_of(computations, n) for n in names), key=lambda counts: counts.operations))
        elif op in ("call", "async-start"):
            total = total.plus(_of(computations, _called(line, "to_apply|calls")))
        elif op not in _NOTHING and not op.endswith("-done") and not _of_a_scalar(op, line):
            total = total.plus(_operation(op, line))
    return total


def _of_a_scalar(op: str, line: str) -> bool:
    """Whether it is arithmetic of a single number, which a TPU has a unit of its own for."""
    single = re.fullmatch(r"\w+\[\](\{.*\})?", _INSTRUCTION.match(line)["type"])
    return bool(single) and op.removesuffix("-start") not in {"fusion", "custom-call", *_COLLECTIVES}


def _operation(op: str, line: str) -> Counts:
    target = re.search(r'custom_call_target="([^"]*)"', line)
    target = target[1] if target else ""
    if target in ("AllocateBuffer", "Sharding"):
        return Counts()
    collective = op.removesuffix("-start") in _COLLECTIVES
    cycles = re.search(r'"estimated_cycles":"(\d+)"', line)
    return Counts(
        operations=1,
        collectives=int(collective),
        collective_bytes=_bytes(line) if collective else 0,
        kernels=int("triton_kernel_call" in target or "__gpu$xla.gpu.triton" in target or target == "tpu_custom_call"),
        libraries=int("cublas" in target or "cudnn" in target),
        cycles=int(cycles[1]) if cycles else 0,
        unknown=int(not cycles),
    )


def _called(line: str, what: str) -> str:
    return re.search(rf"(?:{what})=%?([\w.\-]+)", line)[1]


def _true_and_false(line: str) -> list[str]:
    return [_called(line, "true_computation"), _called(line, "false_computation")]


def _iterations(line: str, condition: list[str]) -> int:
    if known := re.search(r'"known_trip_count":\{"n":"(\d+)"\}', line):
        return int(known[1])
    # A condition of two numbers, one of which is a constant, and no more; jax's loops begin at 0.
    limits = [found[1] for text in condition if (found := re.search(r"s32\[\]\S* constant\((\d+)\)", text))]
    simple = sum(_INSTRUCTION.match(text)["op"] == "compare" for text in condition) == 1
    return int(limits[0]) if simple and len(limits) == 1 and "direction=LT" in condition[-1] else 1


def _bytes(line: str) -> int:
    # Of a collective that is started here and awaited elsewhere the result is the pair (operand, result).
    found = _INSTRUCTION.match(line)
    shapes = _SHAPE.findall(found["type"])
    if found["op"].endswith("-start") and found["op"] != "all-reduce-start":
        shapes = shapes[len(shapes) // 2 :]
    total = 0
    for kind, dimensions in shapes:
        total += _BYTES.get(kind, 4) * math.prod(map(int, filter(None, dimensions.split(","))))
    return total


def product_flops(function: Callable[..., Any], *arguments: Any) -> float:
    """Floating-point operations of a step's matrix products on one device, counted in jax's program.

    A scan counts as often as it runs, a while loop once, of a condition's branches the one that has most.
    """
    return _flops(jax.make_jaxpr(function)(*arguments).jaxpr)


def _flops(jaxpr: Any) -> float:
    total = 0.0
    for eqn in jaxpr.eqns:
        if eqn.primitive.name == "dot_general":
            ((contracted, _), _), out = eqn.params["dimension_numbers"], eqn.outvars[0].aval
            total += 2.0 * out.size * math.prod(eqn.invars[0].aval.shape[axis] for axis in contracted)
            continue
        inner = [_flops(sub) for sub in jaxprs_in_params(eqn.params)]
        times = {"scan": eqn.params.get("length", 1), "pallas_call": _grid(eqn)}.get(eqn.primitive.name, 1)
        total += times * (max(inner, default=0.0) if eqn.primitive.name == "cond" else sum(inner))
    return total


def _grid(eqn: Any) -> int:
    return math.prod(eqn.params["grid_mapping"].grid) if eqn.primitive.name == "pallas_call" else 1
