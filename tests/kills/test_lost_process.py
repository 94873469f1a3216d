"""A training job of two processes, of which one is killed: it ends and says which; the same command goes on.

The job that went on is also compared with one process of two devices that nobody has killed: the same to the bit.
"""

import os
import signal
import socket
import subprocess
import time

import pytest
from tiny_job import Job

from metaser_jax.cluster import LOST_PEER

pytestmark = pytest.mark.slow


def start(job: Job, name: str, number: int, port: int) -> subprocess.Popen:
    """Process `number` of two; with port 0 a process of its own, with two devices."""
    command, environment = job.command(name)
    devices = 1 if port else 2
    command += [f"--devices={devices}", "--heartbeat_timeout=10"]
    if port:
        command += [f"--coordinator_address=localhost:{port}", "--num_processes=2", f"--process_id={number}"]
    environment |= {"JAX_NUM_CPU_DEVICES": str(devices), "JAX_PLATFORMS": "cpu"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def start_two(job: Job, name: str) -> list[subprocess.Popen]:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    return [start(job, name, number, port) for number in range(2)]


def finish(processes: list[subprocess.Popen]) -> tuple[list[int], list[str]]:
    said = [process.communicate(timeout=120)[0] for process in processes]
    return [process.returncode for process in processes], said


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    job = Job(tmp_path_factory.mktemp("lost"), episodes=40)
    job.prepare()
    return job


def test_a_lost_process_ends_the_job_and_the_same_command_goes_on(job):
    reference = start(job, "undisturbed", 0, 0)
    processes = start_two(job, "job")
    while not job.checkpoints("job"):
        assert all(process.poll() is None for process in processes), finish(processes)[1]
        time.sleep(0.01)
    os.kill(processes[1].pid, signal.SIGKILL)
    codes, said = finish(processes)
    assert codes == [LOST_PEER, -signal.SIGKILL]
    assert "process 1 of 2 is lost" in said[0]
    assert "goes on from the last checkpoint" in said[0]
    kept = job.checkpoints("job")[-1]
    assert kept < job.episodes

    codes, said = finish(start_two(job, "job"))
    assert codes == [0, 0], said
    assert f"Going on from the checkpoint at episode {kept} of {job.episodes}" in said[0]
    assert "Finished" not in said[1]  # process 0 speaks for all
    codes, said = finish([reference])
    assert codes == [0], said
    assert job.differences("job", "undisturbed") == []


def test_processes_with_other_flags_are_told_so(job):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    first = start(job, "torn", 0, port)
    other = Job(job.folder, episodes=job.episodes + 1)
    codes, said = finish([first, start(other, "torn", 1, port)])
    assert codes == [2, 2], said
    for text in said:
        assert "episodes" in text
        assert "40" in text
        assert "41" in text
    assert not job.run_dir("torn").exists()
