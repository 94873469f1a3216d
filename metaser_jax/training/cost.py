"""Cost of a training run: measured.json beside metrics.jsonl, and the seconds of an episode."""

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

from metaser_jax import cli
from metaser_jax.errors import InputError
from metaser_jax.results.rows import read_metrics
from metaser_jax.results.run_dir import METRICS, environment

MEASURED = "measured.json"
_AGAIN = f"Expected what {cli.program('meta-train')} writes: remove the run to train it again."


def measured_of(program: jax.stages.Compiled, compile_seconds: float, device: str) -> dict[str, Any]:
    """Return the content of measured.json.

    Returns:
      compile_seconds, of all of the run's programs; temp_bytes, XLA's temporary memory for an interval of episodes, on
      each device, None where the backend does not say; device; devices and processes, how many share the program;
      versions.
    """
    analysis = program.memory_analysis()
    # An argument that has no place of its own may be on one device alone.
    shardings = jax.tree.leaves(program.input_shardings)
    devices = max((sharding.device_set for sharding in shardings), key=len, default=set())
    versions = environment(device)
    del versions["device"]
    return {
        "compile_seconds": compile_seconds,
        "temp_bytes": None if analysis is None else int(analysis.temp_size_in_bytes),
        "device": device,
        "devices": len(devices),
        "processes": len({d.process_index for d in devices}),
        "versions": versions,
    }


class Cost(NamedTuple):
    """Attributes: seconds per episode, episodes, compile_seconds, temp_bytes (None: not known), device."""

    seconds: float
    episodes: int
    compile_seconds: float
    temp_bytes: int | None
    device: str


def read_cost(run_dir: str | Path, phases: Sequence[int] = ()) -> Cost:
    """Read the cost of a run of meta-training.

    Args:
      phases: episodes before which an episode costs something else than after: of an annealed run, its first-order
        episodes. A phase's seconds per episode are the median of its lines', and phases count by their episodes.

    Raises:
      InputError: metrics.jsonl or measured.json is missing or damaged, or of no meta-training.
    """
    folder = Path(run_dir)
    try:
        measured = json.loads((folder / MEASURED).read_text(encoding="utf-8"))
        known = [measured[name] for name in ("compile_seconds", "temp_bytes", "device")]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder / MEASURED}: cannot be read ({error!r}). {_AGAIN}") from error
    lines = read_metrics(folder / METRICS)
    timed = [line for line in lines if line.get("episodes_per_second") is not None]
    if not timed:
        raise InputError(f"{folder / METRICS} has no episodes that were timed. {_AGAIN}")
    ends = [*phases, lines[-1]["episode"]]
    total, start = 0.0, 0
    for end in ends:
        # A line of which a part belongs to another phase counts with the one that it ends in.
        of_phase = [1 / line["episodes_per_second"] for line in timed if start < line["episode"] <= end]
        if of_phase:
            total += statistics.median(of_phase) * (end - start)
            start = end
    return Cost(total / start, lines[-1]["episode"], *known)
