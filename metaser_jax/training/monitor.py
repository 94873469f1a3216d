"""Monitoring of a run while it trains: metrics.jsonl, TensorBoard event files, and a trace of some intervals."""

import contextlib
import os
import resource
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

import jax

from metaser_jax.errors import InputError
from metaser_jax.results.run_dir import METRICS, to_lines, write_text

if TYPE_CHECKING:
    from tensorboardX.record_writer import RecordWriter

TENSORBOARD = "tensorboard"
PROFILE = "profile"
# An event file is flushed to the disk this often, and in `sync`: on some file systems that takes long.
FLUSH_SECONDS = 30
# TensorBoard groups scalars by what is before the slash of their names; by a part of ours.
_GROUPS = {"loss": "loss", "_per_second": "speed", "_bytes": "memory"}


class Monitor:
    """Writer of a run's metrics, events and traces. A context manager: leaving it writes the rest and closes the files.

    RUN/metrics.jsonl has a JSON object per interval, and no interval twice: entering keeps those lines alone that the
    restored checkpoint knows of. RUN/tensorboard gets an event file from each attempt, whose beginning tells
    TensorBoard to forget what came after that checkpoint. RUN/profile gets a trace by jax.profiler.

    All methods, and entering, raise an InputError where a file cannot be written: the disk is full, say. metrics.jsonl
    has whole lines then, and the checkpoints are as they were.
    """

    def __init__(
        self,
        run_dir: str | Path,
        *,
        key: str,
        kept: Sequence[Mapping[str, Any]],
        profile: int = 0,
        primary: bool = True,
    ):
        """Write nothing yet.

        Args:
          run_dir: the run's, which is there already.
          key: the field of a line that grows from line to line: TensorBoard's step.
          kept: lines up to the restored checkpoint; [] for a new run.
          profile: how many intervals to trace. The first of this process warms up and is not traced.
          primary: whether this process writes at all; elsewhere every method does nothing.
        """
        self._folder, self._key, self._kept, self._primary = Path(run_dir), key, kept, primary
        self._traced = range(1, profile + 1) if primary else range(0)
        self._intervals, self._tracing, self._flushed = 0, False, 0.0
        self._opened = contextlib.ExitStack()
        self._lines: list[bytes] = []

    def __enter__(self) -> Self:
        if self._primary:
            self._lines = [to_lines(self._kept).encode()]
            with contextlib.ExitStack() as opened:
                with _writing(self._folder / METRICS):
                    self._metrics = self._begun()
                opened.callback(lambda: self._metrics.close())
                with _writing(self._folder / TENSORBOARD):
                    step = self._kept[-1][self._key] + 1 if self._kept else 0
                    self._events = _open_events(self._folder / TENSORBOARD, step)
                opened.callback(self._close_events)
                self._opened = opened.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        # Every step is tried, and a failure does not hide the one that ended the run.
        with contextlib.suppress(*([InputError] if kind else [])), self._opened:
            if self._tracing:
                self._stop_trace()

    @contextlib.contextmanager
    def interval(self) -> Iterator[None]:
        """Surround the computation of an interval, until its results are on the host; traces it if it is its turn."""
        if self._intervals in self._traced and not self._tracing:
            jax.profiler.start_trace(self._folder / PROFILE)
            self._tracing = True
        yield
        self._intervals += 1
        if self._tracing and self._intervals not in self._traced:
            self._stop_trace()

    def write(self, line: Mapping[str, Any]) -> None:
        """Append a line, with the peak memory of this process so far; numbers in it go to TensorBoard.

        Args:
          line: JSON-able; None is null in the file, and nothing in TensorBoard. Gets host_peak_bytes and
            device_peak_bytes, the most of any local device, None where the backend does not say.
        """
        if not self._primary:
            return
        line = dict(line) | {"host_peak_bytes": host_peak_bytes(), "device_peak_bytes": device_peak_bytes()}
        data = to_lines([line]).encode()
        with _writing(self._folder / METRICS):
            if not self._is_there():
                self._metrics.close()
                self._metrics = self._begun()
            _append(self._metrics, data)
        self._lines.append(data)
        with _writing(self._folder / TENSORBOARD):
            self._events.write(_event(line, self._key))
            if time.monotonic() - self._flushed > FLUSH_SECONDS:
                self._flush_events()

    def sync(self) -> None:
        """Put on the disk what was written, so that a checkpoint saved hereafter knows of no line that is lost."""
        if self._primary:
            with _writing(self._folder / METRICS):
                os.fsync(self._metrics.fileno())
            with _writing(self._folder / TENSORBOARD):
                self._flush_events()

    def _begun(self) -> IO[bytes]:
        """Return metrics.jsonl with the lines so far: of a new attempt, or after somebody has removed it."""
        path = self._folder / METRICS
        write_text(path, b"".join(self._lines).decode())
        # Unbuffered: a line is in the file when `write` returns, and a failed one is not written again later.
        return path.open("ab", buffering=0)

    def _is_there(self) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(self._metrics.fileno()), os.stat(self._folder / METRICS))
        return False

    def _flush_events(self) -> None:
        self._events.flush()
        self._flushed = time.monotonic()

    def _close_events(self) -> None:
        with _writing(self._folder / TENSORBOARD):
            self._events.close()

    def _stop_trace(self) -> None:
        self._tracing = False
        # What the profiler raises is a RuntimeError.
        with _writing(self._folder / PROFILE, (OSError, RuntimeError)):
            jax.profiler.stop_trace()


def host_peak_bytes(platform: str = sys.platform) -> int:
    """Return the most memory that this process had, resident."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if platform == "darwin" else 1024 * peak


def device_peak_bytes(devices: Sequence[Any] | None = None) -> int | None:
    """Return the most memory in use on any of this process's devices; None where the backend does not say."""
    stats = [device.memory_stats() or {} for device in devices or jax.local_devices()]
    return max((s["peak_bytes_in_use"] for s in stats if "peak_bytes_in_use" in s), default=None)


@contextlib.contextmanager
def _writing(path: Path, errors: tuple[type[Exception], ...] = (OSError,)) -> Iterator[None]:
    try:
        yield
    except errors as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"{path} cannot be written: {reason}. The last checkpoint is intact: free some space, or make the folder "
            "writable, and run the same command again, which goes on from there."
        ) from error


def _append(file: IO[bytes], data: bytes) -> None:
    """Write all of the data or none of it; file is unbuffered."""
    end = file.tell()
    try:
        while data:
            data = data[file.write(data) :]
    except OSError:
        with contextlib.suppress(OSError):
            file.truncate(end)
        raise


def _open_events(folder: Path, step: int) -> "RecordWriter":
    """Return a new event file that begins with an event to forget those of earlier files from a step on."""
    # Imported here: processes that write nothing do without. This is the part of tensorboardX that writes in the
    # caller's thread: SummaryWriter's own dies of a full disk, and the training would then wait for it for ever.
    from tensorboardX.proto.event_pb2 import Event, SessionLog
    from tensorboardX.record_writer import RecordWriter

    folder.mkdir(exist_ok=True)
    # TensorBoard reads files in the order of their names; two attempts may begin in the same second.
    attempt = len(list(folder.iterdir()))
    path = folder / f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{attempt:05d}"
    events = RecordWriter(str(path))
    restart = SessionLog(status=SessionLog.START)
    for event in (Event(file_version="brain.Event:2"), Event(step=step, session_log=restart)):
        event.wall_time = time.time()
        events.write(event.SerializeToString())
    return events


def _event(line: Mapping[str, Any], key: str) -> bytes:
    """Return the line's numbers as one event."""
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.proto.summary_pb2 import Summary

    numbers = {n: v for n, v in line.items() if isinstance(v, int | float) and not isinstance(v, bool) and n != key}
    scalars = []
    for name, value in numbers.items():
        group = next((group for part, group in _GROUPS.items() if part in name), "run")
        scalars.append(Summary.Value(tag=f"{group}/{name}", simple_value=value))
    event = Event(wall_time=time.time(), step=line[key], summary=Summary(value=scalars))
    return event.SerializeToString()
