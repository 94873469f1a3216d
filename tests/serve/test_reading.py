"""The processes that read uploads: what one costs that hangs, dies, or wants too much memory."""

import asyncio
import os
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from fakes import fake_model
from malformed import Case, cases
from served import Page, serving, tone
from sounds import encoded as wav

from metaser_jax.audio.mfcc import frames
from metaser_jax.serve.app import Limits
from metaser_jax.serve.reading import Readers, _Reader, peaks_of
from metaser_jax.serve.web import Refused


async def refused(reading) -> str:
    with pytest.raises(Refused) as error:
        await reading
    assert error.value.status_code == 422
    return error.value.detail


def run_with(run, max_seconds=20.0, **options) -> None:
    """Run something with a single process that reads."""

    async def do() -> None:
        readers = Readers(1, time_limit=60.0, max_seconds=max_seconds, **options)
        try:
            await run(readers)
        finally:
            readers.close()
        assert readers.pids() == []

    asyncio.run(do())


def test_reads_and_survives():
    samples = tone(seconds=1.0)

    async def run(readers: Readers) -> None:
        reading = await readers.read("a.wav", wav(samples))
        np.testing.assert_allclose(reading.clip.frames, frames(samples)[: len(reading.clip.frames)], atol=0.05)
        assert reading.peaks.max() == 1
        expected = {b"nothing": "This is not audio", wav(tone(seconds=21.0)): "20", wav(np.zeros(9000)): "silence"}
        for data, said in expected.items():
            assert said in await refused(readers.read("a.wav", data))

        # It hangs.
        (first,) = readers.pids()
        os.kill(first, signal.SIGSTOP)
        readers.time_limit = 0.2
        assert "more than 0.2 s" in await refused(readers.read("a.wav", wav(samples)))
        readers.time_limit = 60.0
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

    run_with(run)


def test_memory_is_bounded():
    if not os.path.exists("/proc/self/statm"):
        pytest.skip("only Linux bounds it")

    async def run(readers: Readers) -> None:
        # Five minutes of nearly nothing are a small file, whose samples are 26 MB.
        flac = wav(np.tile(tone(seconds=1.0), 300), kind="FLAC")
        assert "memory" in await refused(readers.read("a.flac", flac))
        assert await readers.read("a.wav", wav(tone(seconds=1.0)))

    run_with(run, max_seconds=600.0, memory=96 * 2**20)


def choke(*args):
    """What libraries do with a file that they were not made for: they print, and raise anything."""
    os.write(2, b"[mpg123] error: part2_3_length (3112) too large\n" * 9)
    raise SystemError("returned a result with an exception set")


def test_a_file_that_a_library_chokes_on_is_refused_and_the_terminal_spared(monkeypatch, capfd):
    monkeypatch.setattr(_Reader, "submit", lambda self, *args: self._pool.submit(choke, *args))

    async def run(readers: Readers) -> None:
        assert (await refused(readers.read("a.mp3", b"ID3"))).startswith("It cannot be read: damaged, or of a kind")

    run_with(run)
    said = capfd.readouterr().err
    assert "mpg123" not in said
    assert said == "warning: reading an upload ended with SystemError('returned a result with an exception set')\n"


def test_peaks():
    np.testing.assert_allclose(peaks_of(np.array([0.1, -0.5, 0.25, 0.0]), 2), [1.0, 0.5])
    np.testing.assert_allclose(peaks_of(np.array([0.1, -0.5]), 400), [0.2, 1.0])
    assert peaks_of(np.zeros(1000)).tolist() == [0.0] * 400


MIB = 2**20
LIMITS = Limits(max_upload=32 * MIB, max_seconds=600.0, max_clips=1000)


def memory(pid: int | str, what: str) -> int:
    """Bytes: VmRSS that it has, VmHWM the most that it had."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        pytest.skip("only Linux says how much memory a process has")
    return int(re.search(rf"{what}:\s+(\d+) kB", status.read_text())[1]) * 1024


def test_every_one_is_answered(tmp_path):
    files = [one for one in cases(tmp_path) if one.path.is_file() and one.path.stat().st_size <= LIMITS.max_upload]
    assert len(files) > 50
    readers = Readers(2, 60.0, LIMITS.max_seconds)
    with serving(fake_model(), readers, LIMITS) as port:
        page = Page(port)
        whole = (tmp_path / "whole.wav").read_bytes()
        assert page.add(whole).status == 201
        assert page.add(bytes(LIMITS.max_upload + 1)).status == 413
        before = memory("self", "VmRSS")

        def answer(case: Case) -> str | None:
            got = page.add(case.path.read_bytes(), case.path.name)
            if got.status == 201:
                return None if case.expected in ("reads", "either") else "reads"
            if got.status != 422 or case.expected == "reads":
                return f"{got.status} {got.body}"
            # For people, and nothing of where we are.
            return None if len(got.error) > 20 and str(tmp_path) not in got.error else got.error

        with ThreadPoolExecutor(4) as pool:
            wrong = {case.path.name: said for case, said in zip(files, pool.map(answer, files), strict=True) if said}
        assert not wrong
        assert page.add(whole).status == 201
        assert memory("self", "VmRSS") - before < 400 * MIB
        for pid in readers.pids():
            assert memory(pid, "VmHWM") < 1024 * MIB
        read = [case for case in files if case.expected == "reads"]
        assert len(page.ask("GET", "/api/page").json["clips"]) >= len(read) + 2
