"""Scaling on paper: the model's closed-form cases, its published figures' consequences, the table and the program."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from metaser_jax.errors import InputError

BENCHMARKS = Path(__file__).parents[2] / "experiments" / "benchmarks"
MB = 1e6


@pytest.fixture(scope="module")
def modules():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import all_reduce
        import scaling
        import scaling_report

        yield all_reduce, scaling_report, scaling
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture
def model(modules):
    return modules[0]


@pytest.fixture
def link(model):
    """1 MB/s, a second of latency."""
    return model.Interconnect("slow", MB, 1.0)


def test_ring_by_hand(model, link):
    # Two devices swap halves twice; of four, each sends 3 + 3 quarters.
    assert model.ring(MB, 2, link) == pytest.approx(2 * (1 + 0.5))
    assert model.ring(MB, 4, link) == pytest.approx(6 * (1 + 0.25))
    assert model.ring(MB, 1, link) == 0


def test_tree_by_hand(model, link):
    assert model.tree(MB, 8, link) == pytest.approx(2 * 3 * (1 + 1))
    assert model.tree(MB, 5, link) == model.tree(MB, 8, link), "a level that is not full takes as long"
    assert model.tree(MB, 1, link) == 0


def test_limits(model, link):
    without_latency = link._replace(latency=0.0)
    assert model.ring(MB, 10**6, without_latency) == pytest.approx(2, rel=1e-5), "2 n / B for many devices"
    assert model.ring(0, 64, link) == 2 * 63, "messages of no bytes: latency alone"
    assert model.tree(0, 64, link) == 2 * 6


def test_fastest_is_the_tree_where_latency_counts_and_there_are_trees(model, link):
    assert model.fastest(0, 64, link) == model.tree(0, 64, link)
    assert model.fastest(0, 64, link._replace(rings_only=True)) == model.ring(0, 64, link)
    assert model.fastest(MB, 64, link._replace(latency=0.0)) == model.ring(MB, 64, link._replace(latency=0.0))


def test_efficiencies(model):
    assert model.weak_efficiency(3.0, 1.0) == 0.75
    assert model.weak_efficiency(2.0, 2.0) == 0.5, "half of the step where computation and all-reduce are as long"
    assert model.strong_efficiency(64, 8, 0.5, 0.0) == 1
    assert model.strong_efficiency(8, 8, 3.0, 1.0) == model.weak_efficiency(3.0, 1.0), "a task each"
    assert model.strong_efficiency(9, 8, 1.0, 0.0) == pytest.approx(9 / 16), "one device has two tasks, the others wait"


def test_interconnects_are_in_bytes_and_seconds(model):
    for link in model.INTERCONNECTS:
        assert 1e10 < link.bandwidth < 1e12
        assert 1e-7 < link.latency < 1e-3
    assert [link.joins(512) for link in model.INTERCONNECTS] == [False, True, True, False]
    assert all(link.joins(8) for link in model.INTERCONNECTS)


@pytest.mark.parametrize(
    ("seconds", "text"), [(1.0, "1 s"), (0.361, "361 ms"), (1e-3, "1 ms"), (0.9999e-3, "1 ms"), (3.6e-5, "36 µs")]
)
def test_seconds_are_shown_with_their_unit(seconds, text, modules):
    assert modules[1].seconds_text(seconds) == text


def test_efficiency_is_rounded_down(modules):
    assert modules[1].percent(0.99999) == "99.9 %"
    assert modules[1].percent(0.5) == "50.0 %"


def test_table_has_a_row_where_an_interconnect_reaches(modules):
    report = modules[1]
    case = report.Case("net", 900_000, 0.1, "given")
    rows = list(report.rows(case, (8, 512), tasks=64))
    assert [(row[0].split()[0], row[1]) for row in rows] == [
        *(("NVLink", "8"), ("InfiniBand", "8"), ("InfiniBand", "512"), ("100", "8"), ("100", "512"), ("TPU", "8"))
    ]
    assert rows[2][-1] == "", "64 tasks do not scale to 512 devices"
    assert rows[-1][3] == "", "no trees on a torus"
    text = report.markdown([case], (8, 512), 64)
    assert "calculation, not a measurement" in text
    assert all(line.count("|") == text.splitlines()[4].count("|") for line in text.splitlines()[4:-1] if line)


def test_program_takes_given_seconds(tmp_path):
    command = [sys.executable, BENCHMARKS / "scaling.py", f"--out={tmp_path}", "--step_seconds=0.002,0.001"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    # The paper's network: 224,900 parameters of 4 bytes.
    assert "899,600 bytes; a task 2 ms, as given by --step_seconds" in done.stdout
    assert (tmp_path / "scaling.md").read_text() in done.stdout
    assert (tmp_path / "scaling.png").stat().st_size > 10_000


@pytest.mark.parametrize("preset", ["paper", "recommended"])
def test_a_meta_step_is_measured(modules, preset):
    config = modules[2].of_one_task(preset, shots=1)
    assert (config.tasks_per_episode, config.devices, config.shots) == (1, 1, 1)
    seconds = modules[2].measure(dataclasses.replace(config, hidden_dim=2, queries=1, order="first"), rounds=3)
    assert len(seconds) == 3
    assert min(seconds) > 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"step_seconds": (0.1,)},
        {"step_seconds": (0.0, 1.0)},
        {"devices": (1,)},
        {"devices": ()},
        {"presets": ("best",)},
    ],
)
def test_bad_flags(wrong, modules):
    with pytest.raises(InputError, match=f"--{next(iter(wrong))}"):
        modules[2].ScalingConfig(out="out", **wrong)
