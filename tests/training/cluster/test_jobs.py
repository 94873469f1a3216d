"""Real processes on this machine, over gloo: what they agree on, and how a job ends."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import pytest

import metaser_jax
from metaser_jax.training.cluster import LOST_PEER, PREEMPTED

pytestmark = pytest.mark.slow

JOB = Path(__file__).with_name("job.py")


class Job(NamedTuple):
    """What became of a job: the folder it wrote to, and of each process the exit code and stderr."""

    out: Path
    codes: list[int]
    errors: list[str]


def begin(*flags: str) -> subprocess.Popen:
    environment = os.environ | {
        "PYTHONPATH": str(Path(metaser_jax.__file__).parents[1]),
        "JAX_PLATFORMS": "cpu",
        "JAX_NUM_CPU_DEVICES": "2",
    }
    return subprocess.Popen([sys.executable, JOB, *flags], env=environment, stderr=subprocess.PIPE, text=True)


def begin_job(scene: str, out: Path) -> list[subprocess.Popen]:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"--coordinator_address=localhost:{free.getsockname()[1]}"
    common = (address, "--num_processes=2", f"--scene={scene}", f"--out={out}", "--heartbeat_timeout=10")
    return [begin(*common, f"--process_id={p}") for p in range(2)]


def _error_of(process: subprocess.Popen) -> str:
    try:
        return process.communicate(timeout=60)[1]
    except subprocess.TimeoutExpired:
        process.kill()
        return f"it hung: {process.communicate()[1]}"


@pytest.fixture(scope="module")
def jobs(tmp_path_factory) -> dict[str, Job]:
    """All of them at once: they mostly wait."""
    begun = {}
    for scene in ("agreements", "ends", "killed", "coordinator_killed", "alone", "bug", "interrupted"):
        out = tmp_path_factory.mktemp(scene)
        begun[scene] = (out, begin_job(scene, out))
    ended = {}
    for scene, (out, processes) in begun.items():
        errors = [_error_of(process) for process in processes]
        ended[scene] = Job(out, [process.returncode for process in processes], errors)
    return ended


@pytest.fixture(scope="module")
def seen(jobs) -> list[dict]:
    job = jobs["agreements"]
    assert job.codes == [PREEMPTED] * 2, job.errors
    return [json.loads((job.out / f"{p}.json").read_text()) for p in range(2)]


def test_what_fails_in_one_process_is_an_error_in_all(seen):
    assert [s["primary"] for s in seen] == [True, False]
    assert [s["attempt"] for s in seen] == [0, 1]
    assert [s["one"] for s in seen] == ["Process 1 of 2: disk on fire"] * 2
    assert [s["all"] for s in seen] == ["no such corpus"] * 2


def test_what_differs_is_named(seen):
    assert [s["agree"] for s in seen] == ["", ""]
    for s in seen:
        assert s["differ"].startswith("The plan: not the same in all processes of this job")
        assert 'b: process 0 0, process 1 1; c: process 0 has none, process 1 "x".' in s["differ"]
        assert "a:" not in s["differ"]


def test_broadcast_keeps_every_bit(seen):
    import job

    expected = {name: np.asarray(value) for name, value in job.BITS.items()}
    for s in seen:
        assert s["bits"] == job.hexes(expected)
        assert s["types"] == {name: str(value.dtype) + str(value.shape) for name, value in expected.items()}
        key = jax.random.key(7, impl="rbg")
        assert s["key"] == ["rbg", jax.random.key_data(key).tolist()]


def test_mesh_is_over_all_processes(seen):
    for process, s in enumerate(seen):
        meshes = s["meshes"]
        assert meshes["describe"] == ["4 devices in 2 processes, cpu (cpu)", "2 of 4 devices in 2 processes, cpu (cpu)"]
        assert "6 tasks do not divide among 4 devices: expected --tasks_per_episode" in meshes["indivisible"]
        assert " 4 or 8, or other --devices." in meshes["indivisible"]
        assert "devices: got 3, expected at most the 2" in meshes["too_many"]
        assert meshes["mean"] == 7.0
        assert meshes["local"] == ([0.0, 2.0] if process == 0 else [4.0, 6.0])


def test_sigterm_to_one_process_stops_all_at_the_same_step(jobs):
    job = jobs["agreements"]
    stopped = [int((job.out / f"{p}.stopped").read_text()) for p in range(2)]
    assert stopped[0] == stopped[1] >= 5
    assert all("Preempted: the checkpoint is written" in error for error in job.errors)


def test_a_job_ends_also_with_a_sigterm_at_that_moment(jobs):
    assert jobs["ends"].codes == [0, 0], jobs["ends"].errors


def named(error: str, process: int) -> bool:
    """Whether our line names the process, or that of jax, whose abort comes at the same moment."""
    ours = f"error: process {process} of 2 is lost"
    return ours in error or bool(re.search(rf"stopped sending heartbeats\):\n{process}\n", error))


def test_a_killed_coordinator_ends_the_job_and_is_named(jobs):
    job = jobs["coordinator_killed"]
    assert job.codes[0] == -signal.SIGKILL
    assert job.codes[1] in (LOST_PEER, -signal.SIGABRT)
    assert (
        "process 0, the coordinator, is lost" in job.errors[1] or "the leader (usually slice 0 task 0)" in job.errors[1]
    )


@pytest.mark.parametrize(
    ("scene", "code", "message"),
    [
        ("killed", -signal.SIGKILL, ""),
        ("alone", 2, "error: only here"),
        ("bug", 1, "TypeError: a bug"),
        ("interrupted", 130, "Interrupted."),
    ],
)
def test_an_error_in_one_process_ends_the_others(jobs, scene, code, message):
    job = jobs[scene]
    assert job.codes[1] == code
    assert message in job.errors[1]
    assert job.codes[0] in (LOST_PEER, -signal.SIGABRT)
    assert named(job.errors[0], 1)


def test_processes_that_find_no_job_say_so(tmp_path):
    common = ("--scene=ends", f"--out={tmp_path}")
    auto = begin(*common, "--cluster=auto")
    unreachable = ("--coordinator_address=localhost:1", "--num_processes=2", "--start_timeout=1")
    lonely = begin(*common, *unreachable, "--process_id=1")
    error = _error_of(auto)
    assert auto.returncode == 2
    assert "error: --cluster=auto: could not join" in error
    assert "Looked for: ompi (OMPI_MCA_orte_hnp_uri); slurm (SLURM_JOB_ID" in error
    assert "--coordinator_address=HOST:PORT --num_processes=N --process_id=I" in error
    error = _error_of(lonely)
    assert lonely.returncode == LOST_PEER  # a node may be late, and come the next time
    assert "process 1 of 2 could not join within --start_timeout=1 s" in error
