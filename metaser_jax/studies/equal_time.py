"""How long an episode of each variant takes beside second order's, so that other load on the machine decides nothing.

In each of several rounds every variant runs in turn, for some seconds, and is divided by second order of that round;
the next round begins with the next variant. What counts is the median of a variant's ratios. A run's own seconds would
not do: hours may lie between two runs, and whatever else ran then.
"""

import dataclasses
import json
import math
import statistics
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from metaser_jax.results.run_dir import write_text
from metaser_jax.specs import MetaTrainSpec
from metaser_jax.studies.cells import CELLS
from metaser_jax.studies.study import Study
from metaser_jax.training.cost import read_cost
from metaser_jax.training.meta_train import run_meta_training

ROUNDS = 5
# Of a variant in a round, as well as is known before, and at least so many intervals.
SECONDS, INTERVALS = 4.0, 3
KEPT = "equal_time.json"
SECOND = "second"
# The cells of equal time have this in their names.
MARK = "equal-time"


class Timed(NamedTuple):
    """Attributes: rounds, of each variant -> seconds per episode; episodes of a variant in a round."""

    rounds: list[dict[str, float]]
    episodes: dict[str, int]

    def ratios(self, variant: str) -> list[float]:
        """Return a variant's time per episode as a share of second order's, round by round."""
        return [of[variant] / of[SECOND] for of in self.rounds]

    def seconds(self, variant: str) -> float:
        """Return seconds per episode: second order's, median over rounds, times the median of the ratios."""
        return statistics.median(of[SECOND] for of in self.rounds) * statistics.median(self.ratios(variant))


def measure(
    out: Path,
    spec_of: Callable[[str, int], MetaTrainSpec],
    known: Mapping[str, float],
    time_run: Callable[[MetaTrainSpec], float],
) -> Timed | None:
    """Return what was measured, which the study keeps; None of a study from before, whose runs' seconds decided.

    Args:
      out: the study's folder.
      spec_of: (variant, episodes) -> a run to be timed.
      known: variant -> about how many seconds an episode takes.
      time_run: trains it and returns its seconds per episode.
    """
    kept = out / KEPT
    if kept.exists():
        found = Timed(**json.loads(kept.read_text(encoding="utf-8")))
        if found.episodes.keys() == known.keys():
            return found
    elif any((out / CELLS).glob(f"*{MARK}*")):
        return None
    specs = {}
    for variant, seconds in known.items():
        every = spec_of(variant, 1).log_every
        episodes = every * max(INTERVALS, math.ceil(SECONDS / seconds / every))
        # A checkpoint at the end alone.
        specs[variant] = dataclasses.replace(spec_of(variant, episodes), checkpoint_every=episodes)
    names, rounds = list(specs), []
    for number in range(ROUNDS):
        at = number % len(names)
        rounds.append({variant: time_run(specs[variant]) for variant in (*names[at:], *names[:at])})
    found = Timed(rounds, {variant: spec.episodes for variant, spec in specs.items()})
    write_text(kept, json.dumps(found._asdict(), indent=2) + "\n")
    return found


def timing(study: Study, phases: Callable[[MetaTrainSpec], list[int]]) -> Callable[[MetaTrainSpec], float]:
    """Return what trains a run in a folder that is gone afterwards, and returns the seconds of its episodes."""

    def time_run(spec: MetaTrainSpec) -> float:
        with tempfile.TemporaryDirectory(prefix="metaser_jax_timed_") as folder:
            # From random parameters: where it starts changes no time.
            run_meta_training(
                spec, study.data_dir, f"{folder}/run", log=lambda _: None, load=study.corpora.load, init=""
            )
            return read_cost(f"{folder}/run", phases(spec)).seconds

    return time_run
