"""A process of a job, for the tests: `python job.py --scene=NAME --out=FOLDER` and the flags of ClusterSpec."""

import dataclasses
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from metaser_jax import InputError
from metaser_jax.specs import ClusterSpec, flags, option
from metaser_jax.training import cluster, parallel

# The bits that sums, 32 bits and number types could lose.
BITS = {
    "negative_zero": np.array([-0.0, 1.5], np.float32),
    "payload": np.array([0x7FC12345], np.uint32).view(np.float32),
    "double": np.array([1 / 3]),
    "bfloat16": np.array([1.25], jnp.bfloat16),
    "count": np.int64(2**40 + 1),
    "empty": np.zeros((0, 3), np.float32),
}
# What a process sends itself in a scene (in "ends" too late for a checkpoint), and what process 1 raises.
TERM, KILL = signal.SIGTERM, signal.SIGKILL
SIGNALS = {(1, "agreements"): TERM, (1, "ends"): TERM, (1, "killed"): KILL, (0, "coordinator_killed"): KILL}
ERRORS = {"alone": InputError("only here"), "bug": TypeError("a bug"), "interrupted": KeyboardInterrupt()}


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobConfig(ClusterSpec):
    scene: str = option()
    """What happens."""
    out: str = option()
    """Where each process writes what it saw."""


def message_of(action: Callable[[], object]) -> str:
    try:
        action()
    except InputError as error:
        return str(error)
    return ""


def hexes(tree) -> dict[str, str]:
    return {name: np.asarray(value).tobytes().hex() for name, value in tree.items()}


def agreements(me: int) -> dict[str, object]:
    def fails_in_one():
        if me == 1:
            raise OSError("disk on fire")
        return "fine"

    def fails_everywhere():
        raise InputError("no such corpus")

    mine = {name: value if me == 0 else np.zeros_like(value) for name, value in BITS.items()}
    key = jax.random.key(7 if me == 0 else 8, impl="rbg")
    received, key = cluster.broadcast((mine, key))
    return {
        "primary": cluster.is_primary(),
        "attempt": cluster.attempt(lambda: me),
        "one": message_of(lambda: cluster.attempt(fails_in_one)),
        "all": message_of(lambda: cluster.attempt(fails_everywhere)),
        "agree": message_of(lambda: cluster.agree("It", {"a": 1, "b": [1, 2]})),
        "differ": message_of(lambda: cluster.agree("The plan", {"a": 1, "b": me, **({"c": "x"} if me else {})})),
        "bits": hexes(received),
        "types": {name: str(np.asarray(value).dtype) + str(np.shape(value)) for name, value in received.items()},
        "key": [str(jax.random.key_impl(key)), jax.random.key_data(key).tolist()],
    }


def meshes(me: int) -> dict[str, object]:
    mesh = parallel.task_mesh(4)
    seen = {
        "describe": [parallel.describe(mesh), parallel.describe(parallel.task_mesh(2, devices=1))],
        "indivisible": message_of(lambda: parallel.task_mesh(6)),
        "too_many": message_of(lambda: parallel.task_mesh(9, devices=3)),
    }
    if me == 0:  # Alone: it must not wait for the others.
        parallel.replicate(np.ones(3), mesh)
    key, weight = parallel.replicate((jax.random.key(3), np.float32(2)), mesh)
    tasks = np.arange(8, dtype=np.float32).reshape(4, 2)
    over = NamedSharding(mesh, PartitionSpec(parallel.TASKS))
    tasks = jax.make_array_from_callback(tasks.shape, over, lambda index: tasks[index])

    def of_tasks(tasks, weight, key):
        return weight * tasks.mean(axis=1), jax.random.uniform(key) + tasks[:, 0]

    values, info = jax.jit(parallel.over_devices(of_tasks, mesh))(tasks, weight, key)
    mean = jax.jit(jnp.mean, out_shardings=parallel.everywhere(mesh))(values)
    return seen | {
        "mean": float(mean),
        "local": sorted(float(s.data[0] - jax.random.uniform(jax.random.key(3))) for s in info.addressable_shards),
    }


def scene(config: JobConfig) -> int:
    parallel.one_device_per_core()
    me = config.process_id
    mesh = parallel.task_mesh(4)
    step = jax.jit(lambda x: x.sum(), out_shardings=NamedSharding(mesh, PartitionSpec()))
    x = parallel.replicate(np.ones(3, np.float32), mesh)
    x = jax.jit(lambda x: jnp.tile(x, 4), out_shardings=NamedSharding(mesh, PartitionSpec(parallel.TASKS)))(x)
    if config.scene == "agreements":
        (Path(config.out) / f"{me}.json").write_text(json.dumps(agreements(me) | {"meshes": meshes(me)}))
    with cluster.Preemption() as preemption:
        for number in range(10_000):
            assert float(step(x)) == 12
            time.sleep(0.01)
            if number == 5 and (me, config.scene) in SIGNALS:
                os.kill(os.getpid(), SIGNALS[me, config.scene])
            if number == 5 and me == 1 and config.scene in ERRORS:
                raise ERRORS[config.scene]
            if number == 5 and config.scene == "ends":
                return 0
            if preemption.reached():
                (Path(config.out) / f"{me}.stopped").write_text(str(number))
                raise cluster.Preempted("the checkpoint is written")
    return 1


def main() -> int:
    config = flags.config(JobConfig)
    cluster.start(config)
    with cluster.guard():
        return scene(config)


if __name__ == "__main__":
    flags.define(JobConfig)
    flags.run(main)
