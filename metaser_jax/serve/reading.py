"""Uploads are decoded in processes of their own: a file made to harm takes its process with it, and nothing else."""

import asyncio
import contextlib
import gc
import io
import multiprocessing
import os
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from metaser_jax.audio.clips import Clip, Upload, check_audible, read_with_sound
from metaser_jax.errors import RecordingError
from metaser_jax.messages import say
from metaser_jax.processes import spawn_pool
from metaser_jax.serve.web import Refused
from metaser_jax.untrusted import plain

# Of a clip's waveform, for the picture.
PEAKS = 400
# What a process may take beyond what its libraries take: ten minutes of stereo at 48 kHz need less than half of it.
MEMORY = 3 * 2**30
# Importing takes long on a machine that is busy, or has nothing in its page cache.
_START_SECONDS = 180.0


class Reading(NamedTuple):
    """Attributes: clip; peaks [PEAKS] float32, the loudest of each part, 1 for the loudest of all."""

    clip: Clip
    peaks: np.ndarray


class Readers:
    """A few processes that each read one upload at a time.

    One that dies, or takes longer than the time limit, is replaced, and its upload alone is refused.
    """

    def __init__(
        self, count: int, time_limit: float, max_seconds: float, memory: int = MEMORY, *, features: str = "voice"
    ):
        """Set it up.

        Args: memory: bytes, of each process, beyond what it has when it is ready. features: see clips.read_clip.
        """
        self.time_limit = time_limit
        self._max_seconds = max_seconds
        self._features = features
        self._memory = memory
        self._readers = [_Reader(memory) for _ in range(count)]
        self._free: asyncio.Queue[int] = asyncio.Queue()
        for index in range(count):
            self._free.put_nowait(index)

    async def read(self, name: str, data: bytes) -> Reading:
        """Wait for a free process, and has it read the recording.

        Raises:
          Refused: 422; the message is for the person who chose the file, and does not repeat its name.
        """
        index = await self._free.get()
        try:
            reading = await self._submit(index, (name, data, self._max_seconds, self._features))
            return await asyncio.wait_for(asyncio.wrap_future(reading), self.time_limit)
        except RecordingError as error:
            raise unreadable(error) from None
        except (TimeoutError, MemoryError, BrokenProcessPool) as error:
            self._replace(index)
            said = {
                TimeoutError: f"Reading it took more than {self.time_limit:g} s, which no good file does.",
                MemoryError: "Reading it takes too much memory. Send fewer minutes, or fewer channels.",
                BrokenProcessPool: "It broke the process that read it: damaged, or too large when unpacked.",
            }
            raise Refused(422, said[type(error)]) from None
        except Refused:
            raise
        except Exception as error:  # whatever a library raises of a file that it was not made for
            say(f"warning: reading an upload ended with {plain(repr(error))[:200]}")
            raise Refused(422, "It cannot be read: damaged, or of a kind that is not known.") from None
        finally:
            self._free.put_nowait(index)

    async def _submit(self, index: int, arguments: tuple) -> Future[Reading]:
        for _ in range(2):
            try:
                await asyncio.wait_for(asyncio.wrap_future(self._readers[index].ready), _START_SECONDS)
                return self._readers[index].submit(*arguments)
            except (BrokenProcessPool, TimeoutError):
                # It died before it was given this file, by whatever the system wanted its memory for.
                self._replace(index)
        raise Refused(503, "The process that reads recordings does not start. Try again.")

    def _replace(self, index: int) -> None:
        self._readers[index].kill()
        self._readers[index] = _Reader(self._memory)

    def pids(self) -> list[int]:
        """Return the numbers of the processes."""
        return [child.pid for reader in self._readers for child in reader.children]

    def close(self) -> None:
        """End all processes, whatever they are doing."""
        for reader in self._readers:
            reader.kill()
        self._readers.clear()
        # Their semaphores go with them; otherwise Python complains at the end that they were left.
        gc.collect()


def unreadable(error: RecordingError) -> Refused:
    """Return the message for the person who chose the file; its name stands above it."""
    return Refused(422, f"{error.reason[:1].upper()}{error.reason[1:]}. {error.advice}")


class _Reader:
    """A pool of one process. Attributes: ready, done as soon as it can read; children, the process."""

    def __init__(self, memory: int):
        self._pool = spawn_pool(1)
        before = set(multiprocessing.active_children())
        self.ready: Future[None] = self._pool.submit(_warm, memory)
        self.children = set(multiprocessing.active_children()) - before

    def submit(self, name: str, data: bytes, max_seconds: float, features: str) -> Future[Reading]:
        return self._pool.submit(read_upload, name, data, max_seconds, features)

    def kill(self) -> None:
        for child in self.children:
            child.kill()
        # With its process dead, nothing is waited for.
        self._pool.shutdown(cancel_futures=True)


def _warm(memory: int) -> None:
    """Run in the process: load all that reading needs, and then take no more than so many bytes.

    Nothing that libraries print of a bad file reaches the terminal: libmpg123 has a line for every frame.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    file = io.BytesIO()
    noise = np.random.default_rng(0).normal(scale=0.1, size=(44100, 2))
    soundfile.write(file, noise, 44100, format="WAV")
    read_upload("warm.wav", file.getvalue(), 2.0)
    with contextlib.suppress(ImportError, OSError):  # not Linux: the sizes of uploads are limited all the same
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + memory
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def read_upload(name: str, data: bytes, max_seconds: float, features: str = "encoder") -> Reading:
    """Decode an upload. Raises RecordingError: it cannot be used, or is silent."""
    clip, sound = read_with_sound(Upload(name, data), max_seconds, features=features)
    check_audible(clip, name)
    return Reading(clip, peaks_of(sound.mono))


def peaks_of(samples: np.ndarray, count: int = PEAKS) -> np.ndarray:
    """Return [n] -> [min(count, n)] float32, the largest |sample| of each of so many parts, over the largest of all."""
    size = np.abs(samples)
    starts = np.linspace(0, len(size), min(count, len(size)), endpoint=False).astype(int)
    peaks = np.maximum.reduceat(size, starts)
    return (peaks / max(peaks.max(), 1e-9)).astype(np.float32)
