"""Compare second order with other meta-gradients, and with every other meta-learner; a report.

metaser ablation-order --data_dir=data --sources=ravdess,emodb --targets=urdu --out=runs/order

Interrupted studies resume: repeat the command and it continues with what is missing.
"""

from collections.abc import Sequence

from metaser_jax import cli
from metaser_jax.messages import log
from metaser_jax.specs.studies import OrderConfig
from metaser_jax.studies.ablation_order import run_ablation_order


def main(config: OrderConfig, arguments: Sequence[str]) -> None:
    """Compute what is missing, and write the report."""
    report = run_ablation_order(config, command=cli.line(), log=log)
    print(f"Report with pictures: {report}")
