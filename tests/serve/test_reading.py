"""The processes that read uploads: what one costs that hangs, dies, or wants too much memory."""

import asyncio
import os
import signal

import numpy as np
import pytest
from served import tone
from sounds import encoded as wav

from metaser_jax.audio.mfcc import mfcc
from metaser_jax.serve.reading import Readers, _Reader, peaks_of
from metaser_jax.serve.web import Refused


async def refused(reading) -> str:
    with pytest.raises(Refused) as error:
        await reading
    assert error.value.status == 422
    return error.value.message


def test_reads_and_survives():
    samples = tone(seconds=1.0)

    async def run() -> None:
        readers = Readers(1, time_limit=60.0, max_seconds=20.0)
        try:
            reading = await readers.read("a.wav", wav(samples))
            np.testing.assert_allclose(reading.clip.frames, mfcc(samples)[0][: len(reading.clip.frames)], atol=0.05)
            assert reading.peaks.max() == 1

            said = await refused(readers.read("a.wav", b"nothing"))
            assert said.startswith("This is not audio")
            assert "20" in await refused(readers.read("a.wav", wav(tone(seconds=21.0))))
            assert "silence" in (await refused(readers.read("a.wav", wav(np.zeros(9000))))).lower()

            # It hangs.
            (first,) = readers.pids()
            os.kill(first, signal.SIGSTOP)
            readers._time_limit = 0.2
            said = await refused(readers.read("a.wav", wav(samples)))
            assert "more than 0.2 s" in said
            readers._time_limit = 60.0
            (second,) = readers.pids()
            assert second != first
            assert (await readers.read("a.wav", wav(samples))).clip.seconds == pytest.approx(1.0)

            # It dies of the file.
            os.kill(second, signal.SIGSTOP)
            reading = asyncio.create_task(readers.read("a.wav", wav(samples)))
            await asyncio.sleep(0.2)
            os.kill(second, signal.SIGKILL)
            assert "broke the process" in await refused(reading)

            # It dies while nobody is looking: nobody's file is to blame.
            assert await readers.read("a.wav", wav(samples))
            (third,) = readers.pids()
            os.kill(third, signal.SIGKILL)
            await asyncio.sleep(0.2)
            assert (await readers.read("a.wav", wav(samples))).clip.seconds == pytest.approx(1.0)
        finally:
            readers.close()
        assert readers.pids() == []

    asyncio.run(run())


def test_memory_is_bounded():
    if not os.path.exists("/proc/self/statm"):
        pytest.skip("only Linux bounds it")

    async def run() -> None:
        readers = Readers(1, time_limit=60.0, max_seconds=600.0, memory=96 * 2**20)
        try:
            # Five minutes of nearly nothing are a small file, whose samples are 26 MB.
            flac = wav(np.tile(tone(seconds=1.0), 300), kind="FLAC")
            assert "memory" in await refused(readers.read("a.flac", flac))
            assert await readers.read("a.wav", wav(tone(seconds=1.0)))
        finally:
            readers.close()

    asyncio.run(run())


def choke(*args):
    """What libraries do with a file that they were not made for: they print, and raise anything."""
    os.write(2, b"[mpg123] error: part2_3_length (3112) too large\n" * 9)
    raise SystemError("returned a result with an exception set")


def test_a_file_that_a_library_chokes_on_is_refused_and_the_terminal_spared(monkeypatch, capfd):
    monkeypatch.setattr(_Reader, "submit", lambda self, *args: self._pool.submit(choke, *args))

    async def run() -> None:
        readers = Readers(1, time_limit=60.0, max_seconds=20.0)
        try:
            assert (await refused(readers.read("a.mp3", b"ID3"))).startswith("It cannot be read: damaged, or of a kind")
        finally:
            readers.close()

    asyncio.run(run())
    said = capfd.readouterr().err
    assert "mpg123" not in said
    assert said == "warning: reading an upload ended with SystemError('returned a result with an exception set')\n"


def test_peaks():
    np.testing.assert_allclose(peaks_of(np.array([0.1, -0.5, 0.25, 0.0]), 2), [1.0, 0.5])
    np.testing.assert_allclose(peaks_of(np.array([0.1, -0.5]), 400), [0.2, 1.0])
    assert peaks_of(np.zeros(1000)).tolist() == [0.0] * 400
