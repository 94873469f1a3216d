"""Devices: one per core on a CPU, the tasks of an episode divided among them, and what the compiler is told.

A CPU counts as one XLA device, whose program runs a loop on one core; with a device per core, each runs its own tasks.
A mesh is over the devices of all processes of a job (cluster/), as many of each; with one process, over its own.
"""

import contextlib
import functools
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from metaser_jax.devices.keys import is_key
from metaser_jax.errors import InputError
from metaser_jax.meta.learner import Learner, MetaParams
from metaser_jax.processes import cores
from metaser_jax.types import Episode

AXIS = "task"
# Of a mesh of run_mesh, the other one.
RUNS = "run"


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
    """Return what jax.jit(..., compiler_options=) is given for a meta-step.

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

    def of_tasks(episode: Episode, meta_params: MetaParams, step: jax.Array):
        loss, grads, info = learner.value_and_grad(meta_params, episode, step)
        return (loss, grads), info

    def value_and_grad(meta_params: MetaParams, episode: Episode, step: jax.Array | int = 0):
        divided = mean_over_devices(of_tasks, devices)
        (loss, grads), info = divided(episode, meta_params, jnp.asarray(step, jnp.int32))
        return loss, grads, info

    return learner._replace(value_and_grad=value_and_grad)


def mean_over_devices(
    function: Callable[..., tuple[Any, Any]], devices: int | Mesh = 0
) -> Callable[..., tuple[Any, Any]]:
    """Return a function of some tasks, as a function of more of them that devices share.

    Args:
      function: (episode, *others) -> (means over its tasks, info [task, ...]); the episode may be any pytree of arrays
        [task, ...].
      devices, Raises: as shard_over_devices.

    Returns:
      The same function; each device computes its tasks' part of it.
    """

    def of_shard(episode, *others):
        means, info = function(episode, *others)
        return jax.lax.pmean(means, AXIS), info

    def divided(episode: Any, *others):
        tasks = jax.tree.leaves(episode)[0].shape[0]
        mesh = devices if isinstance(devices, Mesh) else task_mesh(tasks, devices)
        over, everywhere = PartitionSpec(AXIS), PartitionSpec()
        specs = {"in_specs": (over, *(everywhere for _ in others)), "out_specs": (everywhere, over)}
        return jax.shard_map(of_shard, mesh=mesh, **specs, check_vma=False)(episode, *others)

    return divided


def divide_over_devices(function: Callable[..., Any], devices: int | Mesh) -> Callable[..., Any]:
    """Return a function of some tasks or runs, as a function of more of them that devices share.

    Args:
      function: (tasks, *others) -> results; pytrees of arrays, of which tasks and results are [task, ...].
      devices: how many of each process, or the mesh of task_mesh; all of them together a divisor of the number of
        tasks.

    Returns:
      The same function; each device computes its tasks' part of it.
    """
    return _divided(function, devices if isinstance(devices, Mesh) else _mesh(devices), AXIS)


def tasks_of_devices(function: Callable[..., Any], tasks: int, mesh: Mesh) -> Callable[..., Any]:
    """Return a function that makes some tasks, as one of which every device makes its own.

    Args:
      function: (first, *others) -> pytree of arrays [tasks / mesh.size, ...]: the tasks from number `first` on.
      tasks: how many, a multiple of mesh.size.
      mesh: of task_mesh.

    Returns:
      (*others) -> the pytree of all tasks, [tasks, ...], divided over the mesh.
    """

    def of_device(*others: Any) -> Any:
        return function(jax.lax.axis_index(AXIS) * (tasks // mesh.size), *others)

    everywhere, over = PartitionSpec(), PartitionSpec(AXIS)

    def divided(*others: Any) -> Any:
        specs = {"in_specs": tuple(everywhere for _ in others), "out_specs": over}
        return jax.shard_map(of_device, mesh=mesh, **specs, check_vma=False)(*others)

    return divided


def everywhere(mesh: Mesh) -> NamedSharding:
    """Return the sharding of what every device of the mesh has whole."""
    return NamedSharding(mesh, PartitionSpec())


def check_devices(devices: int, have: int) -> None:
    """Raise an InputError for more devices than there are."""
    if devices > have:
        raise InputError(f"devices: got {devices}, expected at most the {have} that there are.")


def task_mesh(tasks: int, devices: int = 0) -> Mesh:
    """Return the devices that share so many tasks.

    Args:
      tasks: how many.
      devices: of each process; 0 takes all of them, and with one process on a CPU the most that divide the tasks.

    Raises:
      InputError: more devices than there are, or a number of tasks that they do not divide.
    """
    have = {len(jax.local_devices(process_index=p)) for p in range(jax.process_count())}
    check_devices(devices, min(have))
    if not devices and len(have) > 1:
        raise InputError(f"The processes of this job have {sorted(have)} devices; --devices={min(have)} takes as many.")
    alone = jax.process_count() == 1
    if not devices and alone and jax.default_backend() == "cpu":
        return _mesh(max(d for d in range(1, min(have) + 1) if tasks % d == 0))
    mesh = _mesh(devices or min(have))
    if tasks % mesh.size:
        raise InputError(_indivisible(tasks, mesh.size, devices if alone else 0, min(have)))
    return mesh


def run_mesh(runs: int, tasks: int, devices: int = 0) -> Mesh:
    """Return the devices that share some runs and, where they are more than the runs, each run's tasks.

    Args:
      runs: how many.
      tasks: of an episode of each.
      devices: how many, of this process; 0 takes all.

    Returns:
      Mesh with the axes RUNS, at most as long as there are runs, and AXIS, which divides the tasks.

    Raises:
      InputError: more devices than there are.
    """
    local = jax.local_devices()
    check_devices(devices, len(local))
    share = min(devices or len(local), runs)
    of_run = max(d for d in range(1, (devices or len(local)) // share + 1) if tasks % d == 0)
    kinds = (jax.sharding.AxisType.Auto,) * 2
    return jax.make_mesh((share, of_run), (RUNS, AXIS), axis_types=kinds, devices=local[: share * of_run])


def divide_runs(function: Callable[..., Any], mesh: Mesh) -> Callable[..., Any]:
    """Return a function of some runs, as a function of more of them that devices share.

    Args:
      function: (runs, *others) -> results, pytrees of arrays, of which runs and results are [run, ...]; called on every
        device, with AXIS for the devices that share its runs, and the same results on all of those.
      mesh: of run_mesh; the length of its RUNS divides the number of runs.
    """
    return _divided(function, mesh, RUNS)


def _divided(function: Callable[..., Any], mesh: Mesh, axis: str) -> Callable[..., Any]:
    """Return (first, *others) -> results, of which `first` and the results are divided over an axis of the mesh."""

    def divided(first: Any, *others: Any) -> Any:
        over, everywhere = PartitionSpec(axis), PartitionSpec()
        specs = {"in_specs": (over, *(everywhere for _ in others)), "out_specs": over}
        return jax.shard_map(function, mesh=mesh, **specs, check_vma=False)(first, *others)

    return divided


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Return arrays, on every device of the mesh.

    Args:
      tree: host arrays or this process's own, the same in every process (that is not checked); or of such a mesh.
      mesh: of task_mesh.
    """
    sharding = everywhere(mesh)
    if jax.process_count() == 1:
        return jax.device_put(tree, sharding)
    return jax.tree.map(lambda leaf: _globally(leaf, sharding), tree)


def _globally(leaf: Any, sharding: NamedSharding) -> jax.Array:
    if isinstance(leaf, jax.Array):
        if not leaf.is_fully_addressable:
            return jax.device_put(leaf, sharding)
        if is_key(leaf):
            data = _globally(jax.random.key_data(leaf), sharding)
            return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
    # Not device_put, which compares the processes' values by a collective.
    host = np.asarray(jnp.asarray(leaf))
    return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])


def describe(mesh: Mesh) -> str:
    """Return the devices, for people: "2 devices, cpu (cpu)", "4 of 8 devices in 2 processes, cpu (cpu)"."""
    device, all_of_them = mesh.devices.flat[0], jax.device_count()
    size = str(mesh.size) if mesh.size == all_of_them else f"{mesh.size} of {all_of_them}"
    processes = f" in {jax.process_count()} processes" if jax.process_count() > 1 else ""
    return f"{size} device{'s' if all_of_them > 1 else ''}{processes}, {device.platform} ({device.device_kind})"


def _indivisible(tasks: int, devices: int, of_one_process: int, have: int) -> str:
    below, above = tasks // devices * devices, -(-tasks // devices) * devices
    nearest = " or ".join(str(n) for n in (below, above) if n)
    text = (
        f"{tasks} tasks do not divide among {devices} devices: expected --tasks_per_episode (of pre-training, half of "
        f"--batch_size) {nearest}"
    )
    if of_one_process:
        text += f", or --devices one of {[d for d in range(1, have + 1) if tasks % d == 0]}"
    return f"{text}."


@functools.cache
def _mesh(devices: int) -> Mesh:
    of_each = [jax.local_devices(process_index=p)[:devices] for p in range(jax.process_count())]
    return jax.make_mesh(
        (sum(map(len, of_each)),),
        (AXIS,),
        axis_types=(jax.sharding.AxisType.Auto,),
        devices=[device for of_one in of_each for device in of_one],
    )
