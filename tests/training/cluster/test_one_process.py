"""One process, which needs no others: nothing waits, and SIGTERM is a flag."""

import contextlib
import importlib.util
import os
import signal

import jax
import pytest
from jax._src import clusters

from metaser_jax import InputError
from metaser_jax.specs import ClusterSpec
from metaser_jax.training import cluster


def test_start_after_jax_was_used():
    jax.devices()
    with pytest.raises(InputError, match="jax has been used in this process already"):
        cluster.start(ClusterSpec(coordinator_address="localhost:1", num_processes=1, process_id=0))


@pytest.mark.parametrize(
    ("name", "sign"), [("slurm", "SLURM_PROCID"), ("ompi", "OMPI_MCA_orte_hnp_uri"), ("k8s", "KUBERNETES_SERVICE_HOST")]
)
def test_a_cluster_that_is_not_there(monkeypatch, name, sign):
    monkeypatch.delenv(sign, raising=False)
    with pytest.raises(InputError, match=f"--cluster={name}: this process was not started by it: .*{sign}.* not set"):
        cluster.start(ClusterSpec(cluster=name))


@pytest.mark.parametrize(("name", "package"), [("tpu", "libtpu"), ("k8s", "kubernetes")])
def test_a_cluster_whose_package_is_not_installed(monkeypatch, name, package):
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setattr(importlib.util, "find_spec", {package: None}.__getitem__)
    with pytest.raises(InputError, match=rf"--cluster={name}: {package} is not installed: pip install 'jax\[{name}\]'"):
        cluster.start(ClusterSpec(cluster=name))


@pytest.mark.parametrize("name", ["slurm", "ompi", "tpu", "k8s"])
def test_jax_knows_what_it_is_asked_for(monkeypatch, name):
    """What jax.distributed does with the method: with one that it does not know it goes on without a cluster."""
    found = ("host:1234", 4, 3)
    jaxs = {
        "slurm": clusters.SlurmCluster,
        "ompi": clusters.OmpiCluster,
        "tpu": clusters.GkeTpuCluster,
        "k8s": clusters.K8sCluster,
    }
    getters = zip(("get_coordinator_address", "get_process_count", "get_process_id"), found, strict=True)
    for one, method, value in [
        *((one, "is_env_present", one is jaxs[name]) for one in jaxs.values()),
        *((jaxs[name], getter, value) for getter, value in getters),
    ]:
        monkeypatch.setattr(one, method, classmethod(lambda cls, *_, value=value, **__: value))
    slurm = ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID")
    for sign in (*slurm, "OMPI_MCA_orte_hnp_uri", "KUBERNETES_SERVICE_HOST", "TPU_WORKER_HOSTNAMES"):
        monkeypatch.setenv(sign, "1")
    asked = {}
    monkeypatch.setattr(jax.distributed, "initialize", asked.update)
    monkeypatch.setattr(importlib.util, "find_spec", str)
    cluster.start(ClusterSpec(cluster=name))
    unset = (None, None, None, [0], asked["cluster_detection_method"], 1)
    assert clusters.ClusterEnv.auto_detect_unset_distributed_params(*unset)[:3] == found


def test_attempt_is_the_action_itself():
    def burn():
        raise OSError("disk on fire")

    assert cluster.attempt(lambda: 3) == 3
    with pytest.raises(InputError, match="disk on fire"):  # a message, and no traceback
        cluster.attempt(burn)
    with pytest.raises(KeyError):
        cluster.attempt(lambda: {}["a bug"])
    cluster.agree("It", {"a": float("nan")})


def test_sigterm_is_a_flag_until_the_exit():
    before = signal.getsignal(signal.SIGTERM)
    with contextlib.suppress(KeyError), cluster.Preemption() as preemption:
        assert not preemption.reached()
        os.kill(os.getpid(), signal.SIGTERM)
        assert preemption.reached()
        assert preemption.reached()
        raise KeyError
    assert signal.getsignal(signal.SIGTERM) is before
