"""A job of several processes: how they find each other, and how long they wait for one another."""

import dataclasses

from metaser_jax.specs.base import Spec, option, require

_EXPLICIT = ("coordinator_address", "num_processes", "process_id")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClusterSpec(Spec):
    """How the processes of a job come together."""

    TITLE = "A job of several processes"

    cluster: str = option(
        "How a job's processes find each other: slurm, ompi (Open MPI 4), tpu (Cloud TPU, also on GKE), k8s (an "
        "indexed Kubernetes Job or JobSet), auto (the first of them that is there). none: one process, or "
        "--coordinator_address.",
        "none",
        choices=("none", "auto", "slurm", "ompi", "tpu", "k8s"),
        how=True,
    )
    coordinator_address: str = option(
        "host:port of process 0, as every process reaches it; with --num_processes and --process_id.",
        "",
        how=True,
    )
    num_processes: int = option("With --coordinator_address: the job's number of processes.", 0, how=True)
    process_id: int = option("With --coordinator_address: this process's number, from 0.", -1, how=True)
    heartbeat_timeout: int = option(
        "Seconds of silence after which a process counts as lost, and the job ends.", 30, how=True
    )
    start_timeout: int = option(
        "Seconds to wait at the start for the other processes, and for another run that still writes --run_dir.",
        300,
        how=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        # Below a few seconds a busy host counts as lost.
        require(self.heartbeat_timeout >= 10, "heartbeat_timeout", self.heartbeat_timeout, "10 seconds or more")
        require(self.start_timeout >= 1, "start_timeout", self.start_timeout, "1 second or more")
        given = {name: getattr(self, name) for name in _EXPLICIT if getattr(self, name) not in ("", 0, -1)}
        # Number 0 of a job is given, and its number of processes cannot be 0.
        if self.process_id == 0:
            given["process_id"] = 0
        missing = [f"--{name}" for name in _EXPLICIT if name not in given]
        require(
            len(missing) in (0, len(_EXPLICIT)),
            next(iter(given), ""),
            next(iter(given.values()), ""),
            f"{' and '.join(missing)} beside it",
        )
        if not given:
            return
        require(self.cluster == "none", "cluster", self.cluster, "none with --coordinator_address, which says it all")
        host, _, port = self.coordinator_address.rpartition(":")
        require(
            bool(host) and port.isdecimal() and 0 < int(port) < 2**16,
            "coordinator_address",
            self.coordinator_address,
            "host:port",
        )
        require(self.num_processes >= 1, "num_processes", self.num_processes, "1 or more")
        require(
            0 <= self.process_id < self.num_processes,
            "process_id",
            self.process_id,
            f"a number from 0 to {self.num_processes - 1}",
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobSpec(ClusterSpec):
    """What a training keeps and traces, besides how its processes come together."""

    TITLE = "Checkpoints and traces"

    keep_checkpoints: int = option("Newest checkpoints of a run to keep, besides the best.", 3, how=True)
    profile: int = option(
        "Intervals, after the first, to trace with jax.profiler into the run's profile/.", 0, how=True
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_one_or_more("keep_checkpoints")
        require(self.profile >= 0, "profile", self.profile, "0 or more")
