"""The start of a job's processes, by jax.distributed."""

import importlib.util
import os
import threading

import jax

from metaser_jax.errors import InputError, NotAllCameError
from metaser_jax.specs import ClusterSpec

# What jax.distributed looks for, by --cluster; in this order with auto.
_SIGNS = {
    "ompi": ("OMPI_MCA_orte_hnp_uri",),
    "slurm": ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID"),
    "tpu": (),
    "k8s": ("KUBERNETES_SERVICE_HOST",),
}
_LOOKED = "; ".join(f"{name} ({', '.join(signs) or 'a Cloud TPU VM with libtpu'})" for name, signs in _SIGNS.items())
_ADVICE = f"Looked for: {_LOOKED}. Otherwise say --coordinator_address=HOST:PORT --num_processes=N --process_id=I."
# Packages that jax looks with; the extra of jax that brings one has the cluster's name.
_NEEDED = {"tpu": "libtpu", "k8s": "kubernetes"}


def start(job: ClusterSpec) -> None:
    """Join the job; of use before jax's first use. Does nothing for one process that no cluster started.

    Args:
      job: which, and how it is found.

    Raises:
      InputError: jax has been used already, or --cluster finds nothing.
      NotAllCameError: the other processes do not come in time.
    """
    if job.cluster == "none" and not job.coordinator_address:
        return
    if jax.distributed.is_initialized():
        raise InputError("cluster: this process has joined a job already; start it once.")
    if job.cluster == "none":
        names = ("coordinator_address", "num_processes", "process_id")
        found = {name: getattr(job, name) for name in names} | {"cluster_detection_method": "deactivate"}
    else:
        found = {"cluster_detection_method": _method(job.cluster)}
    # Later than the wait below: JAX does not raise then, it aborts.
    found |= {"initialization_timeout": job.start_timeout + 60, "heartbeat_timeout_seconds": job.heartbeat_timeout}
    failed: list[Exception] = []

    def join() -> None:
        try:
            jax.distributed.initialize(**found)
        except Exception as error:
            # RuntimeError, ValueError, KeyError ... by what jax's detection meets; all of it comes from outside.
            failed.append(error)

    thread = threading.Thread(target=join, name="join the job", daemon=True)
    thread.start()
    thread.join(job.start_timeout)
    if thread.is_alive():
        late = TimeoutError("not all processes came in time, or process 0 is not reached")
        raise NotAllCameError(_why(job, late)) from late
    if failed:
        raise InputError(_why(job, failed[0])) from failed[0]


def _why(job: ClusterSpec, error: Exception) -> str:
    text = f"{type(error).__name__}: {error}"
    if "must be called before" in text:
        return "cluster: jax has been used in this process already; join the job before its first use."
    if job.cluster == "none":
        return (
            f"--coordinator_address={job.coordinator_address}: process {job.process_id} of {job.num_processes} could "
            f"not join within --start_timeout={job.start_timeout} s ({text}). Start all, process 0 at that address."
        )
    return f"--cluster={job.cluster}: could not join the job ({text}). {_ADVICE}"


def _method(cluster: str) -> str | None:
    """Return jax's name of a detection method; None takes what is there.

    Raises:
      InputError: its signs are not there; jax would log that, and go on to a KeyError.
    """
    if cluster == "auto":
        return None
    if names := ", ".join(name for name in _SIGNS[cluster] if name not in os.environ):
        raise InputError(f"--cluster={cluster}: this process was not started by it: {names} not set. {_ADVICE}")
    package = _NEEDED.get(cluster)
    if package and importlib.util.find_spec(package) is None:
        raise InputError(f"--cluster={cluster}: {package} is not installed: pip install 'jax[{cluster}]'.")
    if cluster == "k8s":
        return None  # jax 0.10 has no name for it, and finds it by itself
    if cluster == "tpu":
        return "gketpu" if {"TPU_PROCESS_ADDRESSES", "TPU_WORKER_HOSTNAMES"} & os.environ.keys() else "gcetpu"
    return cluster
