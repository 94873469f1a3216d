"""Measures on one CUDA GPU what is "not measured" without one; see gpu.sh.

Imports the numeric core alone, and random features stand for a corpus. A process of its own measures cell after cell,
so that a kernel which ends the process costs one cell: what failed is a result, and the next process goes on.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from cells import Cell, Results

from metaser_jax.errors import InputError

PARTS = ("correctness", "steps", "loop")
ORDERS = ("second", "first")
OURS = ("scan", "buffers", "kernel")
CANNOT_START = 3


class Sizes(NamedTuple):
    """Attributes: settings, (tasks, shots, inner steps), the most telling first; rounds, timed calls of each."""

    settings: tuple[tuple[int, int, int], ...]
    queries: int = 10
    hidden_dim: int = 128
    # Where products are exact the kernel leaves the tensor cores, which takes too many registers with more units.
    hidden_dim_exact: int = 32
    rounds: int = 30
    most_seconds: float = 6.0
    episodes: int = 100


FULL = Sizes(
    (
        *((8, 5, 1), (32, 5, 1), (8, 5, 5), (1, 5, 1), (8, 125, 1), (32, 5, 5)),
        *((1, 5, 5), (8, 125, 5), (1, 125, 1), (32, 125, 1), (1, 125, 5), (32, 125, 5)),
    )
)
TINY = Sizes(((2, 1, 1),), queries=1, hidden_dim=16, hidden_dim_exact=16, rounds=2, episodes=2)


def cells(sizes: Sizes, part: str | None, torch: bool) -> list[Cell]:
    """What is to be measured, in this order: (part, what, ...)."""
    precisions = (("default", sizes.hidden_dim), ("highest", sizes.hidden_dim_exact))
    correctness = [("correctness", way, *with_) for with_ in precisions for way in ("scan", "kernel")]
    families = (*OURS, *(["torch"] if torch else []), "limit")
    steps = [("steps", name, order, *s) for s in sizes.settings for order in ORDERS for name in families]
    loop = [("loop", name, order) for order in ORDERS for name in OURS]
    # The loop is that of the first setting.
    first = len(families) * len(ORDERS)
    everything = [*correctness, *steps[:first], *loop, *steps[first:]]
    return [cell for cell in everything if part in (None, cell[0])]


def supervise(
    wanted: Sequence[Cell], path: Path, budget: float, start: Callable[[list[Cell], float], subprocess.Popen]
):
    """Has processes measure cells until all are, or `budget` seconds are over.

    Args:
      wanted: cells.
      path: of their Results.
      budget: seconds.
      start: (cells, seconds left) -> a process that measures them in this order.

    Returns:
      The results.
    """
    deadline = time.monotonic() + budget
    while rest := [cell for cell in wanted if cell not in Results(path).of]:
        left = deadline - time.monotonic()
        if left <= 0:
            break
        began, process = time.time(), start(rest, left)
        try:
            code = process.wait(timeout=left)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            code = None
        if code == CANNOT_START:
            raise InputError(last_line(path.with_name("worker.log")))
        results = Results(path)
        under_way = next((cell for cell in rest if cell not in results.of), None)
        # Since when: the last line that was written is that of the cell before.
        seconds = time.time() - max(began, path.stat().st_mtime if path.exists() else 0)
        if under_way and code is None and seconds > budget / 2:
            results.add(under_way, {"failed": f"not done after {seconds:.0f} s"})
        elif under_way and code:
            said = last_line(path.with_name("worker.log"))
            results.add(under_way, {"failed": f"the process ended with {code}: {said[:200]}"})
        elif code == 0:
            break
    return Results(path)


def last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")


def work(wanted: Sequence[Cell], folder: Path, sizes: Sizes, tiny: bool, seconds: float) -> None:
    """Measures cells in this process until the time is over."""
    deadline = time.monotonic() + seconds
    try:
        import gpu_cells

        gpu_cells.check_machine(folder / "machine.json", tiny)
    except (ImportError, InputError) as error:
        print(error, file=sys.stderr)
        sys.exit(CANNOT_START)
    results = Results(folder / "cells.jsonl")
    for cell in wanted:
        if time.monotonic() >= deadline:
            return
        results.add(cell, gpu_cells.measure(cell, sizes, folder))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure on one CUDA GPU what is not measured without one.")
    parser.add_argument("--out", type=Path, default=Path("runs/gpu"), help="folder of cells.jsonl and gpu.md")
    parser.add_argument("--part", choices=PARTS, help="this part alone; all of them otherwise")
    parser.add_argument("--budget", type=float, default=540, help="seconds after which a call ends")
    parser.add_argument("--tiny", action="store_true", help="tiny sizes, on whatever there is: tries the program")
    parser.add_argument("--worker", action="store_true", help="internal: measure the cells that stdin names")
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    folder, sizes = arguments.out, TINY if arguments.tiny else FULL
    if arguments.worker:
        work([tuple(cell) for cell in json.load(sys.stdin)], folder, sizes, arguments.tiny, arguments.budget)
        return
    folder.mkdir(parents=True, exist_ok=True)
    torch = find_spec("torch") is not None
    wanted = cells(sizes, arguments.part, torch)

    def start(rest: list[Cell], seconds: float) -> subprocess.Popen:
        command = [sys.executable, __file__, "--worker", f"--out={folder}", f"--budget={seconds}"]
        # Else jax takes three quarters of the GPU's memory at once, and PyTorch has the rest.
        environment = os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
        command += ["--tiny"] if arguments.tiny else []
        with (folder / "worker.log").open("a", encoding="utf-8") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment, text=True
            )
        with process.stdin as pipe:
            json.dump(rest, pipe)
        return process

    try:
        results = supervise(wanted, folder / "cells.jsonl", arguments.budget, start)
    except InputError as error:
        sys.exit(f"error: {error}")
    import gpu_report

    text = gpu_report.markdown(json.loads((folder / "machine.json").read_text()), results.of)
    (folder / "gpu.md").write_text(text, encoding="utf-8")
    left = [cell for cell in wanted if cell not in results.of]
    print(text)
    if not torch:
        print("PyTorch is not installed: its columns are empty.")
    print(f"{len(left)} of {len(wanted)} cells are left: the same call goes on." if left else "Nothing is left.")


if __name__ == "__main__":
    main()
