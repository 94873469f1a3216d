"""What an interval of episodes says: a line of metrics.jsonl, or why the run cannot go on."""

import math
from typing import Any

from metaser_jax.loops.meta_training import MOST_SKIPPED, IntervalInfo, TrainState
from metaser_jax.training.diagnosis import Diagnosis

ADVICE = "Try a lower --meta_lr or --inner_lr in another --run_dir;"


def to_floats(info: IntervalInfo) -> dict[str, float]:
    """Return a run's info as numbers, its fields' names before them."""
    return {name: float(value) for name, value in info._asdict().items()}


def failure(
    measured: dict[str, float],
    state: TrainState,
    loss: float,
    diagnosis: Diagnosis,
    *,
    skip_nonfinite: bool,
) -> str | None:
    """Return why the run cannot go on after an interval; None if it can.

    Args:
      measured: of to_floats.
      state: after the interval.
      loss: on validation.
      diagnosis: what is not finite.
      skip_nonfinite: whether such updates are left out and counted.
    """
    after = int(state.episode)
    if not measured["finite"] and not skip_nonfinite:
        tasks = diagnosis.update(state) or ["each of its tasks is, alone"]
        return (
            f"The update of episode {after + 1} is not finite: {'; '.join(tasks)}. --skip_nonfinite leaves such "
            "updates out, and counts them."
        )
    if int(state.skipped_in_a_row) >= MOST_SKIPPED:
        tasks = diagnosis.update(state) or ["each of its tasks is, alone"]
        return (
            f"No update of the last {MOST_SKIPPED} episodes up to {after} is finite, and that of the next is not: "
            f"{'; '.join(tasks)}."
        )
    if not math.isfinite(loss):
        tasks = diagnosis.validation(state) or ["each of its tasks is, alone"]
        return f"The validation loss is not finite after episode {after}: {'; '.join(tasks)}."
    return None


def line_of(
    measured: dict[str, float], state: TrainState, loss: float, speed: float, *, skip_nonfinite: bool
) -> dict[str, Any]:
    """Return a line of metrics.jsonl; arguments as `failure`'s, and the episodes per second."""
    # JSON has no NaN; with --skip_nonfinite the last episode may be one that was left out.
    losses = {name: value if math.isfinite(value) else None for name, value in measured.items() if name != "finite"}
    line = {"episode": int(state.episode), **losses, "valid_query_loss": loss, "episodes_per_second": speed}
    if skip_nonfinite:
        line["skipped"] = int(state.skipped)
    return line
