"""Measures on one CUDA GPU what is "not measured" without one; see gpu.sh.

A process of its own measures cell after cell, so that a kernel which ends the process costs one cell: what failed is a
result, and the next process goes on. Random features stand for a corpus.
"""

import argparse
import datetime
import functools
import json
import math
import platform
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import ours
from cells import Cell, Results, table
from problem import CLASSES, COEFFICIENTS, FRAMES, INNER_LR, Setting, make_problem, relative_error
from race import timed

import metaser_jax
from metaser_jax.models.lstm import LSTMParams, lstm
from metaser_jax.training import parallel
from metaser_jax.training.loops.meta_training import init_state, run_interval
from metaser_jax.training.sampling import episodes
from metaser_jax.training.sampling.bank import Bank

PARTS, ORDERS, OURS = ("correctness", "steps", "loop"), ("second", "first"), ("scan", "buffers", "kernel")
NAMES = {"scan": "scan", "buffers": "scan, command buffers", "kernel": "kernel", "torch": "PyTorch"}
NAMES |= {"limit": "products alone"}
# Relative errors against float64. By default a GPU multiplies float32 in TF32, whose 10 bits of mantissa are 5e-4.
TOLERANCE = {"default": 1e-2, "highest": 1e-4}
# What XLA records as a CUDA graph by default, and while loops.
BUFFERS = "FUSION,CUBLAS,CUBLASLT,CUSTOM_CALL,CUDNN,CONDITIONAL,DYNAMIC_SLICE_FUSION,WHILE"
# (tasks, shots, inner steps), the most telling first.
SETTINGS = (
    *((8, 5, 1), (32, 5, 1), (8, 5, 5), (1, 5, 1), (8, 125, 1), (32, 5, 5)),
    *((1, 5, 5), (8, 125, 5), (1, 125, 1), (32, 125, 1), (1, 125, 5), (32, 125, 5)),
)
# Where products are exact the kernel leaves the tensor cores, which takes too many registers with more hidden units.
FULL = {"settings": SETTINGS, "queries": 10, "hidden": {"default": 128, "highest": 32}, "rounds": 30, "episodes": 100}
TINY = {"settings": ((2, 1, 1),), "queries": 1, "hidden": {"default": 16, "highest": 16}, "rounds": 2, "episodes": 2}
MOST_SECONDS = 6.0  # of the timed calls of a cell


def cells(sizes: dict[str, Any], part: str | None, torch: bool) -> list[Cell]:
    """What is to be measured, in this order: (part, what, ...)."""
    correctness = [("correctness", way, *with_) for with_ in sizes["hidden"].items() for way in ("scan", "kernel")]
    families = (*OURS, *(["torch"] if torch else []), "limit")
    steps = [("steps", name, order, *s) for s in sizes["settings"] for order in ORDERS for name in families]
    loop = [("loop", name, order) for order in ORDERS for name in OURS]
    first = len(families) * len(ORDERS)  # the loop is that of the first setting
    everything = [*correctness, *steps[:first], *loop, *steps[first:]]
    return [cell for cell in everything if part in (None, cell[0])]


def supervise(wanted: list[Cell], folder: Path, budget: float, worker: list[str]) -> Results:
    """Have processes measure the cells until all are, or `budget` seconds are over; `worker` starts one."""
    deadline = time.monotonic() + budget
    while left := [cell for cell in wanted if cell not in Results(folder / "cells.jsonl").of]:
        started, seconds = time.monotonic(), deadline - time.monotonic()
        if seconds <= 0:
            break
        with (folder / "worker.log").open("w", encoding="utf-8") as log:
            try:
                command, pipes = [*worker, f"--budget={seconds}"], {"stdout": log, "stderr": log, "text": True}
                subprocess.run(command, input=json.dumps(left), timeout=seconds, check=True, **pipes)
                break  # all are measured, or the worker saw that the time was over
            except subprocess.TimeoutExpired:
                why = f"not done after {time.monotonic() - started:.0f} s" if seconds > budget / 2 else ""
            except subprocess.CalledProcessError as error:
                said = [line for line in (folder / "worker.log").read_text(errors="replace").splitlines() if line]
                why = f"the process ended with {error.returncode}: {said[-1][:200] if said else ''}"
        results = Results(folder / "cells.jsonl")
        under_way = next((cell for cell in left if cell not in results.of), None)
        if under_way and why:
            results.add(under_way, {"failed": why})
    return Results(folder / "cells.jsonl")


def work(wanted: list[Cell], folder: Path, sizes: dict[str, Any], seconds: float) -> None:
    """Measure cells in this process until the time is over."""
    deadline = time.monotonic() + seconds
    results = Results(folder / "cells.jsonl")
    measure = {"correctness": correctness, "steps": step, "loop": loop}
    for part, *rest in wanted:
        if time.monotonic() >= deadline:
            return
        try:
            found = measure[part](sizes, folder, *rest)
        except Exception as error:  # whatever it was, the other cells are wanted
            found = {"failed": f"{type(error).__name__}: {error}".splitlines()[0][:200]}
        results.add((part, *rest), found)


def correctness(sizes: dict[str, Any], folder: Path, recurrence: str, precision: str, hidden: int) -> dict[str, float]:
    """Relative errors, in norm, of states, gradient and Hessian-vector product of the support set of one task."""
    setting = Setting(1, sizes["settings"][0][1] * CLASSES, 1, 1, hidden)
    problem = make_problem(setting, ours.initial_weights(hidden))
    x, y = (array[0] for array in problem.support)
    random = np.random.default_rng(1)
    direction = jax.tree.map(lambda w: random.standard_normal(w.shape, np.float32), problem.weights)

    def evaluate(recurrence: str, weights, x, direction):
        loss_fn = metaser_jax.cross_entropy(metaser_jax.EmotionLSTM(hidden, CLASSES, recurrence=recurrence).apply)
        gradient = jax.grad(lambda weights: loss_fn({"params": weights}, metaser_jax.Batch(x, y)))
        states = lstm(LSTMParams(**weights["lstm_1"]), jnp.swapaxes(x, 0, 1), recurrence)
        return {"all": {"states": states}}, *jax.jvp(gradient, (weights,), (direction,))

    with jax.default_matmul_precision(precision):
        at = (problem.weights, x, direction)
        got = jax.tree.map(np.asarray, jax.jit(functools.partial(evaluate, recurrence))(*at))
    with jax.enable_x64(True), jax.default_device(jax.local_devices(backend="cpu")[0]):
        exact = jax.tree.map(lambda array: np.asarray(array, np.float64), at)
        expected = jax.tree.map(np.asarray, jax.jit(functools.partial(evaluate, "scan"))(*exact))
    return dict(zip(("states", "gradient", "hessian_product"), map(relative_error, got, expected), strict=True))


def step(sizes, folder: Path, name: str, order: str, tasks: int, shots: int, inner_steps: int) -> dict[str, Any]:
    """Seconds of each timed call of a meta-step, memory, and its gradient's error against the scan's."""
    hidden = sizes["hidden"]["default"]
    setting = Setting(tasks, shots * CLASSES, sizes["queries"] * CLASSES, inner_steps, hidden)
    problem, unlimited = make_problem(setting, ours.initial_weights(hidden)), float("inf")
    if name in OURS:
        options = {"xla_gpu_enable_command_buffer": BUFFERS} if name == "buffers" else {}
        recurrence = "kernel" if name == "kernel" else "scan"
        variant = ours.variant(f"{name} {order}", order, problem, unlimited, recurrence, options)
    elif name == "limit":
        import gemm_limit

        variant = gemm_limit.build(f"limit {order}", order, problem, unlimited)
    else:
        import peer_torch
        import torch

        torch.set_float32_matmul_precision("high")  # as jax's products by default; those of cuDNN are in TF32 anyway
        variant = peer_torch.build(f"torch {order}", order, problem, 2.0**62)
    if variant.call is None:
        return {"failed": variant.note}
    result, error = variant.call(), None
    if variant.gradients:
        flat = {f"{layer}/{k}": array for layer, of in variant.gradients(result).items() for k, array in of.items()}
        reference = folder / f"gradient_{order}_{tasks}_{shots}_{inner_steps}.npz"
        if name == "scan":
            np.savez(reference, **flat)
        if reference.exists():
            error = relative_error({"all": flat}, {"all": dict(np.load(reference))})
    del result
    end = time.monotonic() + MOST_SECONDS
    while len(variant.seconds) < sizes["rounds"] and (len(variant.seconds) < 2 or time.monotonic() < end):
        variant.seconds.append(timed(variant.call)[1])
    return {"seconds": variant.seconds, "gradient_error": error, "memory_mib": variant.memory_mib}


def loop(sizes: dict[str, Any], folder: Path, name: str, order: str) -> dict[str, Any]:
    """Episodes per second of a training interval, in each of three: drawn, adapted, applied, all on the device."""
    (tasks, shots, inner_steps), hidden = sizes["settings"][0], sizes["hidden"]["default"]
    per_class = 100
    number = 2 * CLASSES * per_class
    bank = Bank(
        jnp.asarray(np.random.default_rng(0).standard_normal((number, FRAMES, COEFFICIENTS), np.float32)),
        jnp.arange(number, dtype=jnp.int32).reshape(2, CLASSES, per_class),
        jnp.full((2, CLASSES), per_class, jnp.int32),
    )
    model = metaser_jax.EmotionLSTM(hidden, CLASSES, recurrence="kernel" if name == "kernel" else "scan")
    loss_fn = metaser_jax.cross_entropy(model.apply)
    learner = metaser_jax.maml(loss_fn, inner_lr=INNER_LR, inner_steps=inner_steps, order=order)
    learner, optimizer = parallel.shard_over_devices(learner), optax.adam(1e-6)
    params = jax.tree.map(jnp.asarray, {"params": ours.initial_weights(hidden)})
    state = init_state(learner, params, optimizer, jax.random.key(0))

    def query_loss(params, episode):
        return jnp.mean(jax.vmap(loss_fn, (None, 0))(params, episode.query))

    def interval(state, n, bank):
        def sample(key):
            return episodes.sample(key, bank, tasks=tasks, shots=shots, queries=sizes["queries"])

        return run_interval(learner, query_loss, optimizer, sample, state, n)

    options = {"xla_gpu_enable_command_buffer": BUFFERS} if name == "buffers" else {}
    jitted = jax.jit(interval, compiler_options=parallel.compiler_options() | options)
    compiled = jitted.lower(state, np.int32(1), bank).compile()
    placed = jax.device_put((state, np.int32(sizes["episodes"]), bank), compiled.input_shardings[0])
    seconds = [timed(lambda: jax.block_until_ready(compiled(*placed)))[1] for _ in range(4)][1:]
    return {"episodes_per_second": [sizes["episodes"] / s for s in seconds]}


def markdown(of: dict[Cell, dict[str, Any]]) -> str:
    """The tables of what was measured: a row for each correctness cell, setting and loop."""
    rows: dict[str, list[list[str]]] = {part: [] for part in PARTS}
    for cell in (cell for cell in of if cell[0] == "correctness"):
        found = of[cell]
        errors = [found["failed"], "", ""] if "failed" in found else [f"{error:.1e}" for error in found.values()]
        agrees = "failed" not in found and all(error <= TOLERANCE[cell[2]] for error in found.values())
        rows["correctness"].append([*map(str, cell[1:]), *errors, "agrees" if agrees else "**DISAGREES**"])
    for setting in dict.fromkeys(cell[2:] for cell in of if cell[0] == "steps"):
        found = {name: of.get(("steps", name, *setting), {}) for name in NAMES}
        fastest = min(median(found[name]) for name in OURS)
        ratios = [fastest / median(found[name]) for name in ("torch", "limit")]
        texts = [f"{ratio:.2f}" if math.isfinite(ratio) and ratio else "" for ratio in ratios]
        rows["steps"].append([*map(str, setting), *map(_time, found.values()), *texts])
    for cell in (cell for cell in of if cell[0] == "loop"):
        rate = of[cell].get("episodes_per_second")
        rows["loop"].append([cell[2], NAMES[cell[1]], f"{np.median(rate):.3g}" if rate else of[cell]["failed"]])
    errors = ["states", "gradient", "Hessian-vector product", "against float64"]
    columns = {
        "correctness": ["recurrence", "products", "hidden units", *errors],
        "steps": ["order", "tasks", "shots", "inner steps", *NAMES.values(), "/ PyTorch", "/ products alone"],
        "loop": ["order", "recurrence", "episodes per second, median of three intervals"],
    }
    about = "Meta-steps: median milliseconds (quartiles), temporary MiB; ratios are of ours that is fastest."
    return "\n".join([about, *(line for part in PARTS for line in ("", *table(columns[part], rows[part])))]) + "\n"


def median(found: dict[str, Any]) -> float:
    """The median of a cell's seconds; infinite where there is none."""
    return float(np.median(found["seconds"])) if found.get("seconds") else math.inf


def _time(found: dict[str, Any]) -> str:
    if not found.get("seconds"):
        return found.get("failed", "not measured")
    low, middle, high = np.percentile(found["seconds"], [25, 50, 75]) * 1e3
    memory = "" if found["memory_mib"] is None else f", {found['memory_mib']:.0f} MiB"
    wrong = (found["gradient_error"] or 0) > TOLERANCE["default"]
    return f"{middle:.3g} ({low:.3g}-{high:.3g}){memory}{', GRADIENT DISAGREES' if wrong else ''}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure on one CUDA GPU what is not measured without one.")
    parser.add_argument("--out", type=Path, default=Path("runs/gpu"), help="folder of cells.jsonl and gpu.md")
    parser.add_argument("--part", choices=PARTS, help="this part alone; all of them otherwise")
    parser.add_argument("--budget", type=float, default=540, help="seconds after which a call ends")
    parser.add_argument("--tiny", action="store_true", help="tiny sizes, on whatever there is: tries the program")
    parser.add_argument("--worker", action="store_true", help="internal: measure the cells that stdin names")
    arguments = parser.parse_args()
    folder, sizes = arguments.out, TINY if arguments.tiny else FULL
    if arguments.tiny:
        parallel.one_device_per_core()
    if arguments.worker:
        work([tuple(cell) for cell in json.load(sys.stdin)], folder, sizes, arguments.budget)
        return
    if not arguments.tiny and (jax.default_backend() != "gpu" or jax.local_device_count() != 1):
        sys.exit(f"error: expected one CUDA GPU, jax has {jax.devices()}. Install jax[cuda12], or try --tiny.")
    torch = find_spec("torch") is not None
    date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
    machine = f"{jax.devices()[0].device_kind}, jax {jax.__version__}, Python {platform.python_version()}, {date}"
    folder.mkdir(parents=True, exist_ok=True)
    worker = [sys.executable, __file__, "--worker", f"--out={folder}", *(["--tiny"] if arguments.tiny else [])]
    wanted = cells(sizes, arguments.part, torch)
    results = supervise(wanted, folder, arguments.budget, worker)
    text = f"# On one GPU\n\n{machine}{'' if torch else '; PyTorch is not installed'}\n\n{markdown(results.of)}"
    (folder / "gpu.md").write_text(text, encoding="utf-8")
    left = [cell for cell in wanted if cell not in results.of]
    print(text, f"{len(left)} of {len(wanted)} cells are left: the same call goes on." if left else "Nothing is left.")


if __name__ == "__main__":
    main()
