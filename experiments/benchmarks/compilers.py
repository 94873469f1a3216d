"""XLA's compilers for accelerators that are not here: H100, and slices of TPU v5e, v5p and v6e."""

import contextlib
import os
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any, NamedTuple
from unittest import mock

import jax
from jax.experimental import topologies
from jax.sharding import Mesh

from metaser_jax.errors import InputError
from metaser_jax.training import parallel

# What the compiler asks of an H100 SXM. Sources: NVIDIA, "H100 Tensor Core GPU Architecture", and the CUDA C
# Programming Guide's table of compute capability 9.0; the names are those of XLA's stream_executor.GpuDeviceInfoProto.
_H100 = """
gpu_device_info {
  cuda_compute_capability { major: 9 feature_extension: ACCELERATED_FEATURES }
  core_count: 132 fpus_per_core: 128 clock_rate_ghz: 1.98
  threads_per_warp: 32 threads_per_block_limit: 1024 threads_per_core_limit: 2048
  registers_per_block_limit: 65536 registers_per_core_limit: 65536
  shared_memory_per_block: 49152 shared_memory_per_block_optin: 232448 shared_memory_per_core: 233472
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  l2_cache_size: 52428800 memory_bandwidth: 3350000000000 device_memory_size: 85899345920
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 10 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""
# Kind of TPU -> chips of a slice -> the topology that holds them. A host has four chips, so one is of 2x2.
_TPU = {
    "v5e": {1: "2x2", 8: "2x4", 64: "8x8"},
    "v5p": {1: "2x2x1", 8: "2x2x2", 64: "4x4x4"},
    "v6e": {1: "2x2", 8: "2x4", 64: "8x8"},
}


class Target(NamedTuple):
    """Attributes: kind, "H100" or a TPU's; devices, how many."""

    kind: str
    devices: int

    def __str__(self) -> str:
        return f"{self.kind} x {self.devices}"

    @property
    def tpu(self) -> bool:
        return self.kind != "H100"

    @property
    def compiler_options(self) -> dict[str, Any]:
        # Autotuning would run the candidates on a device.
        return {} if self.tpu else {"xla_gpu_autotune_level": 0}


def target_of(name: str) -> Target:
    """The target of a name: "v5e x 8"."""
    kind, devices = name.split(" x ")
    return Target(kind, int(devices))


def missing(target: Target) -> str | None:
    """What has to be installed to compile for the target, or None."""
    wanted = ("libtpu",) if target.tpu else ("jax_cuda12_plugin", "nvidia.cuda_nvcc")
    try:
        absent = [name for name in wanted if find_spec(name) is None]
    except ModuleNotFoundError as error:  # a package within one that is not there
        absent = [str(error.name)]
    return f"{', '.join(absent)}: pip install metaser_jax[compilers]" if absent else None


def mesh_of(target: Target) -> Mesh:
    """The target's devices, as those of parallel.task_mesh.

    Raises:
      InputError: the compiler is not installed.
    """
    if absent := missing(target):
        raise InputError(f"{target}: needs {absent}.")
    # Else libtpu asks the network for the TPU that it might be on, and refuses to be in two processes.
    os.environ |= {"TPU_SKIP_MDS_QUERY": "1", "ALLOW_MULTIPLE_LIBTPU_LOAD": "1"}
    if target.tpu:
        name = f"{target.kind}:{_TPU[target.kind][target.devices]}"
        topology = topologies.get_topology_desc(name, platform="tpu")
    else:
        topology = topologies.get_topology_desc("", platform="cuda", topology="1x1x1", target_config=_H100)
    kinds = (jax.sharding.AxisType.Auto,) * 2
    devices = topology.devices[: target.devices]
    return jax.make_mesh((1, target.devices), (parallel.RUNS, parallel.TASKS), axis_types=kinds, devices=devices)


@contextlib.contextmanager
def as_on(target: Target) -> Iterator[None]:
    """Within it, what asks for jax's backend gets the target's: options that are chosen by it are as they are there."""
    with mock.patch.object(jax, "default_backend", return_value="tpu" if target.tpu else "gpu"):
        yield
