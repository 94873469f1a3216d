"""The rate of the whole training loop against that of its meta-step alone.

python experiments/benchmarks/training_loop.py --data_dir=data --sources=ravdess,emodb --run_dir=runs/loop

The loop is meta_train.py as it is: episodes drawn, the outer update, validation, metrics, progress and checkpoints. The
meta-step is its compiled value_and_grad on one fixed episode, timed before and after the loop.
"""

import json
import time
from pathlib import Path

import numpy as np
from race import timed

from metaser_jax.config import MetaTrainConfig, flags
from metaser_jax.config.presets import META_TRAIN
from metaser_jax.errors import InputError

STEPS = 30

flags.define(MetaTrainConfig, META_TRAIN)


def rate(step) -> float:
    """Steps per second, from the median of STEPS."""
    return 1 / float(np.median([timed(step)[1] for _ in range(STEPS + 1)][1:]))


def main() -> None:
    config = flags.config(MetaTrainConfig, META_TRAIN)
    if Path(config.run_dir).exists():
        raise InputError(f"--run_dir={config.run_dir} exists, expected a new folder: the loop is timed from its start.")
    from episode_step import make_step

    from metaser_jax.devices import parallel
    from metaser_jax.training.meta_train import meta_train

    parallel.one_device_per_core()
    step = make_step(config)
    before = rate(step)
    times = {}

    def log(line: str) -> None:
        times[line.split()[0].rstrip(":")] = time.perf_counter()
        print(line)

    folder = meta_train(config, log)
    loop = config.episodes / (times["Finished"] - times["Compiled"])
    after = rate(step)
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    within = np.median([json.loads(line)["episodes_per_second"] for line in lines])
    print(f"meta-step alone: {before:.3f} per second before, {after:.3f} after")
    print(f"whole loop: {loop:.3f} episodes per second; within an interval, median: {within:.3f}")
    print(f"whole loop / meta-step alone: {loop / np.mean([before, after]):.3f}")


if __name__ == "__main__":
    flags.run(main)
