"""Devices: one per core on a CPU, runs and the tasks of an episode divided among them, and compilation.

A CPU counts as one XLA device, whose program runs a loop on one core; with a device per core, each runs its own tasks.
A mesh has two axes: RUNS, of a grid or of many adaptations, and TASKS, of an episode of each. It is over the devices of
all processes of a job (cluster/), as many of each; with one process, over its own.
"""

import contextlib
import math
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from metaser_jax.errors import InputError
from metaser_jax.meta.execution import CPU_CHUNK, map_some
from metaser_jax.meta.learner import Learner, MetaParams
from metaser_jax.processes import cores
from metaser_jax.types import Episode

RUNS, TASKS = "run", "task"


def one_device_per_core(devices: int = 0) -> int:
    """Make the CPU as many XLA devices as it has cores; of use before jax's first use.

    Args:
      devices: another number than that of this process's cores; 0 takes theirs, unless JAX_NUM_CPU_DEVICES or a use of
        jax has settled it.

    Returns:
      The number of local devices there are now: of the CPU, or of whatever accelerator jax finds.

    Raises:
      InputError: jax already runs on another number of CPU devices than `devices`.
    """
    if devices or _nobody_said_how_many():
        # Raised where jax has been used; what it runs on then is looked at below.
        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", devices or cores())
    have = jax.local_device_count()
    if devices and jax.default_backend() == "cpu" and have != devices:
        raise InputError(
            f"devices: got {devices}, but jax runs on {have} CPU devices already; ask before its first use."
        )
    return have


def _nobody_said_how_many() -> bool:
    return jax.config.jax_num_cpu_devices < 1  # pyright: ignore[reportAttributeAccessIssue]


def on_all_cores(learner: Learner) -> Learner:
    """Return the same learner, with the tasks of an episode divided among the CPU's cores, or the accelerators.

        learner = metaser_jax.parallel.on_all_cores(metaser_jax.maml(loss_fn))
        step = jax.jit(learner.value_and_grad)

    Makes the CPU as many XLA devices as it has cores (`one_device_per_core`), for jax runs a loop on one core of a
    device. That can be done after `import jax`, but not after its first array. Where it is too late, or
    JAX_NUM_CPU_DEVICES says otherwise, tasks are divided among the devices that there are.

    Args:
      learner: any.

    Returns:
      Learner of `shard_over_devices`, whose results are on all devices.

    Warns:
      UserWarning: jax has been used already, and fewer devices than cores take part.
    """
    have = one_device_per_core()
    if jax.default_backend() == "cpu" and have < cores() and _nobody_said_how_many():
        warnings.warn(
            f"on_all_cores: jax has been used already, and runs on {have} CPU device(s) of {cores()} cores. Call it "
            "before the first array is made, or set JAX_NUM_CPU_DEVICES.",
            stacklevel=2,
        )
    return shard_over_devices(learner)


def compiler_options() -> dict[str, bool | int]:
    """Return the compiler options of a meta-step, for jax.jit.

    512-bit vectors on a CPU, nothing elsewhere.
    """
    return {"xla_cpu_prefer_vector_width": 512} if jax.default_backend() == "cpu" else {}


def shard_over_devices(learner: Learner, devices: int | Mesh = 0) -> Learner:
    """Return the same learner, with the tasks of an episode divided among devices.

    Args:
      learner: any.
      devices: the mesh of task_mesh, or how many of each process, as in task_mesh.

    Returns:
      Learner whose value_and_grad divides the tasks, every device with its own, and averages the gradients; equal up to
      the order of additions. The meta-parameters, and the results, are on every device.

    Raises:
      InputError: when called, as task_mesh.
    """
    averaged = over_tasks(learner)

    def of_episode(episode: Episode, meta_params: MetaParams, step: jax.Array):
        return averaged.value_and_grad(meta_params, episode, step)

    def value_and_grad(meta_params: MetaParams, episode: Episode, step: jax.Array | int = 0):
        mesh = devices if isinstance(devices, Mesh) else task_mesh(episode.support.y.shape[0], devices)
        return over_devices(of_episode, mesh, TASKS, out=())(episode, meta_params, jnp.asarray(step, jnp.int32))

    return learner._replace(value_and_grad=value_and_grad)


def over_tasks(learner: Learner) -> Learner:
    """Return the learner of the tasks of all devices along TASKS, each of which has its own; inside shard_map."""

    def value_and_grad(meta_params: MetaParams, episode: Episode, step: jax.Array | int = 0):
        loss, grads, info = learner.value_and_grad(meta_params, episode, step)
        loss, grads = jax.lax.pmean((loss, grads), TASKS)
        return loss, grads, jax.lax.all_gather(info, TASKS, tiled=True)

    return learner._replace(value_and_grad=value_and_grad)


def over_devices(
    function: Callable[..., Any], mesh: Mesh, axes: str | tuple[str, ...] = (RUNS, TASKS), out: tuple[()] | None = None
) -> Callable[..., Any]:
    """Return a function of some tasks or runs, as a function of more of them that devices share.

    Args:
      function: (some, *others) -> results, pytrees of arrays, of which `some` are [task or run, ...].
      mesh: of task_mesh or run_mesh; its axes together divide their number.
      axes: of the mesh, among which they are divided.
      out: () where the results are the same on all devices; None where they are divided as `some` are.

    Returns:
      The same function; each device computes its part of it.
    """
    over, same = PartitionSpec(axes), PartitionSpec()

    def divided(some: Any, *others: Any) -> Any:
        specs = {"in_specs": (over, *[same] * len(others)), "out_specs": over if out is None else same}
        return jax.shard_map(function, mesh=mesh, **specs, check_vma=False)(some, *others)

    return divided


def some_at_once(function: Callable[..., Any], at_once: int) -> Callable[..., Any]:
    """Return a function of one run, (run, *shared), as one of a device's, [run, ...], of which some are at once."""
    return lambda runs, *shared: map_some(lambda run: function(run, *shared), runs, at_once)


def everywhere(mesh: Mesh) -> NamedSharding:
    """Return the sharding of what every device of the mesh has whole."""
    return NamedSharding(mesh, PartitionSpec())


def task_mesh(tasks: int, devices: int = 0) -> Mesh:
    """Return the devices that share so many tasks.

    Args:
      tasks: how many.
      devices: of each process; 0 takes all of them, and with one process on a CPU the most that divide the tasks.

    Raises:
      InputError: more devices than there are, or a number of tasks that they do not divide.
    """
    processes = range(jax.process_count())
    have = {len(jax.local_devices(process_index=p)) for p in processes}
    check_devices(devices, min(have))
    if not devices and len(have) > 1:
        raise InputError(f"The processes of this job have {sorted(have)} devices; --devices={min(have)} takes as many.")
    of_each = devices or min(have)
    if not devices and len(processes) == 1 and jax.default_backend() == "cpu":
        of_each = max(d for d in range(1, of_each + 1) if tasks % d == 0)
    chosen = [device for p in processes for device in jax.local_devices(process_index=p)[:of_each]]
    if tasks % len(chosen):
        below = tasks // len(chosen) * len(chosen)
        nearest = " or ".join(str(n) for n in (below, below + len(chosen)) if n)
        raise InputError(
            f"{tasks} tasks do not divide among {len(chosen)} devices: expected --tasks_per_episode (of pre-training, "
            f"half of --batch_size) {nearest}, or other --devices."
        )
    return _mesh(1, chosen)


def run_mesh(runs: int, tasks: int, devices: int = 0) -> Mesh:
    """Return the devices that share some runs and, where they are more than the runs, each run's tasks.

    Args:
      runs: how many; one has the devices of task_mesh.
      tasks: of an episode of each.
      devices: how many, of this process; 0 takes all.

    Raises:
      InputError: more devices than there are; of one run as task_mesh.
    """
    if runs == 1:
        return task_mesh(tasks, devices)
    local = jax.local_devices()
    check_devices(devices, len(local))
    devices = devices or len(local)
    share = min(devices, runs)
    of_run = max(d for d in range(1, devices // share + 1) if tasks % d == 0)
    return _mesh(share, local[: share * of_run])


def _mesh(runs: int, devices: Sequence[jax.Device]) -> Mesh:
    kinds = (jax.sharding.AxisType.Auto,) * 2
    return jax.make_mesh((runs, len(devices) // runs), (RUNS, TASKS), axis_types=kinds, devices=devices)


def check_devices(devices: int, have: int) -> None:
    """Raise an InputError for more devices than there are."""
    if devices > have:
        raise InputError(f"devices: got {devices}, expected at most the {have} that there are.")


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Return arrays, on every device of the mesh.

    Args:
      tree: host arrays or this process's own, the same in every process (that is not checked); or of such a mesh.
      mesh: of task_mesh.
    """
    sharding = everywhere(mesh)
    if jax.process_count() == 1:
        return jax.device_put(tree, sharding)

    def globally(leaf: Any) -> jax.Array:
        if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
            return jax.device_put(leaf, sharding)
        if is_key(leaf):
            data = globally(jax.random.key_data(leaf))
            return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
        # Not device_put, which compares the processes' values by a collective.
        host = np.asarray(jnp.asarray(leaf))
        return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])

    return jax.tree.map(globally, tree)


def is_key(leaf: Any) -> bool:
    """Return whether a leaf of a pytree, or what jax.eval_shape says of it, is a typed PRNG key."""
    return hasattr(leaf, "dtype") and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def describe(mesh: Mesh) -> str:
    """Return the devices, for people: "2 devices, cpu (cpu)", "4 of 8 devices in 2 processes, cpu (cpu)"."""
    device, all_of_them = mesh.devices.flat[0], jax.device_count()
    size = str(mesh.size) if mesh.size == all_of_them else f"{mesh.size} of {all_of_them}"
    processes = f" in {jax.process_count()} processes" if jax.process_count() > 1 else ""
    return f"{size} device{'s' if all_of_them > 1 else ''}{processes}, {device.platform} ({device.device_kind})"


def waiting(for_whom: str, then: str) -> str:
    """Return the line to log before compiling, which is silent.

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


# Runs per device and call. On a CPU: more would even out better who stops when, and be seen less often.
CPU_RUNS = 16
# Elsewhere all of them at once; not measured. A minibatch of 64 takes some 60 MiB of each with the paper's network.
RUNS_ELSEWHERE = 64
CHUNK_ELSEWHERE = 256  # larger than minibatches


class Plan(NamedTuple):
    """Order in which runs are computed; equal plans share a program.

    Attributes:
      devices: that share a call's runs.
      per_device: runs of each device in a call.
      at_once: of those computed at once, a divisor of per_device. One after another, each stops at its own epoch.
      chunk: utterances of a run that are computed at once.
    """

    devices: int
    per_device: int
    at_once: int
    chunk: int = CPU_CHUNK


def plan(runs: int, devices: int = 0, at_once: int = 0, backend: str | None = None) -> Plan:
    """Return the backend's way through so many runs.

    Args:
      runs: how many there are.
      devices: how many share them; 0 takes all.
      at_once: runs that a device computes at once; 0 takes 1 on a CPU, and elsewhere as many as there are, up to
        RUNS_ELSEWHERE.
      backend: jax's name of it; the default one by default.

    Raises:
      InputError: more devices than there are.
    """
    have = jax.local_device_count()
    check_devices(devices, have)
    devices, cpu = devices or have, (backend or jax.default_backend()) == "cpu"
    at_once = at_once or (1 if cpu else min(RUNS_ELSEWHERE, math.ceil(runs / devices)))
    if cpu:
        return Plan(devices, at_once * math.ceil(CPU_RUNS / at_once), at_once)
    return Plan(devices, at_once, at_once, CHUNK_ELSEWHERE)


def over_runs(function: Callable[..., Any], plan: Plan, mesh: Mesh | None = None) -> Callable[..., Any]:
    """Return a function of one run as a function of a call's.

    Args:
      function: (run, *shared) -> result, pytrees of arrays.
      plan: of `plan`.
      mesh: of as many devices as the plan's, to compile for others than those that are here.

    Returns:
      (runs, *shared) -> results, whose arrays have one more axis: [devices * per_device, ...]. To be jitted.
    """
    mesh = mesh or run_mesh(plan.devices, 1, plan.devices)
    return over_devices(some_at_once(function, plan.at_once), mesh)


def deal(load: Sequence[float], plan: Plan) -> np.ndarray:
    """Return an assignment of runs to calls and devices.

    Args:
      load: [run], how much each has to do, in any unit.

    Returns:
      [call, devices * per_device] int: the call's runs, device by device; -1 where there is none. The largest first.
    """
    size = plan.devices * plan.per_device
    order = np.full(math.ceil(len(load) / size) * size, -1)
    order[: len(load)] = np.argsort(-np.asarray(load), kind="stable")
    hands = order.reshape(-1, plan.per_device, plan.devices)
    # Snake order, to balance the load across devices.
    hands[:, 1::2] = hands[:, 1::2, ::-1].copy()
    return hands.swapaxes(1, 2).reshape(-1, size)
