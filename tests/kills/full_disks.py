"""Runs every program on a disk that is too small, and again on a large one. For root on Linux: it mounts tmpfs.

python tests/kills/full_disks.py --tries=6 --seed=0 --out=DIR

A program must end with one line that says what could not be written, and no traceback; with room, the same command must
end well.
"""

import contextlib
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import tiny_job
from programs import ROOT, STUDY, environment_of
from tiny_job import NAME, Job

_ENOUGH = 2**26
_PAGE = 4096


@contextlib.contextmanager
def _disk(place: Path, size: int) -> Iterator[None]:
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", place], check=True)


def commands(folder: Path, disk: Path) -> dict[str, list[str]]:
    """Every program, which writes to the disk."""
    experiments, data = ROOT / "experiments", f"--data_dir={folder}/data"
    small = ["--hidden_dim=4", "--preset=paper", "--log_every=2", "--checkpoint_every=2", f"--sources={NAME}"]
    learn = [*small, "--episodes=4", "--shots=1", "--queries=1", "--tasks_per_episode=2", "--order=first"]
    tune = ["--init=scratch", f"--target={NAME}", "--shots=1", "--hidden_dim=4", "--preset=paper", "--max_epochs=2"]
    found = {
        "prepare": [f"--corpora={NAME}", f"--manual_dir={folder}/recordings", f"--data_dir={disk}/out"],
        "meta_train": [data, *learn, f"--run_dir={disk}/out"],
        "pretrain": [data, *small, "--method=multiser", "--max_epochs=4", f"--run_dir={disk}/out"],
        "finetune": [data, *tune, f"--out={disk}/out"],
    }
    programs = {name: [str(experiments / f"{name}.py"), *flags] for name, flags in found.items()}
    programs["study"] = ["-c", STUDY.format(studies=str(ROOT / "tests" / "studies")), f"{disk}/out"]
    return {name: [sys.executable, *command] for name, command in programs.items()}


def main() -> None:
    options = tiny_job.options(__doc__, tries=6, programs="")
    folder = options.out
    Job(folder).prepare()
    disk, rng = folder / "disk", random.Random(options.seed)
    environment = environment_of(folder)

    def run(command: list[str]) -> tuple[int, str]:
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
        return done.returncode, done.stderr

    refused = wrong = 0
    for name, command in commands(folder, disk).items():
        if options.programs and name not in options.programs.split(","):
            continue
        with _disk(disk, _ENOUGH):
            code, said = run(command)
            if code:
                sys.exit(f"{name} on a large disk: {said}")
            used = _ENOUGH - os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        for _ in range(options.tries):
            size = _PAGE * rng.randrange(1, used // _PAGE)
            with _disk(disk, size):
                code, said = run(command)
                last = (said.strip().splitlines() or [""])[-1]
                refused += code == 2
                good = code == 0 or (code == 2 and last.startswith("error: ") and "Traceback" not in said)
                subprocess.run(["mount", "-o", f"remount,size={_ENOUGH}", disk], check=True)
                again, later = run(command)
            bad = not good or bool(again)
            wrong += bad
            more = f"\n{said[-3000:]}\n{later[-3000:]}" if bad else last[:160]
            print(f"{name}, {size:,} of {used:,} bytes: exit {code}, then {again}: {more}", flush=True)
    print(f"seed {options.seed}: {refused} refused, {wrong} wrong.")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
