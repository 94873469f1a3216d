"""The same run on other devices and in other numbers of processes: what is equal, to the bit or up to rounding.

python experiments/benchmarks/topologies.py --data_dir=data --sources=ravdess,emodb --run_dir=runs/topologies

Each topology is a job of meta_train.py on this machine (processes speak through gloo), in float32 and float64, and one
of this file with --worker, which draws one episode and computes its meta-gradient. Compared with one device, and with
as many devices of one process: the utterances of every task, the gradient, the parameters after all episodes.
"""

import contextlib
import dataclasses
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from absl import flags

from metaser_jax.errors import InputError
from metaser_jax.specs import MetaTrainSpec, how_fields
from metaser_jax.specs import flags as program_flags
from metaser_jax.specs.presets import META_TRAIN
from metaser_jax.specs.programs import MetaTrainConfig

DTYPES = ("float32", "float64")
SEED = 5  # of the episode whose gradient is compared

program_flags.define(MetaTrainConfig, META_TRAIN)
flags.DEFINE_string("worker", "", "Internal: compute the gradient of one episode in this process of a job, to here.")
# What each topology is given another value of.
OURS = {"run_dir", "dtype", "devices", "coordinator_address", "num_processes", "process_id"}


class Topology(NamedTuple):
    """Processes on this machine, and devices of each."""

    processes: int
    devices: int

    def __str__(self) -> str:
        return f"{self.processes} x {self.devices}"


TOPOLOGIES = [Topology(*shape) for shape in ((1, 1), (1, 2), (2, 1), (1, 4), (4, 1), (1, 8), (2, 4))]


def run_job(program: list[str], topology: Topology) -> None:
    """Runs a program in all processes of a job; one that fails ends it with its output."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    environment = os.environ | {"JAX_NUM_CPU_DEVICES": str(topology.devices), "JAX_PLATFORMS": "cpu"}
    # Files, for a process whose pipe nobody reads yet would wait.
    with contextlib.ExitStack() as files:
        said = [files.enter_context(tempfile.TemporaryFile("w+")) for _ in range(topology.processes)]
        processes = []
        for number, file in enumerate(said):
            command = [sys.executable, *program, f"--devices={topology.devices}"]
            if topology.processes > 1:
                command += [f"--coordinator_address=localhost:{port}", f"--num_processes={topology.processes}"]
                command += [f"--process_id={number}"]
            processes.append(subprocess.Popen(command, env=environment, stdout=file, stderr=subprocess.STDOUT))
        codes = [process.wait() for process in processes]
        if any(codes):
            outputs = [file.read() for file in said if not file.seek(0)]
            raise InputError(f"{' '.join(program)} as {topology} failed:\n" + "\n".join(outputs))


def work(config: MetaTrainConfig, out: Path) -> None:
    """Draws an episode and computes its meta-gradient in all processes; process 0 writes both."""
    import jax
    from jax.experimental import multihost_utils

    from metaser_jax.training import cluster, meta_program, parallel
    from metaser_jax.training.checkpoints import to_host
    from metaser_jax.training.run import load_sources, training_utterances
    from metaser_jax.training.sampling import episodes
    from metaser_jax.training.trainer import make_trainer

    cluster.start(config)
    with cluster.guard(), jax.enable_x64(config.dtype == "float64"):
        ready = load_sources(config, config.data_dir)
        trainer = make_trainer(config, training_utterances(ready))
        mesh = parallel.task_mesh(config.tasks_per_episode, config.devices)
        sources = meta_program.banks(config, ready)[0]
        state, sources, key = parallel.replicate((trainer.state, sources, jax.random.key(SEED)), mesh)

        def draw(numbers, sources, key):
            return episodes.sample(key, sources, **meta_program.episode_shape(config, mesh.size), first=numbers[0])

        def step(state, sources, key):
            numbers = jax.numpy.arange(config.tasks_per_episode)
            episode = parallel.over_devices(draw, mesh)(numbers, sources, key)
            return episode, trainer.learner.value_and_grad(state.meta_params, episode, state.episode)[1]

        episode, grads = jax.jit(step, compiler_options=parallel.compiler_options())(state, sources, key)
        drawn = multihost_utils.process_allgather(episode, tiled=True)
        arrays = {f"episode {i}": a for i, a in enumerate(jax.tree.leaves(drawn))}
        arrays |= {f"gradient {i}": a for i, a in enumerate(jax.tree.leaves(to_host(grads)))}
        if cluster.is_primary():
            np.savez(out, **arrays)


def parameters(run_dir: Path) -> dict[str, np.ndarray]:
    """The meta-parameters that a run ended with."""
    import jax

    from metaser_jax.training.checkpoints import Checkpoints
    from metaser_jax.training.trainer import make_trainer, no_utterances

    saved = json.loads((run_dir / "config.json").read_text())
    names = {field.name for field in dataclasses.fields(MetaTrainSpec)} & saved.keys()
    values = {
        n: tuple(saved[n]) if isinstance(saved[n], list) else saved[n] for n in names - set(how_fields(MetaTrainSpec))
    }
    config = MetaTrainSpec(**values)
    with jax.enable_x64(config.dtype == "float64"), Checkpoints(run_dir, read_only=True) as checkpoints:
        like = jax.eval_shape(lambda: make_trainer(config, no_utterances(config)).state)
        leaves = jax.tree.leaves(checkpoints.restore(config.episodes, like).meta_params)
    return {f"parameters {i}": leaf for i, leaf in enumerate(leaves)}


def vector(arrays: dict[str, np.ndarray], kind: str) -> np.ndarray:
    return np.concatenate([a.astype(np.float64).ravel() for name, a in arrays.items() if name.startswith(kind)])


def compare(got: dict[str, np.ndarray], reference: dict[str, np.ndarray]) -> dict[str, Any]:
    """Whether the episodes are equal, and the relative error in norm of gradient and parameters (0: to the bit)."""

    def error(kind: str) -> float:
        a, b = vector(got, kind), vector(reference, kind)
        return float(np.linalg.norm(a - b) / np.linalg.norm(b))

    same = all(np.array_equal(got[name], reference[name]) for name in reference if name.startswith("episode"))
    return {"same_episodes": same, "gradient": error("gradient"), "parameters": error("parameters")}


def main() -> None:
    config = program_flags.config(MetaTrainConfig, META_TRAIN)
    here = Path(__file__).resolve()
    if flags.FLAGS.worker:
        work(config, Path(flags.FLAGS.worker))
        return
    out = Path(config.run_dir)
    out.mkdir(parents=True, exist_ok=True)
    values = {name: flags.FLAGS[name].value for name in sorted(program_flags.given(MetaTrainConfig) - OURS)}
    given = [f"--{name}={','.join(value) if isinstance(value, list) else value}" for name, value in values.items()]
    given.append(f"--preset={flags.FLAGS.preset}")
    rows = []
    for dtype in DTYPES:
        found: dict[Topology, dict[str, np.ndarray]] = {}
        for topology in TOPOLOGIES:
            if config.tasks_per_episode % (topology.processes * topology.devices):
                continue
            run = out / f"{dtype}_{topology.processes}_{topology.devices}"
            common = [*given, f"--dtype={dtype}", f"--run_dir={run}"]
            run_job([str(here.parents[1] / "meta_train.py"), *common], topology)
            run_job([str(here), *common, f"--worker={run}.npz"], topology)
            found[topology] = dict(np.load(f"{run}.npz")) | parameters(run)
            for reference in (Topology(1, 1), Topology(1, topology.processes * topology.devices)):
                if reference != topology:
                    compared = compare(found[topology], found[reference])
                    rows.append({"dtype": dtype, "topology": str(topology), "against": str(reference)} | compared)
                    print(rows[-1])
    (out / "topologies.json").write_text(json.dumps(rows, indent=2) + "\n")
    lines = [
        "| dtype | processes x devices | against | episodes | gradient | parameters |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        errors = " | ".join("equal to the bit" if row[k] == 0 else f"{row[k]:.1e}" for k in ("gradient", "parameters"))
        episodes = "the same" if row["same_episodes"] else "**differ**"
        lines.append(f"| {row['dtype']} | {row['topology']} | {row['against']} | {episodes} | {errors} |")
    (out / "topologies.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    program_flags.run(main)
