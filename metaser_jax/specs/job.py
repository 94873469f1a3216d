"""A job of several processes: how they find each other, and how long they wait for one another."""

import dataclasses

from metaser_jax.specs.base import Spec, option

# The flags of a job by number, with their values where they are not given.
_EXPLICIT = {"coordinator_address": "", "num_processes": 0, "process_id": -1}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClusterSpec(Spec):
    """A job's processes, and the way in which they find each other."""

    TITLE = "A job of several processes"

    cluster: str = option("none", choices=("none", "auto", "slurm", "ompi", "tpu", "k8s"), how=True)
    """How a job's processes find each other: slurm, ompi (Open MPI 4), tpu (Cloud TPU, also on GKE), k8s (an indexed
    Kubernetes Job or JobSet), auto (the first of them that is there). none: one process, or --coordinator_address."""
    coordinator_address: str = option("", how=True)
    """host:port of process 0, as every process reaches it; with --num_processes and --process_id."""
    num_processes: int = option(0, how=True)
    """With --coordinator_address: the job's number of processes."""
    process_id: int = option(-1, how=True)
    """With --coordinator_address: this process's number, from 0."""
    # Below a few seconds a busy host counts as lost.
    heartbeat_timeout: int = option(30, how=True, least=10)
    """Seconds of silence after which a process counts as lost, and the job ends."""
    start_timeout: int = option(300, how=True, least=1)
    """Seconds to wait at the start for the other processes, and for another run that still writes --run_dir."""

    def __post_init__(self) -> None:
        super().__post_init__()
        given = [name for name, unset in _EXPLICIT.items() if getattr(self, name) != unset]
        if not given:
            return
        missing = [f"--{name}" for name in _EXPLICIT if name not in given]
        self.require(not missing, given[0], f"{' and '.join(missing)} beside it")
        self.require(self.cluster == "none", "cluster", "none with --coordinator_address, which says it all")
        host, _, port = self.coordinator_address.rpartition(":")
        is_port = port.isdecimal() and 0 < int(port) < 2**16
        self.require(bool(host) and is_port, "coordinator_address", "host:port")
        self.require(self.num_processes >= 1, "num_processes", "1 or more")
        self.require(0 <= self.process_id < self.num_processes, "process_id", "0 or more, below --num_processes")


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobSpec(ClusterSpec):
    """Checkpoints and traces of a training, besides its job's processes."""

    TITLE = "Checkpoints and traces"

    keep_checkpoints: int = option(3, how=True, least=1)
    """Newest checkpoints of a run to keep, besides the best."""
    profile: int = option(0, how=True, least=0)
    """Intervals, after the first, to trace with jax.profiler into the run's profile/."""
