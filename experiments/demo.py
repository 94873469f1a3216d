"""The main job in minutes, on synthetic voices: learns from two languages, adapts to three others, writes a report.

python experiments/demo.py
"""

import shlex
import sys

from metaser_jax import cli
from metaser_jax.config import DemoConfig


def main() -> None:
    # Imported here: the processes that speak and extract features import this file again, and need no jax.
    from metaser_jax.runs.demo import run_demo

    run_demo(cli.config(DemoConfig), command=shlex.join(["python", *sys.argv]))


if __name__ == "__main__":
    cli.define(DemoConfig)
    cli.run(main)
