"""Devices: one per core on a CPU, the tasks of an episode divided among them, and what the compiler is told.

A CPU counts as one XLA device, whose program runs a loop on one core; with a device per core, each runs its own tasks.
"""

import functools

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

from metaser_jax.errors import InputError
from metaser_jax.meta.learner import Learner, MetaParams
from metaser_jax.processes import cores
from metaser_jax.types import Episode


def one_device_per_core(devices: int = 0) -> int:
    """Makes the CPU as many XLA devices as it has cores; call it before jax's first use.

    Args:
      devices: another number than that of this process's cores; 0 takes theirs.

    Returns:
      The number of local devices there are now: of the CPU, or of whatever accelerator jax finds.

    Raises:
      InputError: jax has been used, with another number.
    """
    wanted = devices or cores()
    try:
        jax.config.update("jax_num_cpu_devices", wanted)
    except RuntimeError as error:
        if jax.default_backend() == "cpu" and jax.local_device_count() != wanted:
            raise InputError(
                f"one_device_per_core: jax already runs on {jax.local_device_count()} CPU devices, expected to be "
                f"asked for {wanted} before its first use."
            ) from error
    return jax.local_device_count()


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

    def value_and_grad(meta_params: MetaParams, episode: Episode, step: jax.Array | int = 0):
        tasks = episode.support.y.shape[0]
        mesh = _mesh(_count(tasks, devices))
        over, everywhere = PartitionSpec("task"), PartitionSpec()

        def of_shard(meta_params, episode, step):
            loss, grads, info = learner.value_and_grad(meta_params, episode, step)
            return *jax.lax.pmean((loss, grads), "task"), info

        sharded = jax.shard_map(
            of_shard,
            mesh=mesh,
            in_specs=(everywhere, over, everywhere),
            out_specs=(everywhere, everywhere, over),
            check_vma=False,
        )
        return sharded(meta_params, episode, jnp.asarray(step, jnp.int32))

    return learner._replace(value_and_grad=value_and_grad)


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
        (devices,), ("task",), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.local_devices()[:devices]
    )
