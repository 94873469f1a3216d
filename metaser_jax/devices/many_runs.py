"""Many runs as one program: divided among the devices, on each one after another or some at once.

A call of the program takes a fixed number of runs, so any number of runs shares it, and there is progress to be seen
between calls. Runs of like size go into the same call, and one device gets as much to do as another.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from metaser_jax.devices import parallel
from metaser_jax.meta.execution import CPU_CHUNK

# Runs per device and call. On a CPU: more would even out better who stops when, and be seen less often.
CPU_RUNS = 16
# Elsewhere all of them at once; not measured. A minibatch of 64 takes some 60 MiB of each with the paper's network.
RUNS_ELSEWHERE = 64
CHUNK_ELSEWHERE = 256  # larger than minibatches


class Plan(NamedTuple):
    """How runs are gone through; equal plans share a program.

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
    parallel.check_devices(devices, have)
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
    mesh = mesh or parallel.run_mesh(plan.devices, 1, plan.devices)
    return parallel.over_devices(parallel.some_at_once(function, plan.at_once), mesh)


def deal(load: Sequence[float], plan: Plan) -> np.ndarray:
    """Return which run goes where.

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
