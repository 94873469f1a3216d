"""MFCC as librosa computes them, and many files by several processes, in order and in bounded memory."""

import multiprocessing
import os
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from sounds import noise

from metaser_jax.audio import extraction
from metaser_jax.audio import mfcc as features
from metaser_jax.audio.decoding import UTTERANCE, read_sound
from metaser_jax.audio.extraction import extract, extract_all
from metaser_jax.errors import InputError

# librosa.load looks for audioread's backends, which import modules that leave the standard library.
pytestmark = pytest.mark.filterwarnings("ignore:.*slated for removal in Python 3.13:DeprecationWarning")


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8000, 22050, 24414, 96000])
def test_samples_are_those_of_librosa(tmp_path, rate, channels):
    import librosa

    path = tmp_path / "A.FLAC"
    soundfile.write(path, noise(10001 / 22050, channels), rate)
    decoded, _ = read_sound(path, UTTERANCE)
    samples = features.resampled(decoded.mono, decoded.sample_rate)
    expected, _ = librosa.load(path)
    np.testing.assert_array_equal(samples, expected)
    assert samples.dtype == np.float32
    extraction = extract(path)
    frames = features.frames(samples)[:120]
    np.testing.assert_array_equal(extraction.mfcc[: len(frames)], frames)
    assert (extraction.n_frames, extraction.seconds, extraction.sample_rate) == (len(frames), 10001 / rate, rate)


@pytest.mark.parametrize("n", [1, 511, 512, 2048, 119 * 512 - 1, 119 * 512, 100000])
def test_mfcc_is_that_of_librosa(n):
    """To the bit, whatever the number of BLAS threads, on which librosa's last bits depend."""
    import librosa
    from threadpoolctl import threadpool_limits

    samples = noise(n / 22050)[:, 0]
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")  # librosa warns about short clips; ours must not
        expected = librosa.feature.mfcc(y=samples, sr=22050, n_mfcc=20).T
    with threadpool_limits(2):
        mfcc, n_frames = features.padded(features.frames(samples))
    assert (mfcc.shape, mfcc.dtype, n_frames) == ((120, 20), np.float32, min(120, 1 + n // 512))
    np.testing.assert_array_equal(mfcc[:n_frames], expected[:120])
    assert not mfcc[n_frames:].any()
    assert np.isfinite(features.frames(0 * samples)).all()


class FakePool:
    """Runs nothing until a result is asked for, and counts what is waiting."""

    waiting, most, closed = 0, 0, False

    def submit(self, function, *args):
        def result():
            self.waiting -= 1
            return function(*args)

        self.waiting += 1
        self.most = max(self.most, self.waiting)
        return SimpleNamespace(result=result)

    def shutdown(self, cancel_futures):
        self.closed = cancel_futures


def test_memory_is_bounded_and_the_pool_is_closed(tmp_path):
    pool = FakePool()
    results = extract_all([tmp_path / f"{i}.wav" for i in range(800)], workers=2, pool=lambda workers: pool)
    for i in range(500):
        error = next(results)
        assert error.path == str(tmp_path / f"{i}.wav")
        assert error.__traceback__ is None
    results.close()
    assert 0 < pool.most <= 5
    assert pool.closed


def _die(source) -> None:
    assert multiprocessing.parent_process(), "a worker's, not this one"
    os._exit(1)


def test_dead_worker():
    with pytest.raises(InputError, match="--workers=1"):
        list(extraction.read_each(_die, range(20), workers=2, min_files=1))
