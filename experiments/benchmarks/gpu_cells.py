"""The cells of gpu.py: correctness against float64, a meta-step's time, the training loop's rate."""

import datetime
import functools
import json
import platform
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import ours
from cells import Cell
from gpu import Sizes
from problem import CLASSES, COEFFICIENTS, FRAMES, INNER_LR, Problem, Setting, make_problem, relative_error
from race import Variant, timed

import metaser_jax
from metaser_jax.devices import parallel
from metaser_jax.errors import InputError
from metaser_jax.loops.meta_training import init_state, run_interval
from metaser_jax.models.lstm import LSTMParams, lstm
from metaser_jax.sampling import episodes
from metaser_jax.sampling.bank import Bank

# What XLA records as a CUDA graph by default, and while loops.
BUFFERS = {
    "xla_gpu_enable_command_buffer": "FUSION,CUBLAS,CUBLASLT,CUSTOM_CALL,CUDNN,CONDITIONAL,DYNAMIC_SLICE_FUSION,WHILE"
}
# Of the loop's made-up corpora: utterances of each emotion.
PER_CLASS = 100


def check_machine(path: Path, tiny: bool) -> None:
    """Writes what is measured on, or compares it with what earlier cells were measured on."""
    if tiny:
        parallel.one_device_per_core()
    elif jax.default_backend() != "gpu" or jax.local_device_count() != 1:
        raise InputError(
            f"Expected one CUDA GPU, jax has {jax.local_device_count()} x {jax.default_backend()}: install jax[cuda12] "
            "and set CUDA_VISIBLE_DEVICES to one GPU. --tiny tries the program on whatever there is."
        )
    here = {
        "device": f"{jax.local_device_count()} x {jax.devices()[0].device_kind} ({jax.default_backend()})",
        "versions": f"jax {jax.__version__}, {_torch_version()}, Python {platform.python_version()}",
    }
    if path.exists() and (there := json.loads(path.read_text())) | here != there:
        raise InputError(
            f"{path} is of {there['device']} with {there['versions']}, this is {here}: give another --out."
        )
    if not path.exists():
        date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
        path.write_text(json.dumps(here | {"date": date}))


def _torch_version() -> str:
    try:
        import torch
    except ImportError:
        return "no torch"
    return f"torch {torch.__version__}"


def measure(cell: Cell, sizes: Sizes, folder: Path) -> dict[str, Any]:
    """One cell's result; {"failed": why} where it has none."""
    part, *rest = cell
    try:
        return {"correctness": correctness, "steps": step, "loop": loop}[part](*rest, sizes=sizes, folder=folder)
    except Exception as error:  # whatever it was, the other cells are wanted
        text = f"{type(error).__name__}: {error}"
        if any(sign in text for sign in ("RESOURCE_EXHAUSTED", "out of memory", "OutOfMemory")):
            return {"failed": "out of memory"}
        return {"failed": text.splitlines()[0][:200]}


def correctness(recurrence: str, precision: str, hidden_dim: int, *, sizes: Sizes, folder: Path) -> dict[str, Any]:
    """Relative errors, in norm, of states, gradient and Hessian-vector product of the support set of one task."""
    del folder
    setting = Setting(1, sizes.settings[0][1] * CLASSES, 1, 1, hidden_dim)
    problem = make_problem(setting, ours.initial_weights(hidden_dim))
    x, y = (array[0] for array in problem.support)
    random = np.random.default_rng(1)
    direction = jax.tree.map(lambda w: random.standard_normal(w.shape, np.float32), problem.weights)

    def evaluate(recurrence: str, weights, x, direction):
        loss_fn = metaser_jax.cross_entropy(metaser_jax.EmotionLSTM(hidden_dim, CLASSES, recurrence=recurrence).apply)
        gradient = jax.grad(lambda weights: loss_fn({"params": weights}, metaser_jax.Batch(x, y)))
        states = lstm(LSTMParams(**weights["lstm_1"]), jnp.swapaxes(x, 0, 1), recurrence)
        return {"all": {"states": states}}, *jax.jvp(gradient, (weights,), (direction,))

    with jax.default_matmul_precision(precision):
        at = (problem.weights, x, direction)
        got = jax.tree.map(np.asarray, jax.jit(functools.partial(evaluate, recurrence))(*at))
    with jax.enable_x64(True), jax.default_device(jax.local_devices(backend="cpu")[0]):
        exact = jax.tree.map(lambda array: np.asarray(array, np.float64), at)
        expected = jax.tree.map(np.asarray, jax.jit(functools.partial(evaluate, "scan"))(*exact))
    errors = map(relative_error, got, expected)
    return dict(zip(("states", "gradient", "hessian_product"), errors, strict=True))


def step(name: str, order: str, tasks: int, shots: int, inner_steps: int, *, sizes: Sizes, folder: Path):
    """Seconds of each timed call of a meta-step, memory, and its gradient's error against the scan's."""
    setting = Setting(tasks, shots * CLASSES, sizes.queries * CLASSES, inner_steps, sizes.hidden_dim)
    problem = make_problem(setting, ours.initial_weights(sizes.hidden_dim))
    variant = _variant(name, order, problem)
    if variant.call is None:
        return {"failed": variant.note}
    result = variant.call()
    error = None
    if variant.gradients:
        reference = folder / "gradients" / f"{order}_{tasks}_{shots}_{inner_steps}.npz"
        error = _error_of(variant.gradients(result), reference, write=name == "scan")
    del result
    end = time.monotonic() + sizes.most_seconds
    while len(variant.seconds) < sizes.rounds and (len(variant.seconds) < 2 or time.monotonic() < end):
        variant.seconds.append(timed(variant.call)[1])
    measured = {"memory_mib": variant.memory_mib, "compile_seconds": variant.compile_seconds, "gflop": variant.gflop}
    return {"seconds": variant.seconds, "gradient_error": error, **measured}


def _variant(name: str, order: str, problem: Problem) -> Variant:
    no_limit = float("inf")
    if name == "limit":
        import gemm_limit

        return gemm_limit.build(f"limit {order}", order, problem, no_limit)
    if name == "torch":
        import peer_torch
        import torch

        if torch.cuda.is_available():
            # As jax's products by default: those of cuDNN are in TF32 anyway.
            torch.set_float32_matmul_precision("high")
        return peer_torch.build(f"torch {order}", order, problem, 2.0**62)
    options = BUFFERS if name == "buffers" else {}
    return ours.variant(f"{name} {order}", order, problem, no_limit, _recurrence(name), options)


def _recurrence(name: str) -> str:
    return "kernel" if name == "kernel" else "scan"


def _error_of(gradients: Any, reference: Path, write: bool) -> float | None:
    flat = {f"{layer}/{name}": array for layer, arrays in gradients.items() for name, array in arrays.items()}
    if write:
        reference.parent.mkdir(exist_ok=True)
        np.savez(reference, **flat)
    return relative_error({"all": flat}, {"all": dict(np.load(reference))}) if reference.exists() else None


def loop(name: str, order: str, *, sizes: Sizes, folder: Path) -> dict[str, Any]:
    """Episodes per second of a training interval, in each of three: drawn, adapted, applied, all on the device."""
    del folder
    tasks, shots, inner_steps = sizes.settings[0]
    random = np.random.default_rng(0)
    number = 2 * CLASSES * PER_CLASS
    bank = Bank(
        jnp.asarray(random.standard_normal((number, FRAMES, COEFFICIENTS), np.float32)),
        jnp.arange(number, dtype=jnp.int32).reshape(2, CLASSES, PER_CLASS),
        jnp.full((2, CLASSES), PER_CLASS, jnp.int32),
    )
    model = metaser_jax.EmotionLSTM(sizes.hidden_dim, CLASSES, recurrence=_recurrence(name))
    loss_fn = metaser_jax.cross_entropy(model.apply)
    learner = metaser_jax.maml(loss_fn, inner_lr=INNER_LR, inner_steps=inner_steps, order=order)
    learner, optimizer = parallel.shard_over_devices(learner), optax.adam(1e-6)
    params = {"params": ours.initial_weights(sizes.hidden_dim)}
    state = init_state(learner, jax.tree.map(jnp.asarray, params), optimizer, jax.random.key(0))

    def query_loss(params, episode):
        return jnp.mean(jax.vmap(loss_fn, (None, 0))(params, episode.query))

    def sample(bank, key):
        return episodes.sample(key, bank, tasks=tasks, shots=shots, queries=sizes.queries)

    def interval(state, n, bank):
        return run_interval(learner, query_loss, optimizer, functools.partial(sample, bank), state, n)

    jitted = jax.jit(interval, compiler_options=parallel.compiler_options() | (BUFFERS if name == "buffers" else {}))
    compiled = jitted.lower(state, np.int32(1), bank).compile()
    placed = jax.device_put((state, np.int32(sizes.episodes), bank), compiled.input_shardings[0])
    seconds = [timed(lambda: jax.block_until_ready(compiled(*placed)))[1] for _ in range(4)][1:]
    return {"episodes_per_second": [sizes.episodes / s for s in seconds]}
