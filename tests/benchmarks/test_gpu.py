"""gpu.sh without a GPU: which cells there are, how a call goes on, what the tables say, and a dry run on the CPU."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from metaser_jax.errors import InputError

GPU = {"device": "1 x NVIDIA H100 80GB HBM3 (gpu)"}


@pytest.fixture
def gpu(module):
    return module("gpu")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cells.jsonl"


class FakeProcess:
    """Measures cells when it is waited for, and ends with a code, or goes on for ever (None)."""

    def __init__(self, results, cells, code):
        self.results, self.cells, self.code = results, cells, code

    def wait(self, timeout=None):
        for cell in self.cells:
            self.results.add(cell, {"seconds": [1.0]})
        if self.code is None and timeout is not None:
            raise subprocess.TimeoutExpired("worker", timeout)
        return self.code

    def kill(self):
        self.cells = []


def test_most_telling_cells_first(gpu):
    cells = gpu.cells(gpu.FULL, None, torch=True)
    assert len(cells) == len(set(cells)) == 4 + 12 * 2 * 5 + 6
    assert [cell[0] for cell in cells[:21]] == ["correctness"] * 4 + ["steps"] * 10 + ["loop"] * 6 + ["steps"]
    assert cells[4:9] == [
        ("steps", name, "second", 8, 5, 1) for name in ("scan", "buffers", "kernel", "torch", "limit")
    ]
    assert {cell[3:] for cell in cells if cell[0] == "steps"} == {
        (tasks, shots, steps) for tasks in (1, 8, 32) for shots in (5, 125) for steps in (1, 5)
    }
    assert {cell[0] for cell in gpu.cells(gpu.FULL, "loop", torch=True)} == {"loop"}
    assert not any("torch" in cell for cell in gpu.cells(gpu.FULL, None, torch=False))


def test_goes_on_after_a_cell_that_ends_the_process(gpu, module, path):
    cells = [("steps", name) for name in "abcd"]
    asked = []

    def start(rest, seconds):
        asked.append(rest)
        (path.parent / "worker.log").write_text("CUDA_ERROR_ILLEGAL_ADDRESS\n\n")
        done, code = (rest[:1], -6) if len(asked) == 1 else (rest, 0)
        return FakeProcess(module("cells").Results(path), done, code)

    results = gpu.supervise(cells, path, 60, start)
    assert asked == [cells, cells[2:]]
    assert results.of[cells[1]] == {"failed": "the process ended with -6: CUDA_ERROR_ILLEGAL_ADDRESS"}
    assert [cell for cell in cells if "failed" not in results.of[cell]] == [cells[0], *cells[2:]]
    asked.clear()
    gpu.supervise([*cells, ("loop", "e")], path, 60, start)
    assert asked == [[("loop", "e")]], "what was measured, or failed, is not measured again"


def test_a_call_ends_with_its_time_and_leaves_the_rest(gpu, module, path):
    cells = [("steps", name) for name in "ab"]

    def start(rest, seconds):
        return FakeProcess(module("cells").Results(path), rest[:1], None)

    def in_time(rest, seconds):
        return FakeProcess(module("cells").Results(path), [], 0)

    assert list(gpu.supervise(cells, path, 0, start).of) == [], "no time at all"
    assert list(gpu.supervise(cells, path, 60, in_time).of) == [], "the process itself saw that the time was over"
    with path.open("a") as file:
        file.write('{"cell": ["steps", "a"], "fou')
    module("cells").Results(path).add(cells[1], {})
    assert list(module("cells").Results(path).of) == [cells[1]], "half a line is no cell, and spoils none"


def test_says_why_it_cannot_start(gpu, path):
    (path.parent / "worker.log").write_text("Expected one CUDA GPU.\n")
    with pytest.raises(InputError, match="Expected one CUDA GPU"):
        gpu.supervise([("steps", "a")], path, 60, lambda *_: FakeProcess(None, [], gpu.CANNOT_START))


def found(milliseconds, **more):
    return {"seconds": [milliseconds / 1e3] * 3, "memory_mib": 10.0, "gradient_error": None} | more


@pytest.mark.parametrize(
    ("error", "speaks_for"), [(1e-3, "They speak for: kernel** (geometric means"), (0.5, "They speak for: scan**")]
)
def test_tables_and_the_default_that_they_speak_for(error, speaks_for, module):
    setting = ("second", 8, 5, 1)
    of = {
        ("correctness", "kernel", "default", 128): {"states": 1e-4, "gradient": error, "hessian_product": 1e-3},
        ("steps", "scan", *setting): found(8.0),
        ("steps", "buffers", *setting): found(9.0),
        ("steps", "kernel", *setting): found(2.0, gradient_error=0.3),
        ("steps", "torch", *setting): {"failed": "out of memory"},
        ("steps", "limit", *setting): found(1.0),
        ("loop", "scan", "second"): {"episodes_per_second": [100.0, 110.0, 120.0]},
    }
    text = module("gpu_report").markdown(GPU, of)
    assert speaks_for in text
    assert ("**DISAGREES**" in text) == (error > 0.1)
    ours = "| 8 (8-8), 10 MiB | 9 (9-9), 10 MiB | 2 (2-2), 10 MiB, gradient off by 3.0e-01 "
    assert f"{ours}| out of memory | 1 (1-1), 10 MiB |  | 2.00 |" in text
    assert "| second | scan | 100, 110, 120 | 0.88 |" in text
    assert "They speak for no default" in module("gpu_report").markdown({"device": "2 x cpu (cpu)"}, of)


def test_out_of_memory_is_a_result(module, gpu, tmp_path, monkeypatch):
    cells = module("gpu_cells")
    monkeypatch.setattr(cells, "loop", lambda *_, **__: (_ for _ in ()).throw(MemoryError("RESOURCE_EXHAUSTED: 9 GiB")))
    assert cells.measure(("loop", "scan", "first"), gpu.TINY, tmp_path) == {"failed": "out of memory"}


def test_dry_run_goes_on_where_it_stopped(benchmarks, tmp_path):
    command = [benchmarks / "gpu.sh", f"--out={tmp_path}", "--part=correctness", "--tiny"]

    def run():
        environment = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHON": sys.executable}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=True).stdout

    text, kept = run(), tmp_path / "cells.jsonl"
    lines = kept.read_text().splitlines()
    assert len(lines) == 4
    assert not [line for line in lines if "failed" in json.loads(line)["found"]]
    assert text.endswith("Nothing is left.\n")
    assert "| kernel | highest | 16 |" in text
    assert (tmp_path / "gpu.md").read_text() in text
    kept.write_text("\n".join(lines[:-1]) + "\n")
    assert run().endswith("Nothing is left.\n")
    assert kept.read_text().splitlines()[:-1] == lines[:-1], "measured once"
    assert json.loads(kept.read_text().splitlines()[-1])["cell"] == json.loads(lines[-1])["cell"]


def test_a_machine_without_a_gpu_is_refused(benchmarks, tmp_path):
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHON": sys.executable}
    command = [benchmarks / "gpu.sh", f"--out={tmp_path}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert (done.returncode, done.stdout) == (1, "")
    assert "error: Expected one CUDA GPU" in done.stderr


def test_steps_and_the_loop_on_a_cpu(module, gpu, tmp_path):
    cells = module("gpu_cells")
    found = {}
    for cell in gpu.cells(gpu.TINY, None, torch=False):
        if cell[:3] in [("steps", name, "second") for name in ("scan", "kernel", "limit")] or cell[:2] == (
            "loop",
            "scan",
        ):
            found[cell] = cells.measure(cell, gpu.TINY, tmp_path)
    assert not [result for result in found.values() if "failed" in result]
    for (part, name, *_), result in found.items():
        if part == "loop":
            assert min(result["episodes_per_second"]) > 0
            continue
        assert len(result["seconds"]) == gpu.TINY.rounds
        assert result["memory_mib"] > 0
        assert (result["gradient_error"] is None) == (name == "limit"), "the products alone have no gradient"
        assert (result["gradient_error"] or 0) < 1e-5
    assert "They speak for no default" in module("gpu_report").markdown({"device": "2 x cpu (cpu)"}, found)


def test_shellcheck(benchmarks):
    shellcheck = shutil.which("shellcheck", path=str(Path(sys.executable).parent)) or shutil.which("shellcheck")
    assert shellcheck, "shellcheck is not installed: pip install -e '.[test]'"
    done = subprocess.run([shellcheck, benchmarks / "gpu.sh"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")


def test_imports_the_numeric_core_alone(benchmarks):
    beyond = {"librosa", "soundfile", "tensorflow_datasets", "sklearn", "scipy", "tensorboardX", "tqdm", "psutil"}
    program = f"import sys; import gpu_cells, gpu_report, gemm_limit; sys.exit(bool({beyond} & set(sys.modules)) * 9)"
    path = os.pathsep.join(map(str, (benchmarks, benchmarks.parents[1])))
    environment = os.environ | {"PYTHONPATH": path, "JAX_PLATFORMS": "cpu"}
    assert subprocess.run([sys.executable, "-c", program], env=environment, timeout=300).returncode == 0
