"""Sweep over seeds and settings of meta-training, as one compiled program for all that differ in numbers alone.

metaser sweep --data_dir=data --sources=ravdess,emodb --grid=meta_lr=1e-3,2e-3 --out=runs/sweep

Every run is one that metaser meta-train goes on with and metaser finetune starts from. Interrupted sweeps resume:
repeat the command and it continues with what is missing.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from metaser_jax import cli
from metaser_jax.messages import log
from metaser_jax.specs.sweep import SweepConfig
from metaser_jax.studies.sweep import run_sweep
from metaser_jax.studies.sweep_report import text_of


def main(config: SweepConfig, arguments: Sequence[str]) -> None:
    """Train what is missing, and write the report."""
    report = run_sweep(config, command=cli.line(), log=log)
    print(text_of(json.loads(Path(config.out, "sweep.json").read_text(encoding="utf-8"))["settings"]))
    print(f"Runs: {config.folder_of_runs}. Report: {report}")
