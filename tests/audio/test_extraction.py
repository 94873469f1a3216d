"""MFCC as librosa computes them, and many files by several processes, in order and in bounded memory."""

import multiprocessing
import os
import warnings

import numpy as np
import pytest
import soundfile
from sounds import write_sound
from subprograms import python

from metaser_jax.audio import extraction
from metaser_jax.audio import mfcc as features
from metaser_jax.audio.decoding import UTTERANCE, decode, read_source
from metaser_jax.audio.extraction import extract, extract_all
from metaser_jax.errors import InputError, RecordingError

# librosa.load looks for audioread's backends, which import modules that leave the standard library.
pytestmark = pytest.mark.filterwarnings("ignore:.*slated for removal in Python 3.13:DeprecationWarning")


def sound(n, channels=1):
    return 0.1 * np.random.default_rng(n).standard_normal((n, channels)).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8000, 22050, 24414, 44100, 96000])
@pytest.mark.parametrize("name", ["a.wav", "A.FLAC"])
def test_samples_are_those_of_librosa(tmp_path, name, rate, channels):
    import librosa

    path = tmp_path / name
    soundfile.write(path, sound(10001, channels), rate)
    decoded = decode(read_source(path), name, UTTERANCE)
    samples = features.resampled(decoded.mono, decoded.sample_rate)
    expected, _ = librosa.load(path)
    np.testing.assert_array_equal(samples, expected)
    assert samples.dtype == np.float32
    extraction = extract(path)
    mfcc, n_frames = features.mfcc(samples)
    np.testing.assert_array_equal(extraction.mfcc, mfcc)
    assert (extraction.n_frames, extraction.seconds, extraction.sample_rate) == (n_frames, 10001 / rate, rate)


@pytest.mark.parametrize("n", [1, 511, 512, 2048, 119 * 512 - 1, 119 * 512, 100000])
def test_mfcc_is_that_of_librosa(n):
    """To the bit, whatever the number of BLAS threads, on which librosa's last bits depend."""
    import librosa
    from threadpoolctl import threadpool_limits

    samples = sound(n)[:, 0]
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")  # librosa warns about short clips; ours must not
        expected = librosa.feature.mfcc(y=samples, sr=22050, n_mfcc=20).T
    with threadpool_limits(2):
        mfcc, n_frames = features.mfcc(samples)
    assert n_frames == min(120, 1 + n // 512)
    assert mfcc.shape == (120, 20)
    assert mfcc.dtype == np.float32
    np.testing.assert_array_equal(mfcc[:n_frames], expected[:120])
    assert not mfcc[n_frames:].any()
    assert np.isfinite(features.mfcc(0 * samples)[0]).all()
    with pytest.raises(InputError, match="samples"):
        features.mfcc(samples[None])


def test_results_are_in_order(tmp_path):
    """Of files of different lengths and rates, of which one is damaged."""
    paths = [
        write_sound(tmp_path / f"{i}.wav", seconds=0.1 * (i + 1), rate=(16000, 48000)[i % 2], channels=1 + i % 3)
        for i in range(8)
    ]
    paths[5].write_bytes(paths[5].read_bytes()[:100])
    # So few start no process, which `pool` would.
    results = list(extract_all(paths, workers=2, pool=None))
    assert results[5].path == str(paths[5])
    assert results[5].__traceback__ is None
    for path, result in zip(paths, results, strict=True):
        if path != paths[5]:
            np.testing.assert_array_equal(result.mfcc, extract(path).mfcc)
    assert list(extract_all([])) == []


class FakePool:
    """Runs nothing until a result is asked for, and counts what is waiting."""

    def __init__(self, workers):
        self.waiting = self.most = 0
        self.closed = False
        FakePool.last = self

    def submit(self, function, *args):
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        return Later(self, function, args)

    def shutdown(self, cancel_futures):
        self.closed = cancel_futures


class Later:
    def __init__(self, pool, function, args):
        self.pool, self.function, self.args = pool, function, args

    def result(self):
        self.pool.waiting -= 1
        return self.function(*self.args)


def test_memory_is_bounded_and_the_pool_is_closed(tmp_path):
    results = extract_all([tmp_path / f"{i}.wav" for i in range(800)], workers=2, pool=FakePool)
    for _ in range(500):
        assert isinstance(next(results), RecordingError)
    assert FakePool.last.most <= 5
    results.close()
    assert FakePool.last.closed


def _die(source) -> None:
    assert multiprocessing.parent_process(), "a worker's, not this one"
    os._exit(1)


def test_dead_worker():
    with pytest.raises(InputError, match="--workers=1"):
        list(extraction.read_each(_die, range(20), workers=2, min_files=1))


def test_what_takes_seconds_to_import_is_not():
    program = (
        "import sys, numpy, metaser_jax.audio.clips, metaser_jax.datasets.labelled_files\n"
        "from metaser_jax.audio.tracks import statistics, tracks\n"
        "statistics(tracks(numpy.ones(3000, 'f')))\n"
        "print({'jax', 'tensorflow_datasets', 'librosa', 'numba', 'scipy', 'sklearn', 'av'} & set(sys.modules))"
    )
    assert python("-c", program).stdout == "set()\n"
