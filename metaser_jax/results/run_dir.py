"""Run directory: config.json says what the run is, *.jsonl what it measured, and on which versions and device."""

import contextlib
import csv
import functools
import io
import json
import os
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from metaser_jax import cli, processes, untrusted
from metaser_jax.errors import InputError
from metaser_jax.extras import version
from metaser_jax.messages import log

CONFIG = "config.json"
METRICS = "metrics.jsonl"
RESULTS = "results.jsonl"
SHAPE = "shape.npz"
LOCK = "lock"
# Of a file that `replacing` has not put in its place yet.
_UNFINISHED = ".tmp"
_MAX_CONFIG = 2**24


def write_text(path: Path, text: str) -> None:
    """Replace a file's content as a whole: a killed program leaves the old or the new one, never a part."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give another path to write a file at, which then takes its place, whole or not at all, also if the power fails.

    After an error nothing is left there.

    Raises:
      OSError: it cannot be written; names the file, which what Python's own raises of a full disk does not.
    """
    temporary = path.with_name(path.name + _UNFINISHED)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def to_lines(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return one JSON object per line."""
    return "".join(json.dumps(row) + "\n" for row in rows)


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as CSV, with a column for each field that one of them has."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def read_config(run_dir: str | Path) -> dict[str, Any]:
    """Return config.json of a run.

    Raises:
      InputError: it is missing, cannot be read or is not JSON.
    """
    path = Path(run_dir) / CONFIG
    if not path.is_file():
        raise InputError(
            f"{run_dir} is no run: {CONFIG} is missing, expected the --run_dir of "
            f"{cli.program('meta-train')} or {cli.program('pretrain')}."
        )
    try:
        config = untrusted.parse_json(untrusted.read_bytes(path, _MAX_CONFIG))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}), expected what the program that made it wrote.") from error
    if not isinstance(config, dict):
        raise InputError(f"{path}: got a JSON {type(config).__name__}, expected an object.")
    return config


def json_lines(path: str | Path, *, whole: bool = False) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each object of a file of JSON lines after where it is: "FILE, line 3".

    Args:
      whole: whether what follows the last whole line is dropped, which a killed run may leave.

    Raises:
      InputError: the file cannot be read; a line is not a JSON object.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error}), expected a file of JSON lines.") from error
    for number, line in enumerate((data.rpartition(b"\n")[0] if whole else data).splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        where = f"{path}, line {number}"
        if not isinstance(row, dict):
            got = line[:60].decode(errors="replace")
            raise InputError(
                f"{where}: got {got!r}, expected a JSON object. A run that was killed leaves half a line; delete it."
            )
        yield where, row


def read_lines(path: Path, step: str | None = None) -> list[dict[str, Any]]:
    """Return the whole lines of a file of `to_lines`, none of one that is not there.

    Args:
      step: a field that every row must have, a whole number.

    Raises:
      InputError: as json_lines; a row without `step`.
    """
    return counted(json_lines(path, whole=True), step) if path.exists() else []


def counted(lines: Iterable[tuple[str, dict[str, Any]]], step: str | None) -> list[dict[str, Any]]:
    """Return the rows of json_lines; raise an InputError unless `step` is a whole number in each, if there is one."""
    rows = []
    for where, row in lines:
        if step is not None and type(row.get(step)) is not int:
            raise InputError(f"{where}: {step}: got {row.get(step)!r}, expected a whole number.")
        rows.append(row)
    return rows


def claim(run_dir: str | Path, config: Mapping[str, Any], free: Iterable[str] = ()) -> None:
    """Make run_dir, or recognises it as the same run's.

    Args:
      config: what identifies the run, JSON-able; written to config.json of a new run.
      free: keys that may differ from those of the run that is there.

    Raises:
      InputError: it belongs to another configuration (the message names the keys that differ), has files but no
        config.json, or cannot be written.
    """
    folder = Path(run_dir)
    config = untrusted.parse_json(json.dumps(config))  # tuples become lists, as in the file
    if (folder / CONFIG).exists():
        old = read_config(folder)
        keys = sorted((config.keys() | old.keys()) - set(free))
        differ = [f"{k} (was {old.get(k)!r}, now {config.get(k)!r})" for k in keys if old.get(k) != config.get(k)]
        if differ:
            raise InputError(
                f"{run_dir} holds a run of another configuration: {', '.join(differ)}. Give another folder, "
                "the same flags to go on with that run, or remove it."
            )
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # What a start may leave that was killed, or met a full disk, is no one else's.
        if any(path.name != CONFIG + _UNFINISHED for path in folder.iterdir()):
            raise InputError(f"{run_dir} is not empty and holds no run ({CONFIG} is missing). Give another folder.")
        write_text(folder / CONFIG, json.dumps(config, indent=2) + "\n")
    except OSError as error:
        raise InputError(f"{run_dir} cannot be made or written: {error.strerror}. Give another folder.") from error


def hold(run_dir: str | Path, seconds: float) -> AbstractContextManager[None]:
    """Keep the run to this process: two that write it would lose each other's lines and checkpoints.

    The lock ends with the process, however it ends. A file system without locks is written without.

    Args:
      run_dir: a run that is there already.
      seconds: to wait for another process that holds it: one that is ending, say.

    Raises:
      InputError: another process still holds it, or the lock cannot be opened.
    """
    advice = "Stop one of the two; the processes of one job need --cluster or --coordinator_address."
    return processes.hold(Path(run_dir) / LOCK, f"{run_dir} is being written", seconds, advice, log)


PACKAGES = ("metaser_jax", "jax", "jaxlib", "flax", "optax", "numpy", "scipy", "scikit-learn", "librosa", "soxr")


def environment(on: str | None = None) -> dict[str, str]:
    """Return name -> version or description, for a report.

    Args:
      on: what ran it; by default the devices that jax sees here.
    """
    return {"device": on or device(), "platform": platform.platform(), **versions()}


def versions() -> dict[str, str]:
    """Return name -> version, of Python and the packages that matter."""
    return {"Python": platform.python_version(), **{package: version(package) for package in PACKAGES}}


@functools.cache
def device() -> str:
    """Return the devices that jax sees here, a CPU by its name: "2 x cpu (Intel(R) Xeon(R) Processor)"."""
    # Here, since asking for devices starts the backend: a caller that knows its device need not.
    import jax

    devices = jax.devices()
    kind = devices[0].device_kind
    return f"{len(devices)} x {kind} ({processor() if kind == 'cpu' else devices[0].platform})"


def processor() -> str:
    """Return the name of this machine's processor, or its architecture where the system does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(filter(None, names), platform.processor() or platform.machine())
