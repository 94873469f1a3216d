import multiprocessing
import os

import numpy as np
import pytest
from sounds import write_sound
from subprograms import python

from metaser_jax.audio import extraction
from metaser_jax.audio.extraction import extract
from metaser_jax.errors import InputError, RecordingError


@pytest.fixture
def paths(tmp_path):
    """20 files of different lengths and rates, of which the 6th is damaged."""
    paths = [
        write_sound(tmp_path / f"{i:02d}.wav", seconds=0.1 * (i + 1), rate=(16000, 48000)[i % 2], channels=1 + i % 3)
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
            np.testing.assert_array_equal(result.mfcc, extract(path).mfcc)


def test_few_files_start_no_process(paths):
    assert len(list(extraction.extract_all(paths, workers=2, pool=None))) == 20


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


def test_memory_is_bounded_and_the_pool_is_closed(tmp_path):
    results = extraction.extract_all([tmp_path / f"{i}.wav" for i in range(800)], workers=2, pool=FakePool)
    for _ in range(500):
        next(results)
    assert FakePool.most <= 5
    results.close()
    assert FakePool.closed


def test_no_files():
    assert list(extraction.extract_all([])) == []


def _die(source) -> None:
    assert multiprocessing.parent_process(), "a worker's, not this one"
    os._exit(1)


def test_dead_worker():
    with pytest.raises(InputError, match="A worker process died"):
        list(extraction.read_each(_die, range(20), workers=2, min_files=1))


def test_a_worker_starts_without_the_heavy_modules():
    code = (
        "import sys; import metaser_jax.audio.extraction; "
        "print(sorted({'librosa', 'numba', 'tensorflow_datasets'} & set(sys.modules)))"
    )
    assert python("-c", code).stdout == "[]\n"
