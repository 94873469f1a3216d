"""Kills, a full disk and a damaged checkpoint: the same command goes on, and ends as if nothing had been."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import driver
import pytest
from driver import PREEMPTED, REFERENCE, Failed, Kill
from tiny_job import Job

from metaser_jax.training.cluster import LOST_PEER

pytestmark = pytest.mark.slow

LIMIT = 24 * 1024
# The largest file that the program may write: more than any of its texts, less than the arrays of a checkpoint.
LIMITED = (
    sys.executable,
    "-c",
    f"import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({LIMIT}, {LIMIT})); "
    "os.execv(sys.argv[1], sys.argv[1:])",
)


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """A job with an undisturbed run."""
    job = Job(tmp_path_factory.mktemp("kills"))
    job.prepare()
    driver.live(job, REFERENCE, None)
    return job


def until_the_third(job, name):
    """A copy of the undisturbed run, as it was when its last checkpoint but two was written; that one's episode."""
    shutil.copytree(job.run_dir(REFERENCE), job.run_dir(name))
    *_, kept, second, last = job.checkpoints(name)
    for episode in (second, last):
        shutil.rmtree(job.run_dir(name) / "checkpoints" / str(episode))
    return kept


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_killed_run_ends_as_an_undisturbed_one(job):
    def next_kill(lives):
        if not lives:
            return Kill("life", signal.SIGKILL, 1.0)  # while it starts
        if not any(life.writing for life in lives) and len(lives) < 6:
            return Kill("write", signal.SIGKILL, 0.0, passed=1)
        if not any(life.code == PREEMPTED for life in lives) and len(lives) < 9:
            return Kill("write", signal.SIGTERM, 0.0, passed=1)
        return None

    lives = driver.disturbed(job, next_kill)
    assert lives[0].code == -signal.SIGKILL
    assert any(life.writing and life.code == -signal.SIGKILL for life in lives), "a write was hit"
    assert any(life.code == PREEMPTED for life in lives)


def test_a_full_disk_leaves_the_checkpoint_before(job):
    kept = until_the_third(job, "full")
    checkpoint = job.run_dir("full") / "checkpoints" / str(kept)
    before = content(checkpoint)
    assert max(map(len, before.values())) > LIMIT, "too small a checkpoint for this test"
    assert job.finish("full", LIMITED) == 2
    (says,) = (line for line in job.said("full").splitlines() if line.startswith("error: "))
    assert says.startswith(f"error: {checkpoint.parent}: the checkpoint of episode {kept + 2} cannot be written (")
    assert f"that of episode {kept} is intact" in says
    assert content(checkpoint) == before
    assert job.state("full", kept)
    assert job.checkpoints("full")[-1] == kept
    assert job.finish("full") == 0
    assert f"Going on from the checkpoint at episode {kept} " in job.said("full")
    assert job.differences("full", REFERENCE) == []


def test_a_truncated_checkpoint_is_put_aside(job):
    """Also of a run that is done."""
    shutil.copytree(job.run_dir(REFERENCE), job.run_dir("truncated"))
    folder = job.run_dir("truncated") / "checkpoints"
    *_, kept, newest = job.checkpoints("truncated")
    for path in (folder / str(newest) / "state").rglob("d/*"):
        path.write_bytes(path.read_bytes()[:-100])
    assert job.finish("truncated") == 0
    said = job.said("truncated")
    assert f"the checkpoint of episode {newest} is damaged" in said
    assert f"Going on from the checkpoint at episode {kept} " in said
    assert (job.run_dir("truncated") / "damaged" / str(newest) / "state").is_dir()
    assert job.differences("truncated", REFERENCE) == []


def test_the_driver_sees_what_differs(job):
    shutil.copytree(job.run_dir(REFERENCE), job.run_dir("other"))
    path, steps = job.run_dir("other") / "metrics.jsonl", job.run_dir("other") / "checkpoints"
    text = path.read_text()
    path.write_text(text.replace('"query_loss_after": ', '"query_loss_after": 1', 1))
    assert len(job.differences("other", REFERENCE)) == 1
    path.write_text(text)
    *_, before, last = job.checkpoints("other")
    shutil.rmtree(steps / str(last))
    shutil.copytree(steps / str(before), steps / str(last))
    found = "".join(job.differences("other", REFERENCE))
    assert "opt_state" in found
    assert "meta_params" in found


@pytest.mark.parametrize(("program", "seconds"), [("raise SystemExit(3)", 60.0), ("import time; time.sleep(60)", 1.0)])
def test_a_program_that_comes_no_further_is_an_error(program, seconds, tmp_path):
    class Short(Job):
        def start(self, name):
            return subprocess.Popen([sys.executable, "-c", program])

    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "killed_0.log").write_text("its last words")
    with pytest.raises(Failed, match="its last words"):
        driver.disturbed(Short(tmp_path), lambda lives: Kill("life", signal.SIGKILL, seconds % 60), longest=seconds)


def start(job: Job, name: str, number: int, port: int) -> subprocess.Popen:
    """Process `number` of two; with port 0 a process of its own, with two devices."""
    command, environment = job.command(name)
    devices = 1 if port else 2
    command += [f"--devices={devices}", "--heartbeat_timeout=10"]
    if port:
        command += [f"--coordinator_address=localhost:{port}", "--num_processes=2", f"--process_id={number}"]
    environment |= {"JAX_NUM_CPU_DEVICES": str(devices), "JAX_PLATFORMS": "cpu"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def start_two(job: Job, name: str, other: Job | None = None) -> list[subprocess.Popen]:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    return [start(one, name, number, port) for number, one in enumerate((job, other or job))]


def finish(processes: list[subprocess.Popen]) -> tuple[list[int], list[str]]:
    said = [process.communicate(timeout=120)[0] for process in processes]
    return [process.returncode for process in processes], said


@pytest.fixture(scope="module")
def long_job(tmp_path_factory):
    job = Job(tmp_path_factory.mktemp("lost"), episodes=40)
    job.prepare()
    return job


def test_a_lost_process_ends_the_job_and_the_same_command_goes_on(long_job):
    job = long_job
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


def test_processes_with_other_flags_are_told_so(long_job):
    job, other = long_job, Job(long_job.folder, episodes=41)
    codes, said = finish(start_two(job, "torn", other))
    assert codes == [2, 2], said
    assert all("episodes: process 0 40, process 1 41" in text for text in said)
    assert not job.run_dir("torn").exists()
