"""What the launchers start again, by exit code: the scripts as they are, with stand-ins for srun, scontrol, gcloud."""

import os
import signal
import subprocess
import sys

import pytest
from test_launch_files import LAUNCH

pytestmark = pytest.mark.slow

# Exits with the next number of codes.txt, and notes that it was called.
STAND_IN = """#!/bin/bash
echo "$(basename "$0") $*" >>"$NOTES/calls"
code=$(head -n 1 "$NOTES/codes.txt")
sed -i 1d "$NOTES/codes.txt"
exit "$code"
"""
NOTE_ONLY = '#!/bin/bash\necho "$(basename "$0") $*" >>"$NOTES/calls"\n'


@pytest.fixture
def bench(tmp_path):
    """A folder with stand-ins on PATH."""
    for name, text in {"srun": STAND_IN, "gcloud": STAND_IN, "scontrol": NOTE_ONLY}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return tmp_path


def start(bench, script, codes, **environment):
    (bench / "codes.txt").write_text("".join(f"{code}\n" for code in codes))
    (bench / "calls").write_text("")
    path = f"{bench}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "NOTES": str(bench), **environment}
    options = {"env": environment, "cwd": bench, "capture_output": True, "text": True, "timeout": 60}
    done = subprocess.run(["bash", script], **options)
    return done, (bench / "calls").read_text().splitlines()


def sbatch(bench, code):
    return start(bench, LAUNCH / "slurm.sbatch", [code], SLURM_JOB_ID="7", SLURM_NTASKS="8", SLURM_CPUS_PER_TASK="4")


@pytest.mark.parametrize("code", [0, 2])
def test_slurm_done_and_bad_input_are_not_requeued(code, bench):
    done, (call,) = sbatch(bench, code)
    assert done.returncode == code
    assert call.startswith("srun --cpus-per-task=4 ")
    assert "--cluster=slurm" in call
    assert "--tasks_per_episode=8" in call


def test_slurm_failures_are_requeued_three_times_and_preemption_always(bench):
    for code in (76, 75, 1, 75, 75, 137, 75):
        _, calls = sbatch(bench, code)
        assert calls[1:] == ["scontrol requeue 7"]
    done, calls = sbatch(bench, 76)
    assert len(calls) == 1
    assert done.returncode == 76
    assert "3 requeues" in done.stderr
    assert len((bench / "slurm-7.failures").read_text().splitlines()) == 4


@pytest.mark.parametrize("codes", [[2], [75] * 6 + [0], [76, 75, 1, 255, 0], [76, 75, 1, 255, 76], [75, 2]])
def test_tpu_vm_starts_again_by_exit_code(codes, bench):
    done, calls = start(bench, LAUNCH / "tpu_vm.sh", codes, TPU="tpu", ZONE="zone", PAUSE="0")
    assert done.returncode == codes[-1]
    assert len(calls) == len(codes)
    assert all("--worker=all" in call and "--cluster=tpu" in call for call in calls)


def test_tpu_vm_wants_a_name(bench):
    done, calls = start(bench, LAUNCH / "tpu_vm.sh", [])
    assert done.returncode != 0
    assert "TPU" in done.stderr
    assert calls == []


PROGRAM = """
import signal, sys, time
flags = dict(flag[2:].split("=") for flag in sys.argv[1:])
number = int(flags["process_id"])
signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
print(flags["num_processes"], flags["coordinator_address"], flush=True)
print("a complaint", file=sys.stderr, flush=True)
codes = flags["codes"].split(",")
time.sleep(0 if codes[number] else 60)
sys.exit(int(codes[number]))
"""


def local(tmp_path, codes):
    (tmp_path / "program.py").write_text(PROGRAM)
    command = ["bash", LAUNCH / "local.sh", str(len(codes)), sys.executable, tmp_path / "program.py"]
    return [*command, "--codes=" + ",".join(map(str, codes))]


@pytest.mark.parametrize(("codes", "last"), [([0, 0], 0), ([76, 0, 2], 76), ([0, 75], 75)])
def test_local_numbers_its_processes(codes, last, tmp_path):
    done = subprocess.run(local(tmp_path, codes), capture_output=True, text=True, timeout=60)
    assert done.returncode == last
    expected = [f"{i}: {len(codes)} localhost:29500" for i in range(len(codes))]
    assert sorted(done.stdout.splitlines()) == expected
    assert sorted(done.stderr.splitlines()) == [f"{i}: a complaint" for i in range(len(codes))]


def test_local_passes_sigterm_on(tmp_path):
    with subprocess.Popen(local(tmp_path, ["", ""]), stdout=subprocess.PIPE, text=True) as started:
        assert {started.stdout.readline()[0], started.stdout.readline()[0]} == {"0", "1"}
        started.send_signal(signal.SIGTERM)
        assert started.wait(timeout=30) == 75


@pytest.mark.parametrize("arguments", [[], ["2"], ["0", "true"], ["two", "true"]])
def test_local_says_how_it_is_used(arguments):
    done = subprocess.run(["bash", LAUNCH / "local.sh", *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "usage" in done.stderr
