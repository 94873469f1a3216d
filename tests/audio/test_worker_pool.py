import os
import subprocess
import sys

import numpy as np
import pytest

from metaser_jax import processes
from metaser_jax.audio import mfcc as features
from metaser_jax.audio import worker_pool as extraction
from metaser_jax.audio.mfcc import RecordingError
from metaser_jax.errors import InputError


@pytest.fixture
def paths(tmp_path, write_sound):
    """20 files of different lengths and rates, of which the 6th is damaged."""
    paths = [
        write_sound(tmp_path / f"{i:02d}.wav", seconds=0.05 * (i + 1), rate=(16000, 48000)[i % 2], channels=1 + i % 3)
        for i in range(20)
    ]
    paths[5].write_bytes(paths[5].read_bytes()[:100])
    return paths


def test_results_are_in_order(paths):
    results = list(extraction.extract_all(paths, workers=1))
    for i, (path, result) in enumerate(zip(paths, results, strict=True)):
        if i == 5:
            assert isinstance(result, RecordingError)
            assert result.path == str(path)
            assert result.__traceback__ is None
        else:
            np.testing.assert_array_equal(result.mfcc, features.extract(path).mfcc)


def test_few_files_start_no_process(paths, monkeypatch):
    monkeypatch.setattr(extraction, "spawn_pool", None)
    assert len(list(extraction.extract_all(paths, workers=2))) == 20


class FakePool:
    """Runs nothing until a result is asked for, and counts what is waiting."""

    waiting = most = 0
    closed = False

    def __init__(self, *args, **kwargs):
        pass

    def submit(self, function, *args):
        FakePool.waiting += 1
        FakePool.most = max(FakePool.most, FakePool.waiting)
        pool = self

        class Future:
            def result(self):
                pool.__class__.waiting -= 1
                return function(*args)

        return Future()

    def shutdown(self, cancel_futures):
        FakePool.closed = cancel_futures


def test_memory_is_bounded_and_the_pool_is_closed(tmp_path, monkeypatch):
    monkeypatch.setattr(extraction, "spawn_pool", FakePool)
    results = extraction.extract_all([tmp_path / f"{i}.wav" for i in range(800)], workers=2)
    for _ in range(500):
        next(results)
    assert FakePool.most <= 5
    results.close()
    assert FakePool.closed


def test_no_files():
    assert list(extraction.extract_all([])) == []


def _die() -> None:
    os._exit(1)


def test_dead_worker(paths, monkeypatch):
    monkeypatch.setattr(extraction, "MIN_FILES_FOR_PROCESSES", 1)
    monkeypatch.setattr(processes, "_start_worker", _die)
    with pytest.raises(InputError, match="A worker process died"):
        list(extraction.extract_all(paths, workers=2))


def test_a_worker_starts_without_the_heavy_modules():
    code = (
        "import sys; import metaser_jax.audio.worker_pool; "
        "print(sorted({'librosa', 'numba', 'tensorflow_datasets'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"
