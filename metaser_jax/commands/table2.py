"""Make the paper's Table 2: source sets x targets x methods -> macro F1, with intervals, comparisons and a report.

metaser table2 --data_dir=data --source_sets=ravdess+emodb,ravdess,emodb --targets=urdu --out=runs/table2

Interrupted studies resume: repeat the command and it continues with what is missing.
"""

from collections.abc import Sequence

from metaser_jax import cli
from metaser_jax.messages import log
from metaser_jax.specs.studies import Table2Config
from metaser_jax.studies.table2 import run_table2


def main(config: Table2Config, arguments: Sequence[str]) -> None:
    """Compute what is missing, and write the report."""
    report = run_table2(config, command=cli.line(), log=log)
    print((report.parent / "table2.md").read_text(encoding="utf-8"))
    print(f"Report: {report}")
