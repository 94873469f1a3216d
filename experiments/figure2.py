"""The paper's Figure 2: macro F1 against the fraction, and the shots, of target data; crossover points; a report.

What is finished is kept: a study that was stopped goes on when the same command is given again.

python experiments/figure2.py --data_dir=data --sources=ravdess,emodb --targets=urdu --out=runs/figure2
"""

import shlex
import sys

from metaser_jax.config import Figure2Config, flags
from metaser_jax.studies.figure2 import run_figure2

flags.define(Figure2Config)


def main() -> None:
    report = run_figure2(flags.config(Figure2Config), command=shlex.join(["python", *sys.argv]))
    print(f"Report with pictures: {report}")


if __name__ == "__main__":
    flags.run(main)
