"""The main job in minutes, on synthetic voices: learns from two languages, adapts to three others, writes a report.

python experiments/demo.py
"""

import shlex
import sys

from metaser_jax.config import DemoConfig, flags


def main() -> None:
    config = flags.config(DemoConfig)
    # Imported here: the processes that speak and extract features import this file again, and need no jax.
    from metaser_jax.studies.demo import run_demo

    run_demo(config, command=shlex.join(["python", *sys.argv]))


if __name__ == "__main__":
    flags.define(DemoConfig)
    flags.run(main)
