"""gpu.sh without a GPU: which cells there are, how a call goes on, what the tables say, and a dry run on the CPU."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

WORKER = """
import json, sys
cells = json.load(sys.stdin)
with open("{path}", "a") as file:
    file.write(json.dumps({{"cell": cells[0], "found": {{"seconds": [1.0]}}}}) + "\\n")
print("CUDA_ERROR_ILLEGAL_ADDRESS", file=sys.stderr)
sys.exit(6 if len(cells) > 1 else 0)
"""


def test_most_telling_cells_first(module):
    gpu = module("gpu")
    cells = gpu.cells(gpu.FULL, None, torch=True)
    assert len(cells) == len(set(cells)) == 4 + 12 * 2 * 5 + 6
    assert [cell[0] for cell in cells[:21]] == ["correctness"] * 4 + ["steps"] * 10 + ["loop"] * 6 + ["steps"]
    families = ("scan", "buffers", "kernel", "torch", "limit")
    assert cells[4:9] == [("steps", name, "second", 8, 5, 1) for name in families]
    assert {cell[0] for cell in gpu.cells(gpu.FULL, "loop", torch=True)} == {"loop"}
    assert not any("torch" in cell for cell in gpu.cells(gpu.FULL, None, torch=False))


def test_goes_on_after_a_cell_that_ends_the_process(module, tmp_path):
    path = tmp_path / "cells.jsonl"
    cells = [("steps", name) for name in "abcd"]
    worker = [sys.executable, "-c", WORKER.format(path=path)]
    of = module("gpu").supervise(cells, tmp_path, 60, worker).of
    assert list(of) == cells
    failed = {"failed": "the process ended with 6: CUDA_ERROR_ILLEGAL_ADDRESS"}
    assert [of[cell] for cell in cells] == [{"seconds": [1.0]}, failed, {"seconds": [1.0]}, failed]
    assert module("gpu").supervise(cells, tmp_path, 0, ["false"]).of == of, "what was measured, or failed, is kept"
    with path.open("a") as file:
        file.write('{"cell": ["steps", "e"], "fou')
    module("cells").Results(path).add(("loop", "f"), {})
    assert list(module("cells").Results(path).of) == [*cells, ("loop", "f")], "half a line is no cell, and spoils none"


def measured(milliseconds, **more):
    return {"seconds": [milliseconds / 1e3] * 3, "memory_mib": 10.0, "gradient_error": None} | more


@pytest.mark.parametrize("error", [1e-3, 0.5])
def test_tables(error, module):
    setting = ("second", 8, 5, 1)
    of = {
        ("correctness", "kernel", "default", 128): {"states": 1e-4, "gradient": error, "hessian_product": 1e-3},
        ("steps", "scan", *setting): measured(8.0),
        ("steps", "kernel", *setting): measured(2.0, gradient_error=error),
        ("steps", "torch", *setting): {"failed": "out of memory"},
        ("steps", "limit", *setting): measured(1.0),
        ("loop", "scan", "second"): {"episodes_per_second": [100.0, 110.0, 120.0]},
    }
    text = module("gpu").markdown(of)
    assert ("**DISAGREES**" in text) == ("GRADIENT DISAGREES" in text) == (error > 0.1)
    assert "| 8 (8-8), 10 MiB | not measured | 2 (2-2), 10 MiB" in text
    assert "| out of memory | 1 (1-1), 10 MiB |  | 2.00 |" in text
    assert "| second | scan | 110 |" in text


@pytest.mark.slow
def test_dry_run_goes_on_where_it_stopped(run_benchmark, tmp_path):
    def run(*more):
        return run_benchmark("gpu.sh", f"--out={tmp_path}", "--tiny", *more).stdout

    text, kept = run(), tmp_path / "cells.jsonl"
    found = {tuple(entry["cell"]): entry["found"] for entry in map(json.loads, kept.read_text().splitlines())}
    assert text.endswith("Nothing is left.\n")
    assert (tmp_path / "gpu.md").read_text() in text
    for cell, result in found.items():
        if cell[1] != "buffers":  # an option of a GPU
            assert "failed" not in result, cell
            assert (result.get("gradient_error") or 0) < 1e-5, cell
    lines = kept.read_text().splitlines()
    kept.write_text("\n".join(lines[1:]) + "\n")
    assert run("--part=correctness").endswith("Nothing is left.\n")
    assert kept.read_text().splitlines()[:-1] == lines[1:], "measured once"


def test_a_machine_without_a_gpu_is_refused(run_benchmark, tmp_path):
    done = run_benchmark("gpu.sh", f"--out={tmp_path}")
    assert (done.returncode, done.stdout) == (1, "")
    assert "expected one CUDA GPU" in done.stderr


def test_shellcheck():
    script = Path(__file__).parents[2] / "experiments/benchmarks/gpu.sh"
    shellcheck = shutil.which("shellcheck", path=str(Path(sys.executable).parent)) or shutil.which("shellcheck")
    assert shellcheck, "shellcheck is not installed: pip install -e '.[test]'"
    done = subprocess.run([shellcheck, script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")
