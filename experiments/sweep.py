"""Sweeps over seeds and settings of meta-training, as one compiled program for all that differ in numbers alone.

Every run is one that meta_train.py goes on with and finetune.py starts from. Interrupted
sweeps resume: repeat the command and it continues with what is missing.

python experiments/sweep.py --data_dir=data --sources=ravdess,emodb --grid=meta_lr=1e-3,2e-3 --out=runs/sweep
"""

import json
import shlex
import sys
from pathlib import Path

from metaser_jax.config import SweepConfig, flags
from metaser_jax.config.presets import SWEEP

flags.define(SweepConfig, SWEEP)


def main() -> None:
    config = flags.config(SweepConfig, SWEEP)
    # Imported here: after a look at what was typed.
    from metaser_jax.studies.sweep import run_sweep
    from metaser_jax.studies.sweep_report import text_of

    report = run_sweep(config, command=shlex.join(["python", *sys.argv]))
    print(text_of(json.loads(Path(config.out, "sweep.json").read_text(encoding="utf-8"))["settings"]))
    print(f"Runs: {config.folder_of_runs}. Report: {report}")


if __name__ == "__main__":
    flags.run(main)
