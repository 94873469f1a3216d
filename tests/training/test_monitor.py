"""What a run writes while it trains: each interval once, in metrics.jsonl and for TensorBoard, and what it cost."""

import json
import platform
import struct
import types

import jax
import jax.numpy as jnp
import pytest
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import masked_crc32c

from metaser_jax import InputError
from metaser_jax.results.run_dir import read_lines
from metaser_jax.training import parallel
from metaser_jax.training.cost import measured_of
from metaser_jax.training.monitor import Monitor, device_peak_bytes, host_peak_bytes


def line(episode, **fields):
    return {"episode": episode, "support_loss": 1.5, "episodes_per_second": 4.0, "valid_query_loss": None} | fields


def monitor(folder, kept=(), **options):
    return Monitor(folder, key="episode", kept=list(kept), **options)


def lines(folder):
    return read_lines(folder / "metrics.jsonl")


def events_of(path):
    """What TensorBoard would find: length, its checksum, event, its checksum, and again."""
    data, events = path.read_bytes(), []
    while data:
        (length,), checksum = struct.unpack("<Q", data[:8]), struct.pack("<I", masked_crc32c(data[:8]))
        assert data[8:12] == checksum
        event, data = data[12 : 12 + length], data[12 + length :]
        assert data[:4] == struct.pack("<I", masked_crc32c(event))
        data = data[4:]
        events.append(Event.FromString(event))
    return events


def attempts(folder):
    return [events_of(path) for path in sorted((folder / "tensorboard").iterdir())]


def scalars(event):
    return {value.tag: value.simple_value for value in event.summary.value}


def compute():
    return float(jax.jit(jnp.sum)(jnp.ones(8)))


def test_lines_and_scalars(tmp_path):
    with monitor(tmp_path) as m:
        m.write(line(10, sources=["a", "b"], converged=True, skipped=2))
        assert [found["episode"] for found in lines(tmp_path)] == [10]  # before anything is closed
        m.write(line(20, valid_query_loss=1.25))
    first, second = lines(tmp_path)
    assert first.keys() - line(10).keys() == {"sources", "converged", "skipped", "host_peak_bytes", "device_peak_bytes"}
    assert (first["valid_query_loss"], second["valid_query_loss"]) == (None, 1.25)
    assert first["host_peak_bytes"] > 2**20
    assert first["device_peak_bytes"] is None  # a CPU does not say

    ((version, start, *events),) = attempts(tmp_path)
    assert version.file_version == "brain.Event:2"
    assert (start.session_log.status, start.step) == (SessionLog.START, 0)
    assert [event.step for event in events] == [10, 20]
    memory = {"memory/host_peak_bytes": pytest.approx(first["host_peak_bytes"])}
    common = {"loss/support_loss": 1.5, "speed/episodes_per_second": 4.0}
    assert scalars(events[0]) == common | memory | {"run/skipped": 2}
    assert scalars(events[1])["loss/valid_query_loss"] == 1.25


def test_an_interval_is_nowhere_twice(tmp_path):
    with monitor(tmp_path) as m:
        for episode in (10, 20, 30):
            m.write(line(episode))
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"episode": 40, "supp')  # what a kill may leave
    with monitor(tmp_path, kept=lines(tmp_path)[:2]) as m:
        assert [found["episode"] for found in lines(tmp_path)] == [10, 20]
        m.write(line(30, support_loss=2.0))
    assert [found["episode"] for found in lines(tmp_path)] == [10, 20, 30]
    assert lines(tmp_path)[2]["support_loss"] == 2.0
    before, (_, start, again) = attempts(tmp_path)  # in the same second, and none overwrites another
    assert [event.step for event in before[2:]] == [10, 20, 30]
    assert (start.session_log.status, start.step) == (SessionLog.START, 21)
    assert (again.step, scalars(again)["loss/support_loss"]) == (30, 2.0)


@pytest.mark.parametrize(("flush_seconds", "later"), [(float("inf"), []), (-1.0, [20])], ids=["rarely", "each"])
def test_when_events_are_on_the_disk(tmp_path, flush_seconds, later, monkeypatch):
    monkeypatch.setattr("metaser_jax.training.monitor.FLUSH_SECONDS", flush_seconds)
    with monitor(tmp_path) as m:
        m.write(line(10))
        m.sync()
        m.write(line(20))
        assert [event.step for event in attempts(tmp_path)[0][2:]] == [10, *later]
    assert [event.step for event in attempts(tmp_path)[0][2:]] == [10, 20]


def test_other_processes_write_nothing(tmp_path):
    with monitor(tmp_path, profile=1, primary=False) as m:
        for _ in range(3):
            with m.interval():
                compute()
        m.write(line(10))
        m.sync()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("profile", "intervals"), [(1, 3), (2, 2)], ids=["within", "run_ends_before"])
def test_trace(tmp_path, profile, intervals, monkeypatch):
    calls = []
    for name in ("start_trace", "stop_trace"):
        monkeypatch.setattr(jax.profiler, name, lambda *_, name=name: calls.append(name))
    with monitor(tmp_path, profile=profile) as m:
        for number in range(intervals):
            with m.interval():
                calls.append(number)
    assert calls == {1: [0, "start_trace", 1, "stop_trace", 2], 2: [0, "start_trace", 1, "stop_trace"]}[profile]


def test_a_trace_ends_with_a_failed_interval(tmp_path):
    def fail():
        with monitor(tmp_path, profile=5) as m:
            with m.interval():
                compute()
            with m.interval():
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert len(list((tmp_path / "profile").rglob("*.xplane.pb"))) == 1
    jax.profiler.start_trace(tmp_path / "another")  # an error while one is open
    jax.profiler.stop_trace()


@pytest.mark.parametrize(
    ("when", "room", "file"),
    [("write", 20, "metrics.jsonl"), ("sync", None, "tensorboard"), ("exit", None, "tensorboard")],
)
def test_full_disk(tmp_path, largest_file, when, room, file):
    def fill():
        with monitor(tmp_path) as m:
            m.write(line(10))  # the first is flushed
            if room:
                largest_file((tmp_path / file).stat().st_size + room)
            m.write(line(20))
            largest_file(20)
            if when == "sync":
                m.sync()

    with pytest.raises(InputError, match=rf"{file} cannot be written: .*The last checkpoint is intact"):
        fill()
    largest_file()
    whole = [json.loads(found) for found in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [found["episode"] for found in whole] == ([10] if room else [10, 20])  # and no part of another


@pytest.mark.parametrize("how", ["unlink", "rename", "write another"])
def test_metrics_that_somebody_removes_are_written_again(tmp_path, how):
    path = tmp_path / "metrics.jsonl"
    with monitor(tmp_path, [line(10)]) as m:
        m.write(line(20))
        if how == "rename":
            path.rename(tmp_path / "mine")
        else:
            path.unlink()
        if how == "write another":
            path.write_text("mine")
        m.write(line(30))
        m.sync()
        m.write(line(40))
    assert [one["episode"] for one in lines(tmp_path)] == [10, 20, 30, 40]


def test_unwritable_files(tmp_path):
    (tmp_path / "tensorboard").touch()
    with pytest.raises(InputError, match=r"tensorboard cannot be written: File exists"), monitor(tmp_path):
        pass
    with pytest.raises(InputError, match=r"metrics\.jsonl cannot be written: No such file"), monitor(tmp_path / "none"):
        pass


def test_a_failure_to_close_does_not_hide_what_ended_the_run(tmp_path, largest_file):
    def interrupted():
        with monitor(tmp_path) as m:
            m.write(line(10))
            m.write(line(20))
            largest_file(20)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    largest_file()


@pytest.mark.parametrize(("stats", "peak"), [([None], None), ([{}], None), ([3, 5], 5)])
def test_peaks(stats, peak):
    stats = [{"peak_bytes_in_use": of} if isinstance(of, int) else of for of in stats]
    devices = [types.SimpleNamespace(memory_stats=lambda of=of: of) for of in stats]
    assert device_peak_bytes(devices) == peak
    assert host_peak_bytes("linux") >= 1000 * host_peak_bytes("darwin") > 0  # kilobytes here, bytes there


def test_of_a_program():
    mesh = parallel.task_mesh(2)
    x = parallel.replicate(jnp.ones((4, 4)), mesh)
    program = jax.jit(lambda x, n: x @ x + n).lower(x, jnp.int32(1)).compile()
    measured = measured_of(program, 1.5, parallel.describe(mesh))
    between = jax.jit(lambda x: x @ x @ x).lower(jax.ShapeDtypeStruct((64, 64), jnp.float32)).compile()
    assert measured_of(between, 1.5, "cpu")["temp_bytes"] >= 64 * 64 * 4 > measured.pop("temp_bytes")
    versions = measured.pop("versions")
    assert measured == {"compile_seconds": 1.5, "device": "2 devices, cpu (cpu)", "devices": 2, "processes": 1}
    assert (versions["jax"], versions["platform"]) == (jax.__version__, platform.platform())
    assert "device" not in versions
