"""Devices: one per core on a CPU, the tasks of an episode divided among them, and what the compiler is told.

A CPU counts as one XLA device, whose program runs a loop on one core; with a device per core, each runs its own tasks.
"""

import contextlib
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from metaser_jax.errors import InputError
from metaser_jax.meta.learner import Learner, MetaParams
from metaser_jax.processes import cores
from metaser_jax.types import Episode

AXIS = "task"


def one_device_per_core(devices: int = 0) -> int:
    """Makes the CPU as many XLA devices as it has cores; of use before jax's first use.

    Args:
      devices: another number than that of this process's cores; 0 takes theirs, unless JAX_NUM_CPU_DEVICES or a use of
        jax has settled it.

    Returns:
      The number of local devices there are now: of the CPU, or of whatever accelerator jax finds.

    Raises:
      InputError: jax already runs on another number of CPU devices than `devices`.
    """
    unset = jax.config.jax_num_cpu_devices < 1
    if devices or unset:
        # Raised where jax has been used; what it runs on then is looked at below.
        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", devices or cores())
    have = jax.local_device_count()
    if devices and jax.default_backend() == "cpu" and have != devices:
        raise InputError(
            f"devices: got {devices}, but jax runs on {have} CPU devices already; ask before its first use."
        )
    return have


def compiler_options() -> dict[str, bool | int]:
    """What jax.jit(..., compiler_options=) is given for a meta-step: 512-bit vectors on a CPU, nothing elsewhere."""
    return {"xla_cpu_prefer_vector_width": 512} if jax.default_backend() == "cpu" else {}


def shard_over_devices(learner: Learner, devices: int = 0) -> Learner:
    """The same learner, with the tasks of an episode divided among this process's devices.

    Args:
      learner: any.
      devices: how many; 0 takes the most that divide the tasks.

    Returns:
      Learner whose value_and_grad divides the tasks, every device with its own, and averages the gradients; equal up to
      the order of additions. The meta-parameters, and the results, are on every device.

    Raises:
      InputError: when called, a number of tasks that `devices` does not divide, or more devices than there are.
    """

    def of_tasks(episode: Episode, meta_params: MetaParams, step: jax.Array):
        loss, grads, info = learner.value_and_grad(meta_params, episode, step)
        return (loss, grads), info

    def value_and_grad(meta_params: MetaParams, episode: Episode, step: jax.Array | int = 0):
        divided = mean_over_devices(of_tasks, devices)
        (loss, grads), info = divided(episode, meta_params, jnp.asarray(step, jnp.int32))
        return loss, grads, info

    return learner._replace(value_and_grad=value_and_grad)


def mean_over_devices(function: Callable[..., tuple[Any, Any]], devices: int = 0) -> Callable[..., tuple[Any, Any]]:
    """A function of some tasks, as a function of more of them that devices share.

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
        mesh = task_mesh(jax.tree.leaves(episode)[0].shape[0], devices)
        over, everywhere = PartitionSpec(AXIS), PartitionSpec()
        specs = {"in_specs": (over, *(everywhere for _ in others)), "out_specs": (everywhere, over)}
        return jax.shard_map(of_shard, mesh=mesh, **specs, check_vma=False)(episode, *others)

    return divided


def divide_over_devices(function: Callable[..., Any], devices: int) -> Callable[..., Any]:
    """A function of some tasks or runs, as a function of more of them that devices share.

    Args:
      function: (tasks, *others) -> results; pytrees of arrays, of which tasks and results are [task, ...].
      devices: how many; a divisor of the number of tasks.

    Returns:
      The same function; each device computes its tasks' part of it.
    """

    def divided(tasks: Any, *others: Any) -> Any:
        over, everywhere = PartitionSpec(AXIS), PartitionSpec()
        specs = {"in_specs": (over, *(everywhere for _ in others)), "out_specs": over}
        return jax.shard_map(function, mesh=_mesh(devices), **specs, check_vma=False)(tasks, *others)

    return divided


def task_mesh(tasks: int, devices: int = 0) -> Mesh:
    """The devices that share so many tasks."""
    return _mesh(_count(tasks, devices))


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Arrays, on every device of the mesh."""
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def describe(mesh: Mesh) -> str:
    """The devices, for people: "2 devices, cpu (cpu)"."""
    device = mesh.devices.flat[0]
    return f"{mesh.size} device{'s' if mesh.size > 1 else ''}, {device.platform} ({device.device_kind})"


def _count(tasks: int, devices: int) -> int:
    have = jax.local_device_count()
    if devices > have:
        raise InputError(f"devices: got {devices}, expected at most the {have} that there are.")
    if devices and tasks % devices:
        divisors = [d for d in range(1, have + 1) if tasks % d == 0]
        raise InputError(f"devices: got {devices} for {tasks} tasks, expected a divisor: one of {divisors}.")
    return devices or max(d for d in range(1, have + 1) if tasks % d == 0)


@functools.cache
def _mesh(devices: int) -> Mesh:
    return jax.make_mesh(
        (devices,), (AXIS,), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.local_devices()[:devices]
    )
