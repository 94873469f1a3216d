"""Make the paper's Figure 2: macro F1 against the fraction, and the shots, of target data; crossover points; a report.

metaser figure2 --data_dir=data --sources=ravdess,emodb --targets=urdu --out=runs/figure2

Interrupted studies resume: repeat the command and it continues with what is missing.
"""

from collections.abc import Sequence

from metaser_jax import cli
from metaser_jax.messages import log
from metaser_jax.specs.studies import Figure2Config
from metaser_jax.studies.figure2 import run_figure2


def main(config: Figure2Config, arguments: Sequence[str]) -> None:
    """Compute what is missing, and write the report."""
    report = run_figure2(config, command=cli.line(), log=log)
    print(f"Report with pictures: {report}")
