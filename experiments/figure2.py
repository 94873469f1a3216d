"""The paper's Figure 2: macro F1 against the fraction, and the shots, of target data; crossover points; a report.

Interrupted studies resume: repeat the command and it continues with what is missing.

python experiments/figure2.py --data_dir=data --sources=ravdess,emodb --targets=urdu --out=runs/figure2
"""

import shlex
import sys

from metaser_jax.config import Figure2Config, flags

flags.define(Figure2Config)


def main() -> None:
    config = flags.config(Figure2Config)
    # Imported here: after a look at what was typed.
    from metaser_jax.studies.figure2 import run_figure2

    report = run_figure2(config, command=shlex.join(["python", *sys.argv]))
    print(f"Report with pictures: {report}")


if __name__ == "__main__":
    flags.run(main)
