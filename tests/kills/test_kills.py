"""Kills, a full disk and a damaged checkpoint: the same command goes on, and ends as if nothing had been."""

import itertools
import shutil
import signal
import subprocess
import sys

import driver
import pytest
from driver import PREEMPTED, REFERENCE, Failed, Kill
from tiny_job import Job

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
    says = job.said("full").splitlines()[-1]  # after what orbax logs
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
    path = job.run_dir("other") / "metrics.jsonl"
    whole = path.read_text().splitlines(keepends=True)
    for lines, says in (
        (whole[:3] + whole[2:], "expected each of"),
        (whole[:2] + whole[3:], "expected each of"),
        ([line.replace('"query_loss_after": ', '"query_loss_after": 1') for line in whole], "other has"),
    ):
        path.write_text("".join(lines))
        assert says in "".join(job.differences("other", REFERENCE))
    path.write_text("".join(whole))
    assert job.differences("other", REFERENCE) == []
    steps = job.run_dir("other") / "checkpoints"
    *_, before, last = job.checkpoints("other")
    shutil.rmtree(steps / str(last))
    shutil.copytree(steps / str(before), steps / str(last))
    found = "".join(job.differences("other", REFERENCE))
    assert "differs" in found
    assert "opt_state" in found
    assert "meta_params" in found


class Other(Job):
    """A job whose program is another one."""

    program = ""

    def start(self, name):
        return subprocess.Popen([sys.executable, "-c", self.program])


@pytest.mark.parametrize(
    ("program", "limit", "says"),
    [
        ("raise SystemExit(3)", 60.0, "exit code 3 after .*, expected one of"),
        ("pass", 60.0, "exit code 0 at episode 0 of 16"),
        ("import time; time.sleep(60)", 1.0, r"still runs after 1 s, with write 2 \+0 ms"),
    ],
)
def test_a_program_that_comes_no_further_is_an_error(program, limit, says, tmp_path):
    class Short(Other):
        pass

    Short.program = program
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "killed_0.log").write_text("its last words")
    report, delay = [], 0.0 if limit < 60 else limit
    with pytest.raises(Failed, match=rf"{says}(.|\n)*its last words"):
        driver.disturbed(Short(tmp_path), lambda lives: Kill("life", signal.SIGKILL, delay), report.append, limit)
    assert len(report) == (4 if limit < 60 else 1), "three lives, of which none comes further, and then time for one"


def test_random_kills():
    """Both aims and signals, and the same with a seed."""
    kills, again, others = (
        [str(kill) + kill.signal.name for kill in itertools.islice(driver.random_kills(seed, 9.0, 0.1), 40)]
        for seed in (0, 0, 1)
    )
    assert kills == again != others
    for what in ("life", "write", "SIGKILL", "SIGTERM"):
        assert 5 < sum(what in kill for kill in kills) < 35
