"""Run the benchmark: each corpus in turn is the unseen language, all others the sources; every method, and a report.

metaser unseen --data_dir=data --corpora=ravdess,emodb,tess --manual_dir=RECORDINGS --out=runs/unseen

Interrupted studies resume: repeat the command and it continues with what is missing.
"""

from collections.abc import Sequence

from metaser_jax import cli
from metaser_jax.messages import log
from metaser_jax.specs.studies import UnseenConfig
from metaser_jax.studies.unseen import run_unseen


def main(config: UnseenConfig, arguments: Sequence[str]) -> None:
    """Compute what is missing, and write the report."""
    report = run_unseen(config, command=cli.line(), log=log)
    print(f"Report with pictures: {report}")
