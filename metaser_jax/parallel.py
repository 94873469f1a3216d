"""The devices of a program of one's own: one per core of a CPU, and an episode's tasks divided among them."""

from metaser_jax.training.parallel import (
    compiler_options,
    on_all_cores,
    one_device_per_core,
    shard_over_devices,
    task_mesh,
)

__all__ = ["compiler_options", "on_all_cores", "one_device_per_core", "shard_over_devices", "task_mesh"]
