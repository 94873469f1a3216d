"""How long an all-reduce takes, by the cost model of messages, and how well data-parallel steps scale with it.

A message of m bytes takes alpha + m / B: alpha its latency, B the bandwidth of a device in one direction. For n bytes
on p devices (Thakur, Rabenseifner, Gropp: Optimization of collective communication operations in MPICH, 2005):

    ring:  2 (p - 1) (alpha + n / (p B))         reduce-scatter and all-gather, one neighbour at a time
    tree:  2 ceil(log2 p) (alpha + n / B)        binomial reduction to one device, and broadcast from it

A step is its computation c and then the all-reduce r, which waits for the whole meta-gradient: nothing overlaps.

    weak scaling, so many tasks on each device:        c / (c + r)
    strong scaling, T tasks of t seconds in all:       T t / (p (ceil(T / p) t + r))

The all-reduce takes more than half of a step whose computation is shorter than r, which is r / t tasks on a device.

Left out: a node's faster links inside a slower network, libraries' pipelines, congestion, stragglers, the start of a
kernel. All devices of a row have the row's link and a port of their own.
"""

import math
from typing import NamedTuple


class Interconnect(NamedTuple):
    """What devices are joined by.

    Attributes:
      bandwidth: bytes per second of a device in one direction.
      latency: seconds of a message.
      reach: how many devices it joins; None is any number.
      rings_only: whether only neighbours are joined, so that there are no trees.
    """

    name: str
    bandwidth: float
    latency: float
    reach: int | None = None
    rings_only: bool = False

    def joins(self, devices: int) -> bool:
        return self.reach is None or devices <= self.reach


# Published figures, peak values.
# - NVLink 4: 900 GB/s of an H100 in both directions together (NVIDIA, H100 data sheet), 8 H100 on a DGX's switches.
# - InfiniBand NDR: 400 Gb/s a port, a port for each GPU (NVIDIA, DGX H100 data sheet: 8 ConnectX-7 for 8 GPUs).
# - Their latencies: hwLat of NCCL, protocol Simple, the larger of tree's and ring's (github.com/NVIDIA/nccl,
#   src/graph/tuning.cc).
# - Ethernet: 100 Gb/s; about 50 us from kernel to kernel by TCP (wwt.com, The basics of high-performance networking).
# - TPU v5e: 45 GB/s in one direction of one link of four, a torus of 256 chips, about 1 us a hop (Austin et al.: How to
#   scale your model, 2025, jax-ml.github.io/scaling-book).
INTERCONNECTS = (
    Interconnect("NVLink 4, NVSwitch", 450e9, 4e-6, 8),
    Interconnect("InfiniBand NDR 400", 50e9, 14e-6),
    Interconnect("100 Gb Ethernet, TCP", 12.5e9, 50e-6),
    Interconnect("TPU v5e ICI", 45e9, 1e-6, 256, rings_only=True),
)


def ring(size: float, devices: int, link: Interconnect) -> float:
    """Seconds of a ring all-reduce of so many bytes."""
    return 2 * (devices - 1) * (link.latency + size / (devices * link.bandwidth))


def tree(size: float, devices: int, link: Interconnect) -> float:
    """Seconds of a reduction of so many bytes along a binomial tree and a broadcast back."""
    return 2 * math.ceil(math.log2(devices)) * (link.latency + size / link.bandwidth)


def fastest(size: float, devices: int, link: Interconnect) -> float:
    """Seconds of whichever is faster, where there are both: libraries choose, too."""
    in_ring = ring(size, devices, link)
    return in_ring if link.rings_only else min(in_ring, tree(size, devices, link))


def weak_efficiency(compute: float, reduce: float) -> float:
    """Share of a step that is computation; seconds of both."""
    return compute / (compute + reduce)


def strong_efficiency(tasks: int, devices: int, task: float, reduce: float) -> float:
    """Speed-up over one device, by the number of devices.

    Args:
      tasks: of a step, all devices together.
      task: seconds of a task.
      reduce: seconds of the all-reduce.
    """
    return tasks * task / (devices * (math.ceil(tasks / devices) * task + reduce))
